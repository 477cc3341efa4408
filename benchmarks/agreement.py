"""Agreement: policies of graded quality in gym-pusht and in the learned environment, from the same starts.

    cosmos-robot bench agreement --env pusht [--checkpoint DIR] [--out DIR]

What is run is fixed in `agreement_pusht.toml`. Every episode is a row on disk as soon as its batch is done, so that a
run that was stopped goes on. Both worlds show the policies pixels, and the pusher's place that is estimated from them.
"""

import tomllib
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from cosmos_robot.benchmarks.agreement_statistics import Interval, mmrv, pearson, spearman, with_interval
from cosmos_robot.benchmarks.control_models import CopyFirstFrame, ShuffledActions
from cosmos_robot.benchmarks.pusht_expert import Grade, PushTExpert
from cosmos_robot.benchmarks.row_file import RowFile
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.envs.policies import Policy, PolicyRunner
from cosmos_robot.envs.pusht_block import find_block
from cosmos_robot.envs.pusht_state import agent_position
from cosmos_robot.envs.registration import PUSHT_STARTS
from cosmos_robot.envs.world_model_vector_env import WorldModelVectorEnv
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.training.pusht_recording import HELD_OUT_SEED, open_simulator
from cosmos_robot.types import Frames

CONFIGS = {"pusht": Path(__file__).with_name("agreement_pusht.toml")}
REAL = "gym-pusht"
LEARNED = "learned"
CONTROLS: dict[str, Callable[[WorldModel], WorldModel]] = {
    "copy-first-frame": lambda _: CopyFirstFrame(),
    "shuffled-actions": ShuffledActions,
}

type Row = dict[str, Any]
type Report = Callable[[str, int, int], None]
"""Called with (world and policy, episodes done, episodes in all) after each batch."""


@dataclass(frozen=True)
class AgreementConfig:
    """What is run, as the committed file says.

    Attributes:
        env: name of the environment.
        policies: the grade of each policy; or, of one's own, what makes it for the start whose number it is given.
        chunks: of each episode.
        action_chunk_size: actions of a chunk.
        seed: of all draws.
        first_start: seed of gym-pusht's reset.
        starts: how many, one after another.
        resamples: for the intervals.

    Raises:
        InvalidInputError: if a number is out of its range, or starts are among those that were trained on.
    """

    env: str
    policies: Mapping[str, Grade | Callable[[int], Policy]]
    chunks: int
    action_chunk_size: int
    seed: int
    first_start: int
    starts: int
    resamples: int

    def __post_init__(self) -> None:
        if min(self.chunks, self.starts, self.resamples) < 1 or len(self.policies) < 2:
            raise InvalidInputError("agreement needs two policies and at least one chunk, start and resample.")
        if self.first_start < HELD_OUT_SEED:
            raise InvalidInputError(f"starts below {HELD_OUT_SEED} are trained on; got {self.first_start}.")

    @classmethod
    def read(cls, path: Path) -> "AgreementConfig":
        """Read a TOML file.

        Raises:
            InvalidInputError: if it lacks something, or has more than is known.
        """
        with path.open("rb") as file:
            values = tomllib.load(file)
        try:
            grades = {name: Grade(**given) for name, given in values.pop("policies").items()}
            return cls(policies=grades, **values)
        except (TypeError, KeyError) as error:
            raise InvalidInputError(f"{path} does not describe an agreement run: {error}.") from error

    @property
    def start_numbers(self) -> range:
        """The seeds of gym-pusht's reset."""
        return range(self.first_start, self.first_start + self.starts)

    def policy(self, name: str, start: int) -> Policy:
        """Make a policy for an episode; its draws are the same in every world."""
        given = self.policies[name]
        if not isinstance(given, Grade):
            return given(start)
        words = [self.seed, start, zlib.crc32(name.encode())]
        seed = int(np.random.SeedSequence(words).generate_state(1)[0])
        return PushTExpert(given, chunk=self.action_chunk_size, seed=seed)

    def runner(self, name: str, start: int) -> PolicyRunner:
        """Make a policy whose answers are cut to whole chunks."""
        low, high = get_domain("pusht").require_robot_bounds()
        rows = (self.action_chunk_size, 1)
        space = spaces.Box(np.tile(low, rows), np.tile(high, rows), dtype=np.float32)
        return PolicyRunner(self.policy(name, start), space)

    def noise_seed(self, start: int) -> int:
        """Seed of the world models' noise in an episode."""
        return int(np.random.SeedSequence([self.seed, start]).generate_state(1)[0])


@dataclass(frozen=True)
class Agreement:
    """What one world says of the policies, beside gym-pusht.

    Attributes:
        world: its name.
        pearson: of mean coverage.
        spearman: of mean coverage.
        mmrv: of mean coverage.
        mean_error: mean absolute difference of the policies' mean coverage.
    """

    world: str
    pearson: Interval
    spearman: Interval
    mmrv: Interval
    mean_error: float


