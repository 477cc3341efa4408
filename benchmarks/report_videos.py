"""The videos of a report: what happened beside what was imagined, of the best, the median and the worst row."""

import base64
import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from cosmos_robot.benchmarks.report_figures import RunFigures, ranked_rows, ranking_series
from cosmos_robot.benchmarks.run_execution import has_prediction, read_prediction
from cosmos_robot.datasets.video import write_video
from cosmos_robot.types import Frames

_WIDTH = 192
"""Pixels of one of the three pictures at least; whole factors without smoothing, to see what a model got wrong."""

_FPS = 5.0


@dataclass(frozen=True)
class ShownVideo:
    """A video of a row.

    Attributes:
        title: which row, and its figure.
        video: data URI of an mp4.
        poster: data URI of its middle frame.
        compared: whether it is three pictures side by side: what happened, what was imagined, and where they differ.
    """

    title: str
    video: str
    poster: str
    compared: bool


def shown_videos(run: RunFigures) -> tuple[list[ShownVideo], str | None]:
    """The videos of a run, or why there are none."""
    if not run.rows:
        return [], "no row is finished."
    ranking = ranking_series(run)
    if ranking is None:
        return [], "no figure says which row is best."
    ranked = [(row, value) for row, value in ranked_rows(run) if has_prediction(run.folder, row["row"])]
    if not ranked:
        return [], "the run kept no predictions (--keep-predictions)."
    found = []
    for name, place in (("best", 0), ("median", (len(ranked) - 1) // 2), ("worst", len(ranked) - 1)):
        row, value = ranked[place]
        kept = read_prediction(run.folder, row["row"])
        if kept is None or not {"imagined", "shown"} & set(kept):
            return [], "this suite makes no frames."
        frames = large(kept["shown"]) if "shown" in kept else side_by_side(kept["true"], kept["imagined"])
        title = f"{name}: {ranking.metric} {value:.4g}, episode {row['episode']}, from frame {row['start']}"
        title += f", {row['case']}" if row["case"] else ""
        found.append(_shown(title, frames, compared="shown" not in kept))
    return found, None


def side_by_side(truth: Frames, imagined: Frames) -> Frames:
    """What happened, what was imagined, and twice their difference as darkness: `[N, H, 3 W + gaps, 3]`."""
    apart = np.abs(truth.astype(np.int16) - imagined).max(axis=-1, keepdims=True)
    difference = np.repeat(255 - np.clip(2 * apart, 0, 255), 3, axis=-1).astype(np.uint8)
    clips = [large(clip) for clip in (truth, imagined, difference)]
    gap = np.full((*clips[0].shape[:2], 8, 3), 255, np.uint8)
    return _even(np.concatenate([clips[0], gap, clips[1], gap, clips[2]], axis=2))


def large(frames: Frames) -> Frames:
    """Frames of at least 192 pixels' width, in whole factors."""
    factor = max(1, -(-_WIDTH // frames.shape[2]))
    return _even(frames.repeat(factor, axis=1).repeat(factor, axis=2))


def _even(frames: Frames) -> Frames:
    """Cut to the even height and width that h264 takes."""
    cut: Frames = frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2]
    return cut


def _shown(title: str, frames: Frames, *, compared: bool) -> ShownVideo:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_video(path, frames, _FPS)
        video = path.read_bytes()
    picture = io.BytesIO()
    Image.fromarray(frames[len(frames) // 2]).save(picture, "jpeg", quality=80)
    return ShownVideo(title, _uri("video/mp4", video), _uri("image/jpeg", picture.getvalue()), compared)


def _uri(kind: str, data: bytes | Sequence[int]) -> str:
    return f"data:{kind};base64,{base64.b64encode(bytes(data)).decode()}"
