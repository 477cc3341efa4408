"""Long rollouts: the error of an imagination against its horizon, with and without the trust stop.

    cosmos-robot bench long-rollout [--checkpoint DIR] [--out DIR]

Scripted pushers are recorded in gym-pusht, from starts that nothing was trained on, and the same actions imagined from
the first frame alone, chunk after chunk. Every imagined chunk is a row: how wrong it is, and its trust score. The stop
is applied to the rows afterwards: with it an episode counts up to the chunk before the first whose score is above the
threshold, which is calibrated on other real episodes in the same run.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.benchmarks.pusht_world import imagined_pusht
from cosmos_robot.benchmarks.row_file import RowFile
from cosmos_robot.benchmarks.trust import trust_figures
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.envs.inverse_dynamics_trust import Clip, InverseDynamicsScore, TrustCalibration, calibrate
from cosmos_robot.envs.protocols import Trust, TrustScore
from cosmos_robot.envs.pusht_block import find_block
from cosmos_robot.envs.pusht_state import TABLE_SIZE, agent_position
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.training.pusht_recording import HELD_OUT_SEED, PushTRecording, open_simulator, record_episode
from cosmos_robot.types import Frames

ERRORS = ("pixel_error", "pusher_error", "block_error", "coverage_error")
"""Mean absolute difference of the last frame (0 to 1); distances in table pixels; difference of coverage."""
SCORED_ERRORS = ERRORS[:3]
"""Those that a trust score is held against: coverage is 0 in most of the frames."""

type Row = dict[str, Any]
type Report = Callable[[int, int], None]


@dataclass(frozen=True)
class LongRolloutConfig:
    """What is run.

    Attributes:
        episodes: how many.
        actions: of each.
        action_chunk_size: actions of a chunk.
        first_start: seed of gym-pusht's reset; the others follow.
        calibration_start: the same of the episodes that the threshold is calibrated on.
        calibration_episodes: how many of them.
        quantile: share of the real chunks that are to be trusted.

    Raises:
        InvalidInputError: if a number is out of its range, or starts are trained on or shared.
    """

    episodes: int = 16
    actions: int = 256
    action_chunk_size: int = 16
    first_start: int = 1_000_300
    calibration_start: int = 1_000_400
    calibration_episodes: int = 16
    quantile: float = 0.99

    def __post_init__(self) -> None:
        if min(self.episodes, self.calibration_episodes) < 1 or self.actions % self.action_chunk_size:
            raise InvalidInputError(f"a long rollout has episodes of whole chunks; got {self}.")
        here = range(self.first_start, self.first_start + self.episodes)
        there = range(self.calibration_start, self.calibration_start + self.calibration_episodes)
        if min(here.start, there.start) < HELD_OUT_SEED or set(here) & set(there):
            raise InvalidInputError(
                f"starts must be {HELD_OUT_SEED} or above and not those of the calibration: {self}."
            )

    @property
    def starts(self) -> range:
        """Seeds of the episodes."""
        return range(self.first_start, self.first_start + self.episodes)

    @property
    def chunks(self) -> int:
        """Chunks of an episode."""
        return self.actions // self.action_chunk_size


@dataclass(frozen=True, eq=False)
class Curve:
    """Mean error against the horizon.

    Attributes:
        horizon: actions `[n]`.
        error: mean `[n]` over the episodes that go on; NaN where none does.
        going: share `[n]` of the episodes that go on.
    """

    horizon: NDArray[np.int64]
    error: NDArray[np.float64]
    going: NDArray[np.float64]


def calibrate_on_pusht(
    world_model: WorldModel, config: LongRolloutConfig, *, num_steps: int | None = None, batch: int = 8
) -> TrustCalibration:
    """Calibrate trust by inverse dynamics on real episodes, chunk by chunk."""
    clips: list[Clip] = []
    size = config.action_chunk_size
    with closing(open_simulator()) as env:
        for index in range(config.calibration_episodes):
            real = record_episode(env, config.calibration_start + index, config.actions)
            clips += [
                (real.frames[first : first + size + 1], real.actions[first : first + size])
                for first in range(0, config.actions, size)
            ]
    scorer = InverseDynamicsScore(num_steps=num_steps)
    return calibrate(world_model, clips, get_domain("pusht"), score=scorer, quantile=config.quantile, batch=batch)


def run_long_rollouts(
    world_model: WorldModel,
    config: LongRolloutConfig,
    rows: RowFile,
    *,
    score: TrustScore,
    batch: int = 4,
    num_steps: int | None = None,
    report: Report | None = None,
) -> list[Row]:
    """Imagine every episode that has not all its rows yet, and give all rows, each once.

    Args:
        world_model: what imagines.
        config: what is run.
        rows: where the rows are.
        score: how far a chunk can be trusted.
        batch: episodes imagined at once.
        num_steps: denoising steps; None takes the checkpoint's.
        report: told of (episodes done, episodes in all).
    """
    there = {(row["episode"], row["chunk"]) for row in rows.read()}
    whole = {start for start in config.starts if all((start, chunk) in there for chunk in range(config.chunks))}
    missing = [start for start in config.starts if start not in whole]
    for first in range(0, len(missing), batch):
        starts = missing[first : first + batch]
        with closing(open_simulator()) as env:
            real = [record_episode(env, start, config.actions) for start in starts]
        rows.append(imagine(world_model, config, real, score=score, num_steps=num_steps))
        if report is not None:
            report(config.episodes - len(missing) + first + len(starts), config.episodes)
    return list({(row["episode"], row["chunk"]): row for row in rows.read()}.values())


def imagine(
    world_model: WorldModel,
    config: LongRolloutConfig,
    real: Sequence[PushTRecording],
    *,
    score: TrustScore,
    num_steps: int | None = None,
) -> list[Row]:
    """Imagine recorded episodes side by side and compare the end of each chunk with what happened."""
    trust = Trust(score, float(np.finfo(np.float64).max))  # scored at every step, never stopped
    size = config.action_chunk_size
    envs = imagined_pusht(len(real), world_model=world_model, action_chunk_size=size, num_steps=num_steps, trust=trust)
    rows = []
    with closing(envs):
        seeds = [episode.seed for episode in real]
        envs.reset(seed=seeds, options={"episode": seeds})
        for chunk in range(config.chunks):
            actions = np.stack([episode.actions[chunk * size : (chunk + 1) * size] for episode in real])
            observed, _, _, _, info = envs.step(actions)
            for i, episode in enumerate(real):
                at = (chunk + 1) * size
                row = {"episode": episode.seed, "chunk": chunk, "horizon": at, "score": float(info["trust_score"][i])}
                copied = _pixel_error(episode.frames[0], episode.frames[at])
                rows.append(row | frame_errors(observed["pixels"][i], episode, at) | {"copied_pixel_error": copied})
    return rows


def frame_errors(imagined: Frames, real: PushTRecording, at: int) -> dict[str, float]:
    """How wrong an imagined frame is about frame `at` of a recording; what is not found is half a table away."""
    pusher, block = agent_position(imagined), find_block(imagined)
    truth = find_block(real.frames[at])
    lost = TABLE_SIZE / 2
    pusher_error = lost if pusher is None else float(np.linalg.norm(pusher - real.agent[at]))
    block_error = lost if block is None or truth is None else float(np.linalg.norm(block.centre - truth.centre))
    covered = [0.0 if found is None else found.coverage for found in (block, truth)]
    return {
        "pixel_error": _pixel_error(imagined, real.frames[at]),
        "pusher_error": pusher_error,
        "block_error": block_error,
        "coverage_error": abs(covered[0] - covered[1]),
    }


def curve(rows: Sequence[Row], error: str, *, threshold: float | None = None) -> Curve:
    """Mean error against the horizon; with a threshold of the episodes that no score above it has ended."""
    episodes = sorted({row["episode"] for row in rows})
    horizons = sorted({row["horizon"] for row in rows})
    values = np.full((len(episodes), len(horizons)), np.nan)
    scores = np.full_like(values, np.nan)
    for row in rows:
        place = episodes.index(row["episode"]), horizons.index(row["horizon"])
        values[place], scores[place] = row[error], row["score"]
    going = np.ones(values.shape, bool) if threshold is None else np.maximum.accumulate(scores, axis=1) <= threshold
    counts = going.sum(axis=0)
    sums = np.where(going, values, 0.0).sum(axis=0)
    means = np.divide(sums, counts, out=np.full(len(horizons), np.nan), where=counts > 0)
    return Curve(np.array(horizons), means, counts / len(episodes))


def long_rollout_figures(rows: Sequence[Row], threshold: float) -> dict[str, Any]:
    """All figures as plain data: the curves with and without the stop, and how well the score tells bad chunks."""
    free, stopped = [
        {error: curve(rows, error, threshold=limit) for error in (*ERRORS, "copied_pixel_error")}
        for limit in (None, threshold)
    ]
    return {
        "threshold": threshold,
        "episodes": len({row["episode"] for row in rows}),
        "horizon": free[ERRORS[0]].horizon.tolist(),
        "without the stop": {error: found.error.tolist() for error, found in free.items()},
        "with the stop": {
            error: [None if np.isnan(value) else float(value) for value in found.error]
            for error, found in stopped.items()
        },
        "share that goes on": stopped[ERRORS[0]].going.tolist(),
        "auroc": [asdict(figures) for error in SCORED_ERRORS for figures in trust_figures(rows, error=error)],
    }


def plot_curves(path: Path, rows: Sequence[Row], threshold: float) -> None:
    """Draw each error against the horizon, without and with the stop, and the share of episodes that go on."""
    from matplotlib.figure import Figure

    names = {
        "pixel_error": "mean pixel error, 0 to 1",
        "pusher_error": "pusher's error, table px",
        "block_error": "T's error, table px",
    }
    figure = Figure(figsize=(10, 9), layout="constrained")
    every = figure.subplots(len(names) + 1, 1, sharex=True)
    for axes, (error, label) in zip(every, names.items(), strict=False):
        free, stopped = curve(rows, error), curve(rows, error, threshold=threshold)
        axes.plot(free.horizon, free.error, color="#2f5fd0", marker=".", label="without the stop")
        axes.plot(stopped.horizon, stopped.error, color="#e05020", marker=".", label="with the trust stop")
        if error == "pixel_error":
            copied = curve(rows, "copied_pixel_error")
            axes.plot(copied.horizon, copied.error, color="#8a8f98", linestyle="--", label="first frame copied")
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    every[-1].plot(stopped.horizon, stopped.going, color="#e05020", marker=".")
    every[-1].set(ylabel="share of episodes\nthat go on", ylim=(0, 1.05), xlabel="actions (10 a second)")
    for axes in every:
        axes.grid(alpha=0.25)
    figure.savefig(path, dpi=120)


def run_settings(config: LongRolloutConfig) -> dict[str, Any]:
    """What two runs must share for their rows to stand together."""
    return asdict(config)


def _pixel_error(one: Frames, other: Frames) -> float:
    return float(np.abs(one.astype(np.int16) - other).mean() / 255.0)