def run_agreement(
    world_model: WorldModel,
    config: AgreementConfig,
    rows: RowFile,
    *,
    batch: int = 10,
    num_steps: int | None = None,
    controls: bool = True,
    report: Report | None = None,
) -> list[Row]:
    """Play every episode that has no row yet, and give all rows.

    Args:
        world_model: the learned world.
        config: what is run.
        rows: where the rows are.
        batch: episodes imagined at once.
        num_steps: denoising steps; None takes the checkpoint's.
        controls: also play in the worlds of `CONTROLS`.
        report: told of each batch.
    """
    worlds = {LEARNED: world_model}
    if controls:
        worlds |= {name: make(world_model) for name, make in CONTROLS.items()}
    done = {(row["world"], row["policy"], row["start"]) for row in rows.read()}
    for world in (REAL, *worlds):
        for name in config.policies:
            missing = [start for start in config.start_numbers if (world, name, start) not in done]
            for first in range(0, len(missing), batch):
                starts = missing[first : first + batch]
                if world == REAL:
                    rows.append([play_real(config, name, start) for start in starts])
                else:
                    rows.append(play_imagined(worlds[world], config, name, starts, world=world, num_steps=num_steps))
                if report is not None:
                    report(f"{world}, {name}", config.starts - len(missing) + first + len(starts), config.starts)
    return rows.read()


def play_real(config: AgreementConfig, name: str, start: int) -> Row:
    """Play one episode in gym-pusht; its `coverage` is the simulator's own, `seen_coverage` that of the pixels."""
    policy = config.runner(name, start)
    with closing(open_simulator()) as env:
        observation, _ = env.reset(seed=start)
        info: dict[str, Any] = {}
        for _ in range(config.chunks):
            seen = agent_position(observation["pixels"])
            place = observation["agent_pos"] if seen is None else seen
            for action in policy.act({"pixels": observation["pixels"], "agent_pos": place}):
                observation, _, _, _, info = env.step(action.astype(np.float64))
    seen_coverage = _coverage(observation["pixels"])
    return _row(REAL, name, start, config) | {"coverage": float(info["coverage"]), "seen_coverage": seen_coverage}


def play_imagined(
    world_model: WorldModel,
    config: AgreementConfig,
    name: str,
    starts: Sequence[int],
    *,
    world: str,
    num_steps: int | None = None,
) -> list[Row]:
    """Play an episode from each start in a learned world, all in one batch; `coverage` is that of the last pixels."""
    policies = [config.runner(name, start) for start in starts]
    envs = WorldModelVectorEnv(
        len(starts),
        world_model=world_model,
        domain="pusht",
        starts=PUSHT_STARTS,
        action_chunk_size=config.action_chunk_size,
        num_steps=num_steps,
    )
    with closing(envs):
        seeds = [config.noise_seed(start) for start in starts]
        observed, _ = envs.reset(seed=seeds, options={"episode": list(starts)})
        for _ in range(config.chunks):
            each = [{key: values[i] for key, values in observed.items()} for i in range(len(starts))]
            actions = np.stack([policy.act(seen) for policy, seen in zip(policies, each, strict=True)])
            observed, *_ = envs.step(actions)
    return [
        _row(world, name, start, config) | {"coverage": _coverage(frame)}
        for start, frame in zip(starts, observed["pixels"], strict=True)
    ]


def coverages(rows: Sequence[Row], config: AgreementConfig, world: str) -> NDArray[np.float64]:
    """Coverage `[P, S]` at the end of each episode in a world.

    Raises:
        InvalidInputError: if an episode has not been played there.
    """
    found = {(row["policy"], row["start"]): row["coverage"] for row in rows if row["world"] == world}
    wanted = [[(name, start) for start in config.start_numbers] for name in config.policies]
    missing = sum(key not in found for line in wanted for key in line)
    if missing:
        raise InvalidInputError(f"{missing} episode(s) have not been played in {world}; run it again to go on.")
    return np.array([[found[key] for key in line] for line in wanted])


def agreements(rows: Sequence[Row], config: AgreementConfig) -> list[Agreement]:
    """Compare every learned world that has rows with gym-pusht."""
    real = coverages(rows, config, REAL)
    answers = []
    for world in dict.fromkeys(row["world"] for row in rows if row["world"] != REAL):
        simulated = coverages(rows, config, world)
        first, second, third = (
            with_interval(measure, real=real, simulated=simulated, resamples=config.resamples, seed=config.seed)
            for measure in (pearson, spearman, mmrv)
        )
        error = float(np.abs(real.mean(axis=1) - simulated.mean(axis=1)).mean())
        answers.append(Agreement(world, first, second, third, error))
    return answers


def least_gap(real: NDArray[np.float64]) -> float:
    """The least difference between the mean coverages of two policies, of results `[P, S]`."""
    return float(np.diff(np.sort(real.mean(axis=1))).min())


def _coverage(frame: Frames) -> float:
    block = find_block(frame)
    return 0.0 if block is None else block.coverage


def _row(world: str, name: str, start: int, config: AgreementConfig) -> Row:
    return {
        "world": world,
        "policy": name,
        "start": start,
        "noise_seed": config.noise_seed(start),
        "actions": config.chunks * config.action_chunk_size,
    }
