"""The plots of a report as SVG: figures against the horizon, and points."""

import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from cosmos_robot.benchmarks.needed_packages import needed
from cosmos_robot.benchmarks.plot_style import CONTROL_COLOURS, RUN_COLOURS, STYLE
from cosmos_robot.benchmarks.report_figures import RunFigures, curve
from cosmos_robot.benchmarks.suite import MODEL, Scatter, Series

_STYLE = STYLE | {
    "svg.fonttype": "none",  # text stays text: small files, and the page's own font
    "svg.hashsalt": "cosmos_robot",  # the same figures give the same file
    "font.family": "sans-serif",
}

_DASHES = ("--", ":", "-.")
_MOST_POINTS = 3000
_FEW_POINTS = 200


def curves_svg(runs: Sequence[RunFigures], metric: str) -> str:
    """One metric against the horizon: each run's model with its interval, and the first run's controls, dashed."""
    figure, axes = _axes(6.0, 3.4)
    unit = ""
    for colour, run in zip(_cycle(RUN_COLOURS, len(runs)), runs, strict=True):
        for series in _of(run, metric, model=True):
            unit = series.unit
            label = "model" if len(runs) == 1 else run.name
            _draw(axes, series, colour, label)
    controls = _of(runs[0], metric, model=False)
    looks = zip(_cycle(CONTROL_COLOURS, len(controls)), _cycle(_DASHES, len(controls)), controls, strict=True)
    for colour, dashes, series in looks:
        points = curve(series)
        steps = np.arange(1, len(points) + 1)
        axes.plot(steps, _values(points), color=colour, linestyle=dashes, label=series.variant)
    axes.set_xlabel("step of the horizon")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylabel(f"{metric.replace('_', ' ')}{f', {unit}' if unit else ''}")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=9, frameon=False)
    return _svg(figure)


def scatter_svg(scatter: Scatter, colour: str = RUN_COLOURS[0]) -> str:
    """Points, with the line of equality where it says something."""
    figure, axes = _axes(5.4, 4.2)
    points = scatter.points
    if len(points) > _MOST_POINTS:  # what is seen does not change, and the page stays small
        points = points[np.random.default_rng(0).choice(len(points), _MOST_POINTS, replace=False)]
    axes.scatter(
        points[:, 0],
        points[:, 1],
        s=14 if len(points) > _FEW_POINTS else 26,
        alpha=0.5,
        color=colour,
        linewidths=0,
        rasterized=len(points) > 400,
    )
    if scatter.diagonal:
        low, high = float(points.min()), float(points.max())
        axes.plot([low, high], [low, high], color=CONTROL_COLOURS[0], linewidth=1)
    axes.set_xlabel(scatter.x)
    axes.set_ylabel(scatter.y)
    axes.set_title(scatter.title, loc="left", fontsize=11)
    return _svg(figure)


def step_metrics(runs: Sequence[RunFigures]) -> list[str]:
    """Metrics that have a curve."""
    return list(dict.fromkeys(s.metric for run in runs for s in run.series if s.steps))


def _draw(axes: Any, series: Series, colour: str, label: str) -> None:
    points = curve(series)
    steps = np.arange(1, len(points) + 1)
    axes.plot(steps, _values(points), color=colour, linewidth=2, label=label)
    bounds = [(p.low, p.high) if p.low is not None and p.high is not None else (np.nan, np.nan) for p in points]
    low, high = np.array(bounds, dtype=np.float64).T
    axes.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)


def _of(run: RunFigures, metric: str, *, model: bool) -> list[Series]:
    return [s for s in run.series if s.metric == metric and s.steps and (s.variant == MODEL) == model]


def _values(points: Sequence[Any]) -> Any:
    return np.array([np.nan if point.value is None else point.value for point in points], dtype=np.float64)


def _cycle(colours: Sequence[str], count: int) -> list[str]:
    return [colours[i % len(colours)] for i in range(count)]


def _axes(width: float, height: float) -> tuple[Any, Any]:
    mpl, figures = needed("matplotlib"), needed("matplotlib.figure")
    with mpl.rc_context(_STYLE):
        figure = figures.Figure(figsize=(width, height), layout="constrained")
        return figure, figure.subplots()


def _svg(figure: Any) -> str:
    mpl, text = needed("matplotlib"), io.StringIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None}, dpi=150)
    found = text.getvalue()
    drawn = found[found.index("<svg") :]
    return re.sub(
        r'(<svg[^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", drawn, count=1), count=1
    )
