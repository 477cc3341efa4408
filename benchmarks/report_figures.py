"""The figures of a report, computed from the rows of runs: means with their intervals, and differences of runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cosmos_robot.benchmarks.bootstrap_interval import Estimate, mean_of, paired_difference, statistic_of
from cosmos_robot.benchmarks.run_execution import read_run
from cosmos_robot.benchmarks.suite import MODEL, Pooled, Row, RowKey, Scatter, Series, Suite, key_of
from cosmos_robot.benchmarks.suites import SUITE_OF
from cosmos_robot.domains.domain import Domain
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.errors import InvalidInputError


@dataclass(frozen=True, eq=False)
class RunFigures:
    """A run as a report shows it.

    Attributes:
        name: of the run: its folder's.
        folder: where it lies.
        head: what was run.
        suite: its suite.
        domain: the robot.
        rows: those that did not fail.
        failed: those that did.
        series: figures row by row.
        pooled: figures of all rows, by metric and variant.
        scatters: what is worth looking at.
        absent: why figures are not there.
        planned: rows that there will be.
    """

    name: str
    folder: Path
    head: Mapping[str, Any]
    suite: Suite
    domain: Domain
    rows: Sequence[Row]
    failed: Sequence[Row]
    series: Sequence[Series]
    pooled: Mapping[tuple[str, str], tuple[Pooled, Estimate]]
    scatters: Sequence[Scatter]
    absent: Mapping[str, str]
    planned: int


@dataclass(frozen=True)
class Line:
    """A line of the table.

    Attributes:
        metric: what is measured.
        unit: of it.
        higher_is_better: which way is up.
        variant: `model`, or a control.
        estimates: one for each run; None where a run has not got it.
        differences: from the first run, over the rows that both have; one for each further run, None where it is of
            other episodes.
    """

    metric: str
    unit: str
    higher_is_better: bool
    variant: str
    estimates: tuple[Estimate | None, ...]
    differences: tuple[Estimate | None, ...]


def read_figures(folder: Path) -> RunFigures:
    """Compute the figures of a run from its rows.

    Raises:
        InvalidInputError: if there is no run, or it has no row that can be shown.
    """
    if not (folder / "plan.jsonl").is_file() or not (folder / "run.json").is_file():
        raise InvalidInputError(f"{folder} is no folder of a benchmark run: it has no plan.jsonl.")
    head, every = read_run(folder)
    rows = [row for row in every if row["status"] == "ok"]
    failed = [row for row in every if row["status"] == "failed"]
    if not every:
        raise InvalidInputError(f"{folder} has no row yet; run it again to go on.")
    suite, domain = SUITE_OF[head["suite"]], get_domain(head["domain"])
    absent: dict[str, str] = {}
    for row in rows:
        absent.update(row["absent"])
    pooled = {
        (each.metric, each.variant): (each, statistic_of(each.values, _groups(each.values), each.measure))
        for each in (suite.pooled(rows, domain) if rows else ())
    }
    return RunFigures(
        name=folder.resolve().name,
        folder=folder,
        head=head,
        suite=suite,
        domain=domain,
        rows=rows,
        failed=failed,
        series=suite.series(rows, domain) if rows else (),
        pooled=pooled,
        scatters=suite.scatters(rows, domain) if rows else (),
        absent=absent,
        planned=len((folder / "plan.jsonl").read_text(encoding="utf-8").splitlines()),
    )


def named_apart(runs: Sequence[RunFigures]) -> list[RunFigures]:
    """Runs whose folders have the same name, with the folders above in their names, as many as it takes.

    Raises:
        InvalidInputError: if a folder is there twice.
    """
    places = [run.folder.resolve() for run in runs]
    twice = next((place for place in places if places.count(place) > 1), None)
    if twice is not None:
        raise InvalidInputError(f"{twice} was named twice; a run is compared with others.")
    depth = 1
    while len({place.parts[-depth:] for place in places}) < len(places):
        depth += 1
    return [
        replace(run, name="/".join(place.parts[-depth:]) if depth > 1 else run.name)
        for run, place in zip(runs, places, strict=True)
    ]


def same_episodes(run: RunFigures, other: RunFigures) -> bool:
    """Whether rows of two runs that have the same key are of the same thing."""
    return bool(run.head["episodes_digest"] == other.head["episodes_digest"])


def compare(runs: Sequence[RunFigures]) -> list[Line]:
    """The table of one run or of several side by side.

    Raises:
        InvalidInputError: if they are not of one suite and one domain.
    """
    kinds = sorted({f"{run.head['suite']} of {run.domain.name}" for run in runs})
    if len(kinds) != 1:
        raise InvalidInputError(f"runs of one suite and one domain stand side by side; got {', '.join(kinds)}.")
    found = [{(s.metric, s.variant): s for s in run.series} for run in runs]
    paired = [same_episodes(runs[0], run) for run in runs]
    names = dict.fromkeys((s.metric, s.variant) for run in runs for s in run.series)
    lines = []
    for metric, variant in names:
        each = [run.get((metric, variant)) for run in found]
        known = next(s for s in each if s is not None)
        estimates = tuple(None if s is None else mean_of(s.values, _groups(s.values)) for s in each)
        lines.append(Line(metric, known.unit, known.higher_is_better, variant, estimates, _differences(each, paired)))
    lines += [
        _pooled_line([run.pooled.get(key) for run in runs], paired)
        for key in dict.fromkeys(key for run in runs for key in run.pooled)
    ]
    order = list(dict.fromkeys(line.metric for line in lines))
    return sorted(lines, key=lambda line: order.index(line.metric))


def curve(series: Series) -> list[Estimate]:
    """Mean over the rows for each step of the horizon, with its interval."""
    points = []
    for step in range(max(len(steps) for steps in series.steps.values())):
        there = {key: steps[step] for key, steps in series.steps.items() if step < len(steps)}
        values = {key: value for key, value in there.items() if value is not None}
        points.append(mean_of(values, _groups(values)))
    return points


def ranked_rows(run: RunFigures) -> list[tuple[Row, float]]:
    """Rows from best to worst, with the figure that says so."""
    series = ranking_series(run)
    if series is None:
        return []
    by_key = {key_of(row): row for row in run.rows}
    order = sorted(series.values.items(), key=lambda item: item[1], reverse=series.higher_is_better)
    return [(by_key[key], value) for key, value in order]


def ranking_series(run: RunFigures) -> Series | None:
    """The figure by which rows are called best and worst: the suite's, or the first that there is."""
    mine = [series for series in run.series if series.variant == MODEL]
    return next((series for series in mine if series.metric == run.suite.ranking), mine[0] if mine else None)


def _groups(values: Mapping[RowKey, Any]) -> dict[RowKey, int]:
    return {key: key[0] for key in values}


def _differences(each: Sequence[Series | None], paired: Sequence[bool]) -> tuple[Estimate | None, ...]:
    first, *others = each
    found: list[Estimate | None] = []
    for other, same in zip(others, paired[1:], strict=True):
        if first is None or other is None or not same:
            found.append(None)
            continue
        values = {key: other.values[key] - first.values[key] for key in other.values if key in first.values}
        found.append(mean_of(values, _groups(values)) if values else None)
    return tuple(found)


def _pooled_line(each: Sequence[tuple[Pooled, Estimate] | None], paired: Sequence[bool]) -> Line:
    known, _ = next(found for found in each if found is not None)
    first, *others = each
    differences = tuple(
        None
        if first is None or other is None or not same
        else paired_difference(first[0].values, other[0].values, _groups(other[0].values), known.measure)
        for other, same in zip(others, paired[1:], strict=True)
    )
    estimates = tuple(None if found is None else found[1] for found in each)
    return Line(known.metric, known.unit, known.higher_is_better, known.variant, estimates, differences)
