"""The demo's curves: errors over the actions, and the actions that inverse dynamics reads off the frames."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.benchmarks.plot_style import STYLE
from cosmos_robot.benchmarks.pusher_position import NOT_FOUND_ERROR
from cosmos_robot.types import FloatArray, Frames

_LEARNED = "#2f5fd0"
_BASELINE = "#8a8f98"
_READ = "#e05020"
_TRUE = "#20242c"


def plot_errors(
    path: Path,
    *,
    psnr: NDArray[np.floating],
    copied: NDArray[np.floating],
    positions: Mapping[str, NDArray[np.floating]],
    chunk: int,
) -> None:
    """Draw the errors of frames 1..T.

    Args:
        path: of the PNG.
        psnr: `[T]` of the learned frames, dB.
        copied: `[T]` of the first frame repeated, dB.
        positions: `[T]` errors of positions in pixels of a 96 px frame, by what is where it should not be;
            `NOT_FOUND_ERROR` where it is not found.
        chunk: actions of one generation.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    steps = np.arange(1, len(psnr) + 1)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 3 + 2.6 * len(positions)), layout="constrained")
        above, *others = figure.subplots(1 + len(positions), 1, sharex=True)
        above.plot(steps, psnr, color=_LEARNED, linewidth=2, label="learned model")
        above.plot(steps, copied, color=_BASELINE, linewidth=2, linestyle="--", label="first frame copied")
        above.set_ylabel("PSNR of the frame, dB")
        above.set_title("The learned simulator against the real one, frame by frame", loc="left", fontsize=13)
        for below, (name, position) in zip(others, positions.items(), strict=True):
            _plot_position(below, steps, name, position)
        others[-1].set_xlabel("action (10 a second)")
        for axes in (above, *others):
            _mark_chunks(axes, len(psnr), chunk)
            axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        figure.savefig(path, dpi=130)


def plot_actions(path: Path, *, frame: Frames, true: FloatArray, read: FloatArray, chunk: int) -> None:
    """Draw the actions that were read off the simulator's frames over those that were taken.

    Args:
        path: of the PNG.
        frame: the first frame, uint8 `[H, W, 3]`, under the pusher's way.
        true: `[T, 2]` targets that were given, in table pixels.
        read: `[T, 2]` targets that inverse dynamics read.
        chunk: actions of one generation.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    steps = np.arange(1, len(true) + 1)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(12, 5), layout="constrained")
        grid = figure.add_gridspec(2, 2, width_ratios=(1.5, 1.0))
        for row, name in enumerate(("target x, px", "target y, px")):
            axes = figure.add_subplot(grid[row, 0])
            axes.plot(steps, true[:, row], color=_TRUE, linewidth=2, label="given to the simulator")
            axes.plot(steps, read[:, row], color=_READ, linewidth=1.5, marker=".", label="read off its frames")
            axes.set_ylabel(name)
            _mark_chunks(axes, len(true), chunk)
            if row == 0:
                axes.set_title(f"Actions read back by inverse dynamics, {chunk} at once", loc="left", fontsize=13)
                axes.tick_params(labelbottom=False)
            else:
                axes.set_xlabel("action (10 a second)")
        table = figure.add_subplot(grid[:, 1])
        table.imshow(frame, extent=(0.0, 512.0, 512.0, 0.0), interpolation="nearest", alpha=0.45)
        table.plot(true[:, 0], true[:, 1], color=_TRUE, linewidth=2, label="given to the simulator")
        table.plot(read[:, 0], read[:, 1], color=_READ, linewidth=1.5, marker=".", label="read off its frames")
        table.set(xlim=(0, 512), ylim=(512, 0), xlabel="x, px of the 512 px table", ylabel="y, px", xticks=_TICKS)
        table.set_yticks(_TICKS)
        table.grid(visible=False)
        table.set_title("the same on the table, over the first frame", loc="left", fontsize=11)
        figure.legend(*table.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        figure.savefig(path, dpi=130)


def _plot_position(axes: Any, steps: NDArray[np.integer], name: str, position: NDArray[np.floating]) -> None:
    found = position < NOT_FOUND_ERROR
    known = np.where(found, position, np.nan)
    axes.plot(steps, known, color=_LEARNED, linewidth=2, marker=".", label="learned model")
    axes.set_ylabel(f"how far the {name} is off,\npx of a 96 px frame")
    axes.set_ylim(bottom=0, top=1.15 * max(2.0, float(position[found].max(initial=0.0))))
    if not found.all():
        height = np.full(int((~found).sum()), 0.97)
        transform = axes.get_xaxis_transform()
        axes.plot(steps[~found], height, "x", color=_READ, transform=transform, clip_on=False, label=f"no {name} found")


_TICKS = (0, 128, 256, 384, 512)


def _mark_chunks(axes: Any, steps: int, chunk: int) -> None:
    """Draw a line where the model goes on from its own last frame."""
    for index, step in enumerate(range(chunk, steps, chunk)):
        label = f"next chunk of {chunk}" if index == 0 else None
        axes.axvline(step + 0.5, color=_BASELINE, linewidth=1, linestyle=":", label=label)
    axes.set_xticks(range(0, steps + 1, chunk // 2))
    axes.set_xlim(0, steps + 1)
