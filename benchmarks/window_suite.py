"""What the suites have in common whose rows are windows of recorded episodes."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from cosmos_robot.benchmarks.run_config import RunConfig
from cosmos_robot.benchmarks.run_episodes import open_run_episodes
from cosmos_robot.benchmarks.run_plan import PlannedRow, plan_rows, run_windows
from cosmos_robot.benchmarks.suite import Load, Measure, Measured
from cosmos_robot.datasets.windows import Window, Windows
from cosmos_robot.interface.request import ActionOptions
from cosmos_robot.interface.world_model import WorldModel


@dataclass(frozen=True, eq=False)
class Case:
    """A row with the data that it is measured on.

    Attributes:
        row: the plan's.
        window: what happened.
        other: a window of another episode, or None where there is none.
    """

    row: PlannedRow
    window: Window
    other: Window | None


@dataclass(frozen=True)
class WindowSuite(ABC):
    """A suite whose rows are windows."""

    settings: type[Any] | None = None

    def plan(self, config: RunConfig) -> list[PlannedRow]:
        """Draw windows from all episodes."""
        with closing(open_run_episodes(config.episodes)) as episodes:
            return plan_rows(config, run_windows(config, episodes))

    def begin(self, config: RunConfig, load: Load) -> Measure:
        """Open the episodes, then the world model."""
        available = run_windows(config, open_run_episodes(config.episodes))
        world_model = load()
        return lambda rows: self.measure(world_model, [_case(available, row) for row in rows], config)

    @abstractmethod
    def measure(self, world_model: WorldModel, cases: Sequence[Case], config: RunConfig) -> list[Measured]:
        """Measure windows in as few calls of the world model as can be."""


def call_options(config: RunConfig, cases: Sequence[Case]) -> ActionOptions:
    """The keywords of a call that is about several rows."""
    return {
        "prompt": [case.window.prompt if config.prompt is None else config.prompt for case in cases],
        "seed": [case.row.seed for case in cases],
        "num_steps": config.num_steps,
        "guidance": config.guidance,
        "shift": config.shift,
        "fps": config.fps,
        "image_size": config.image_size,
        "view_point": config.view_point,
    }


def _case(available: Windows, row: PlannedRow) -> Case:
    assert row.window is not None
    return Case(row, available[row.window], None if row.other is None else available[row.other])
