"""The tables of an agreement run for a person; the page is `cosmos-robot report`'s."""

from collections.abc import Sequence

import numpy as np
from rich.table import Table

from cosmos_robot.benchmarks.agreement_suite import COVERAGE, REAL
from cosmos_robot.benchmarks.report_figures import RunFigures
from cosmos_robot.benchmarks.report_text import shown
from cosmos_robot.benchmarks.suite import MODEL, Row


def policies_table(rows: Sequence[Row]) -> Table:
    """Mean coverage of each policy in each world, the best in gym-pusht first."""
    means: dict[str, dict[str, float]] = {}
    worlds = list(rows[0]["figures"][COVERAGE])
    for name in dict.fromkeys(row["case"] for row in rows):
        mine = [row["figures"][COVERAGE] for row in rows if row["case"] == name]
        means[name] = {world: float(np.mean([each[world] for each in mine])) for world in worlds}
    starts = len({row["episode"] for row in rows})
    table = Table("policy", *worlds, box=None, pad_edge=False, title_justify="left")
    table.title = f"mean coverage over {starts} starts; least gap in {REAL} {least_gap(rows):.3f}"
    for name, found in sorted(means.items(), key=lambda item: -item[1][REAL]):
        table.add_row(name, *(f"{found[world]:.3f}" for world in worlds))
    return table


def agreement_table(run: RunFigures) -> Table:
    """How each world ranks the policies, with intervals of 95 of 100."""
    metrics = list(dict.fromkeys(metric for metric, _ in run.pooled))
    table = Table("world", *metrics, box=None, pad_edge=False)
    for world in dict.fromkeys(variant for _, variant in run.pooled):
        cells = [shown(run.pooled[metric, world][1]) or "not defined" for metric in metrics]
        table.add_row("learned" if world == MODEL else world, *cells)
    return table


def least_gap(rows: Sequence[Row]) -> float:
    """The least difference between the mean coverages of two policies in gym-pusht."""
    names = dict.fromkeys(row["case"] for row in rows)
    means = [np.mean([r["figures"][COVERAGE][REAL] for r in rows if r["case"] == name]) for name in names]
    return float(np.diff(np.sort(means)).min())
