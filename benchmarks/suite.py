"""What every suite of offline runs has: how it measures rows, and which of its numbers are figures of a report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.benchmarks.bootstrap_interval import Statistic
from cosmos_robot.benchmarks.run_config import RunConfig
from cosmos_robot.benchmarks.run_plan import PlannedRow
from cosmos_robot.domains.domain import Domain
from cosmos_robot.interface.world_model import WorldModel

type Row = dict[str, Any]
"""A row of `rows.jsonl`: its plan, `status`, `error`, `seconds`, `machine`, `figures` and `absent`."""

type RowKey = tuple[int, int, int, str]
"""Episode, start, seed and case: what two runs have in common. Rows of one episode are no independent witnesses."""

type Load = Callable[[], WorldModel]
"""Loads the world model of a run; a suite that needs none does not call it."""

type Measure = Callable[[Sequence[PlannedRow]], list[Measured]]
"""Measures planned rows, in as few calls of the world model as can be."""

MODEL = "model"


@dataclass(frozen=True, eq=False)
class Measured:
    """What a suite finds out about one row.

    Attributes:
        figures: plain numbers, lists and dictionaries, as JSON has them.
        absent: why a figure is not there, by its name.
        prediction: arrays to keep, by name: what was predicted and what was true.
    """

    figures: Mapping[str, Any]
    absent: Mapping[str, str] = field(default_factory=dict)
    prediction: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Series:
    """One figure of one variant, row by row.

    Attributes:
        metric: its name.
        unit: as shown.
        variant: `model`, or the control.
        higher_is_better: which way is up.
        values: by row; the mean over the steps where there are steps.
        steps: by row a value for each step of the horizon; empty where there are none.
    """

    metric: str
    unit: str
    variant: str
    higher_is_better: bool
    values: Mapping[RowKey, float]
    steps: Mapping[RowKey, Sequence[float | None]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Pooled:
    """A figure of all rows together, as R² is: no mean of rows.

    Attributes:
        metric: its name.
        unit: as shown.
        variant: `model`, or the control.
        higher_is_better: which way is up.
        values: what it is taken of, by row.
        measure: takes a list of such and gives the figure, or None where it is not defined.
    """

    metric: str
    unit: str
    variant: str
    higher_is_better: bool
    values: Mapping[RowKey, Any]
    measure: Statistic


@dataclass(frozen=True, eq=False)
class Scatter:
    """Points to look at.

    Attributes:
        title: what is seen.
        x: name of the first coordinate, with its unit.
        y: of the second.
        points: `[n, 2]`.
        diagonal: whether equality is a line worth seeing.
    """

    title: str
    x: str
    y: str
    points: NDArray[np.float64]
    diagonal: bool = True


class Suite(Protocol):
    """A kind of run."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Modules of optional packages, which are looked for before anything is measured."""

    @property
    def ranking(self) -> str:
        """Name of the series by which rows are called best and worst."""

    @property
    def settings(self) -> type[Any] | None:
        """The dataclass of its own settings, or None where it has none."""

    def plan(self, config: RunConfig) -> list[PlannedRow]:
        """The rows of a run, in their order; the same settings give the same rows."""

    def begin(self, config: RunConfig, load: Load) -> Measure:
        """Open in a worker, once, what its rows need."""

    def series(self, rows: Sequence[Row], domain: Domain) -> list[Series]:
        """Take the figures out of rows that did not fail."""

    def pooled(self, rows: Sequence[Row], domain: Domain) -> list[Pooled]:
        """Those that are of all rows together."""

    def scatters(self, rows: Sequence[Row], domain: Domain) -> list[Scatter]:
        """What is worth looking at point by point."""


def key_of(row: Row) -> RowKey:
    """What tells a row from others of any run."""
    return row["episode"], row["start"], row["seed"], row["case"]


def plain(values: Any, digits: int = 6) -> Any:
    """Arrays and numbers as JSON has them, with so many significant digits; NaN is None."""
    if isinstance(values, np.ndarray):
        return plain(values.tolist(), digits)
    if isinstance(values, Mapping):
        return {key: plain(value, digits) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [plain(value, digits) for value in values]
    if isinstance(values, float | np.floating):
        return float(f"{values:.{digits}g}") if np.isfinite(values) else None
    return int(values) if isinstance(values, np.integer) else values


def mean_or_none(values: Sequence[float | None]) -> float | None:
    """Mean of those that there are."""
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None


def stepwise(rows: Sequence[Row], metric: str, unit: str, *, higher_is_better: bool) -> list[Series]:
    """The series of a figure that rows have as `{variant: [step, ...]}`."""
    series = []
    for variant in dict.fromkeys(name for row in rows for name in row["figures"].get(metric) or {}):
        steps = {key_of(row): row["figures"][metric][variant] for row in rows if variant in row["figures"][metric]}
        means = {key: mean_or_none(curve) for key, curve in steps.items()}
        values = {key: value for key, value in means.items() if value is not None}
        if values:
            series.append(Series(metric, unit, variant, higher_is_better, values, steps))
    return series


def single(rows: Sequence[Row], metric: str, unit: str, *, higher_is_better: bool) -> list[Series]:
    """The series of a figure that rows have as `{variant: number}`."""
    series = []
    for variant in dict.fromkeys(name for row in rows for name in row["figures"].get(metric) or {}):
        values = {
            key_of(row): float(row["figures"][metric][variant])
            for row in rows
            if (row["figures"].get(metric) or {}).get(variant) is not None
        }
        if values:
            series.append(Series(metric, unit, variant, higher_is_better, values))
    return series
