"""The report of an agreement run: tables for a person, a file for a program, and a scatter plot."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from cosmos_robot.benchmarks.agreement import (
    LEARNED,
    REAL,
    Agreement,
    AgreementConfig,
    Row,
    agreements,
    coverages,
    least_gap,
)
from cosmos_robot.benchmarks.agreement_statistics import Interval

_COLOURS = {LEARNED: "#2f5fd0", "copy-first-frame": "#8a8f98", "shuffled-actions": "#e05020"}


def summary(rows: Sequence[Row], config: AgreementConfig) -> dict[str, Any]:
    """The figures as plain data; one that is not defined is None."""
    worlds = [REAL, *dict.fromkeys(row["world"] for row in rows if row["world"] != REAL)]
    means = {world: coverages(rows, config, world).mean(axis=1) for world in worlds}
    return {
        "policies": {
            name: {world: float(means[world][i]) for world in worlds} for i, name in enumerate(config.policies)
        },
        "starts": config.starts,
        "least_gap": least_gap(coverages(rows, config, REAL)),
        "agreement": [_plain(asdict(found)) for found in agreements(rows, config)],
    }


def write_report(rows: Sequence[Row], config: AgreementConfig, folder: Path) -> tuple[Table, Table]:
    """Write `summary.json` and `scatter.png`, and give the tables of the policies and of the agreement."""
    figures = summary(rows, config)
    (folder / "summary.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    found = agreements(rows, config)
    plot_scatter(folder / "scatter.png", rows, config, found)
    return policies_table(figures), agreement_table(found)


def policies_table(figures: dict[str, Any]) -> Table:
    """Mean coverage of each policy in each world."""
    worlds = list(next(iter(figures["policies"].values())))
    table = Table("policy", *worlds, box=None, pad_edge=False, title_justify="left")
    table.title = f"mean coverage over {figures['starts']} starts; least gap in {REAL} {figures['least_gap']:.3f}"
    for name, means in sorted(figures["policies"].items(), key=lambda item: -item[1][REAL]):
        table.add_row(name, *(f"{means[world]:.3f}" for world in worlds))
    return table


def agreement_table(found: Sequence[Agreement]) -> Table:
    """The measures of each world, with their intervals of 95 of 100."""
    table = Table("world", "Pearson r", "Spearman", "MMRV", "mean error", box=None, pad_edge=False)
    for each in found:
        shown = (_shown(each.pearson), _shown(each.spearman), _shown(each.mmrv), f"{each.mean_error:.3f}")
        table.add_row(each.world, *shown)
    return table


def plot_scatter(path: Path, rows: Sequence[Row], config: AgreementConfig, found: Sequence[Agreement]) -> None:
    """Draw each policy's mean coverage in gym-pusht against that in each world, with the standard errors."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 6.0), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#c8ccd2", linewidth=1, zorder=0)
    real = coverages(rows, config, REAL)
    for each in found:
        simulated = coverages(rows, config, each.world)
        colour = _COLOURS.get(each.world, "#20242c")
        errors = [
            values.std(axis=1, ddof=1) / np.sqrt(config.starts) if config.starts > 1 else None
            for values in (real, simulated)
        ]
        value = "not defined" if np.isnan(each.pearson.value) else f"{each.pearson.value:.3f}"
        axes.errorbar(
            real.mean(axis=1), simulated.mean(axis=1), xerr=errors[0], yerr=errors[1],
            fmt="o", color=colour, markersize=6, elinewidth=1, capsize=2, label=f"{each.world}: r {value}",
        )  # fmt: skip
        if each.world == LEARNED:
            for name, x, y in zip(config.policies, real.mean(axis=1), simulated.mean(axis=1), strict=True):
                axes.annotate(name, (x, y), xytext=(7, -11), textcoords="offset points", fontsize=8, color=colour)
    axes.set(
        xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=f"mean coverage in {REAL}", ylabel="mean coverage, imagined"
    )
    axes.set_title(f"{len(config.policies)} policies, {config.starts} starts each", loc="left")
    axes.legend(frameon=False, loc="upper left")
    axes.grid(alpha=0.25)
    figure.savefig(path, dpi=130)


def _shown(interval: Interval) -> str:
    if np.isnan(interval.value):
        return "not defined"
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def _plain(value: Any) -> Any:
    """Without NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return None if isinstance(value, float) and np.isnan(value) else value
