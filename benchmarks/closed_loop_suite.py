"""Policy, closed loop: told where to push the T, it plays in gym-pusht and looks anew before each chunk.

A row is a held-out start, named by the simulator's seed, and a direction. Beside what came of it stand the open-loop
figures of the same start: how far the first chunk that the policy chooses, told what a scripted pusher did from there,
is from what that did.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.benchmarks.action_figures import action_row, channel_series, summary_series
from cosmos_robot.benchmarks.pusht_policy import Choice, PushTask, TaskOutcome, play_tasks, push_tasks
from cosmos_robot.benchmarks.run_config import RunConfig
from cosmos_robot.benchmarks.run_plan import PlannedRow, noise_seed
from cosmos_robot.benchmarks.suite import MODEL, Load, Measure, Measured, Pooled, Row, Scatter, Series, plain, single
from cosmos_robot.benchmarks.window_suite import Case, call_options
from cosmos_robot.datasets.windows import Window
from cosmos_robot.domains.domain import Domain
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.chain import chunk_seed
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.training.pusht_prompts import hindsight_prompt
from cosmos_robot.training.pusht_recording import FPS, open_simulator, record_episode
from cosmos_robot.types import Actions, ActionSpace

NO_PROMPT, RANDOM, START = "no prompt", "random targets", "at the start"
TASKS = 100
"""Rows where no number is asked for."""
_SHOWN_EVERY = 4
"""Actions from frame to frame of the report's videos."""


@dataclass(frozen=True)
class ClosedLoopSettings:
    """What is played.

    Attributes:
        chunks: how often the policy looks, and answers with a chunk of actions.
        replan_every: how many of them are taken before it looks anew; None takes all.

    Raises:
        InvalidInputError: if there is not one at least.
    """

    chunks: int = 8
    replan_every: int | None = 8

    def __post_init__(self) -> None:
        if self.chunks < 1 or (self.replan_every is not None and self.replan_every < 1):
            raise InvalidInputError(f"chunks and replan_every must be at least 1; got {self}.")


@dataclass(frozen=True)
class ClosedLoopSuite:
    """Success within some chunks, and how much of gym-pusht's goal is covered then."""

    needs: tuple[str, ...] = ("gym_pusht", "dtaidistance.dtw_ndim")
    ranking: str = "success"
    settings: type[Any] | None = ClosedLoopSettings

    def plan(self, config: RunConfig) -> list[PlannedRow]:
        """The fixed list of held-out starts and directions."""
        if get_domain(config.domain).name != "pusht":
            raise InvalidInputError(f"closed loops are played in gym-pusht, of domain pusht; got {config.domain!r}.")
        tasks = push_tasks(TASKS if config.rows is None else config.rows)
        seeds = [(task, noise_seed(config.seed, task.seed, n)) for task in tasks for n in range(config.noises)]
        return [PlannedRow(i, None, task.seed, 0, seed, None, task.direction) for i, (task, seed) in enumerate(seeds)]

    def begin(self, config: RunConfig, load: Load) -> Measure:
        """Load the world model."""
        world_model = load()
        return lambda rows: self.measure(world_model, rows, config)

    def measure(self, world_model: WorldModel, rows: Sequence[PlannedRow], config: RunConfig) -> list[Measured]:
        """Play the starts of rows side by side, as often as samples are wanted, and as the controls do."""
        settings = config.settings(ClosedLoopSettings)
        play = partial(play_tasks, chunks=settings.chunks, replan_every=settings.replan_every)
        tasks = [PushTask(row.episode, row.case) for row in rows]
        cases = [_recorded(row, config) for row in rows]
        answers = _first_chunks(world_model, cases, config)
        played = [
            play(_told(world_model, rows, config, sample), tasks, every=_SHOWN_EVERY)
            for sample in range(config.samples)
        ]
        controls = {}
        if config.controls:
            controls[NO_PROMPT] = play(_told(world_model, rows, config, 0, silent=True), tasks)
            controls[RANDOM] = play(_aimless(cases), tasks)
        found = []
        for i, case in enumerate(cases):
            figures, absent = action_row(get_domain(config.domain), case, answers[i], controls=False)
            outcomes = {MODEL: [sample[i] for sample in played]} | {name: [each[i]] for name, each in controls.items()}
            figures |= _outcome_figures(outcomes)
            keep: dict[str, NDArray[Any]] = {"shown": outcomes[MODEL][0].frames, "chosen": answers[i]}
            found.append(Measured(plain(figures), absent, keep))
        return found

    def series(self, rows: Sequence[Row], domain: Domain) -> list[Series]:
        """What came of it; then, open loop, how far the first chunk is from a scripted pusher's."""
        names = dict.fromkeys(name for row in rows for name in row["figures"])
        reached = [name for name in names if name.startswith(("success", "T moved", "coverage"))]
        found = [series for name in reached for series in single(rows, name, "", higher_is_better=True)]
        found += single(rows, "way along the direction", "px of 512", higher_is_better=True)
        return [*found, *summary_series(rows), *channel_series(rows, domain)]

    def pooled(self, rows: Sequence[Row], domain: Domain) -> list[Pooled]:
        """None."""
        return []

    def scatters(self, rows: Sequence[Row], domain: Domain) -> list[Scatter]:
        """Whether the open-loop error says anything about the success."""
        there = [row["figures"] for row in rows if "action RMSE" in row["figures"]]
        if not there:
            return []
        points = [[row["action RMSE"][MODEL], row["way along the direction"][MODEL]] for row in there]
        title = "does the open-loop error tell what comes of it?"
        axes = ("action RMSE of the first chunk, normalised", "way along the direction, px of 512")
        return [Scatter(title, *axes, np.array(points), diagonal=False)]


