"""The README's two plots of the embedded model, drawn from the published results alone."""

from pathlib import Path
from typing import Any

import numpy as np

from cosmos_robot.benchmarks.needed_packages import needed
from cosmos_robot.benchmarks.plot_style import CONTROL_COLOURS, RUN_COLOURS, STYLE
from cosmos_robot.benchmarks.published_results import Results
from cosmos_robot.benchmarks.suite import MODEL

_SHARES = (
    ("policy in gym-pusht", "closed-loop", "success"),
    ("video from words", "text2video", "T goes as told"),
    ("video from words\nand first frame", "image2video", "T goes as told"),
)
_CHANCE = 0.25


def draw_plots(results: Results, root: Path, pictures: tuple[str, str]) -> None:
    """Draw both; the same results give the same files.

    Args:
        results: what is drawn.
        root: of the repository.
        pictures: paths of the PNGs in it.
    """
    mpl, figures = needed("matplotlib"), needed("matplotlib.figure")
    for path, draw, size in zip(pictures, (_horizon, _shares), ((9.0, 3.4), (9.0, 3.6)), strict=True):
        with mpl.rc_context(STYLE):
            figure = figures.Figure(figsize=size, layout="constrained", facecolor="white")
            draw(figure, results)
            figure.savefig(root / path, dpi=110, metadata={"Software": None})


def _horizon(figure: Any, results: Results) -> None:
    runs = ("forward-dynamics", "forward-dynamics-64-actions")
    for axes, run, title in zip(figure.subplots(1, 2, sharey=True), runs, ("one chunk", "chained chunks"), strict=True):
        curves = results.runs[run]["curves"]["psnr"]
        controls = iter(CONTROL_COLOURS)
        for variant, points in curves.items():
            values = np.array(points, dtype=np.float64)
            steps = np.arange(1, len(values) + 1)
            if variant == MODEL:
                axes.plot(steps, values[:, 0], color=RUN_COLOURS[0], linewidth=2, label="embedded model")
                axes.fill_between(steps, values[:, 1], values[:, 2], color=RUN_COLOURS[0], alpha=0.15, linewidth=0)
            else:
                axes.plot(steps, values[:, 0], color=next(controls), linestyle="--", label=variant)
        axes.set_title(title, loc="left", fontsize=11)
        axes.set_xlabel("action (10 a second)")
        axes.legend(fontsize=8, loc="upper right")
    figure.axes[0].set_ylabel("PSNR, dB")


def _shares(figure: Any, results: Results) -> None:
    """Bars of the model and of its controls, side by side, with their intervals."""
    axes = figure.subplots()
    place, ticks = 0.0, []
    for label, run, metric in _SHARES:
        names = results.variants(run, metric)
        for i, name in enumerate(names):
            found = results.figure(run, metric, name)
            assert found is not None
            assert found.value is not None
            colour = RUN_COLOURS[0] if name == MODEL else CONTROL_COLOURS[0]
            axes.barh(place, found.value, color=colour, height=0.8)
            if found.low is not None and found.high is not None:
                axes.plot([found.low, found.high], [place, place], color="#20242c", linewidth=1)
            axes.text(-0.01, place, "model" if name == MODEL else name, ha="right", va="center", fontsize=9)
            if i == 0:
                ticks.append((place, label))
            place -= 1.0
        place -= 0.6
    for at, label in ticks:
        axes.text(-0.42, at, label, ha="left", va="center", fontsize=9, fontweight="bold")
    axes.axvline(_CHANCE, color=CONTROL_COLOURS[1], linestyle="--", linewidth=1)
    axes.text(_CHANCE + 0.005, 0.65, "one in four", fontsize=8, color="#6b717b", va="center")
    axes.set(xlim=(-0.42, 1.0), yticks=[], xlabel="share in which the T goes where it was told")
    axes.set_xticks(np.linspace(0, 1, 6), [f"{share:.0%}" for share in np.linspace(0, 1, 6)])
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_bounds(0, 1)