def _recorded(row: PlannedRow, config: RunConfig) -> Case:
    """What a scripted pusher does from the same start in one chunk, and its prompt by hindsight."""
    domain = get_domain(config.domain)
    env = open_simulator()
    episode = record_episode(env, row.episode, config.chunk or domain.action_chunk_size)
    env.close()
    prompt = hindsight_prompt(episode.agent, episode.block)
    actions = Actions(episode.actions, ActionSpace.ROBOT, domain.name)
    return Case(row, Window(episode.frames, actions, prompt, None, row.episode, 0, FPS), None)


def _first_chunks(world_model: WorldModel, cases: Sequence[Case], config: RunConfig) -> list[NDArray[np.floating]]:
    """The samples `[k, T, 2]` of each row's first chunk, told what the scripted pusher did."""
    samples = []
    for sample in range(config.samples):
        options = call_options(config, cases) | {"seed": [case.row.seed + sample for case in cases]}
        answers = world_model.policy(
            [case.window.frames[0] for case in cases],
            domain=config.domain,
            action_chunk_size=len(cases[0].window.actions),
            return_frames=False,
            **options,
        )
        samples.append([answer.actions for answer in answers])
    return [np.stack([sample[i] for sample in samples]) for i in range(len(cases))]


def _told(
    world_model: WorldModel, rows: Sequence[PlannedRow], config: RunConfig, sample: int, *, silent: bool = False
) -> Choice:
    """The policy, with the noise of a sample; a silent one is not told what to do."""

    def choose(frames: list[Any], prompts: list[str], chunk: int) -> list[NDArray[np.float32]]:
        answers = world_model.policy(
            frames,
            prompt=[""] * len(prompts) if silent else prompts,
            domain=config.domain,
            seed=[chunk_seed(row.seed + sample, chunk) for row in rows],
            num_steps=config.num_steps,
            guidance=config.guidance,
            shift=config.shift,
            action_chunk_size=config.chunk,
            return_frames=False,
        )
        return [answer.actions for answer in answers]

    return choose


def _aimless(cases: Sequence[Case]) -> Choice:
    """Targets anywhere on the table, a new one every four actions; each row's from its own seed."""
    length = len(cases[0].window.actions)

    def choose(frames: list[Any], prompts: list[str], chunk: int) -> list[NDArray[np.float32]]:
        generators = [np.random.default_rng([case.row.seed, chunk]) for case in cases]
        drawn = [rng.uniform(20, 492, (-(-length // 4), 2)) for rng in generators]
        return [np.repeat(targets, 4, axis=0)[:length].astype(np.float32) for targets in drawn]

    return choose


def _outcome_figures(outcomes: dict[str, list[TaskOutcome]]) -> dict[str, Any]:
    """Means over the samples, by variant, and the best of them where there are several."""

    def mean(of: str) -> dict[str, float]:
        return {name: float(np.mean([getattr(each, of) for each in found])) for name, found in outcomes.items()}

    mine = outcomes[MODEL]
    figures: dict[str, Any] = {
        "success": mean("reached"),
        "T moved": mean("moved"),
        "coverage": mean("coverage") | {START: mine[0].coverage_before},
        "way along the direction": mean("way_along"),
    }
    if len(mine) > 1:
        figures[f"success, best of {len(mine)}"] = {MODEL: float(any(each.reached for each in mine))}
        figures[f"coverage, best of {len(mine)}"] = {MODEL: max(each.coverage for each in mine)}
    return figures
