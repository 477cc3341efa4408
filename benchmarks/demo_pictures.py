"""What a person looks at: the simulator and the learned model side by side as a video, and as a sheet of single frames.

Frames are enlarged by whole factors without smoothing, so that what a model got wrong is seen as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from cosmos_robot.datasets.atomic_file import replaced_when_complete
from cosmos_robot.types import FloatArray, Frames

PAPER = (250, 250, 248)
INK = (32, 36, 44)
QUIET = (118, 124, 134)
LINE = (206, 208, 212)
TARGET = (224, 80, 32)
"""Orange: in no frame of Push-T, and apart from its blue, green and grey also for colour-blind eyes."""

GIF_LIMIT = 1_500_000
"""Bytes: what a page of a repository loads at once."""

_VIDEO_SCALE = 3
_SHEET_SCALE = 2
_MARGIN = 18
_TABLE = 512.0


@dataclass(frozen=True, eq=False)
class Strip:
    """Frames uint8 `[N, H, W, 3]` under one title."""

    title: str
    frames: Frames


def side_by_side(
    left: Strip, right: Strip, *, targets: FloatArray, notes: Sequence[str], chunk: int, cross: str, gap: str
) -> Frames:
    """Draw two strips beside each other, with what happens written below.

    Args:
        left: N frames.
        right: N frames.
        targets: `[N - 1, 2]` where the pusher is sent, in table pixels; target `i` leads to frame `i + 1`.
        notes: for each frame one short line.
        chunk: actions of one generation; the bar below is divided by it.
        cross: what the orange cross is.
        gap: what happens where the bar is divided.

    Returns:
        uint8 `[N, height, width, 3]`.
    """
    return np.stack(
        [
            _pair(left, right, index, targets=targets, note=notes[index], chunk=chunk, cross=cross, gap=gap)
            for index in range(len(left.frames))
        ]
    )


def difference(left: Frames, right: Frames) -> Frames:
    """Twice the absolute difference of two clips as darkness: white where they agree."""
    apart = np.abs(left.astype(np.int16) - right.astype(np.int16)).max(axis=-1, keepdims=True)
    grey: Frames = (255 - np.clip(2 * apart, 0, 255)).astype(np.uint8)
    return np.repeat(grey, 3, axis=-1)


def contact_sheet(strips: Sequence[Strip], *, every: int, chunk: int, title: str) -> Image.Image:
    """Put every so many frames of some strips below each other.

    Args:
        strips: rows, of the same length N.
        every: frames between two columns.
        chunk: actions of one generation; the columns where one ends are marked.
        title: over the whole.
    """
    steps = list(range(0, len(strips[0].frames), every))
    side = strips[0].frames.shape[1] * _SHEET_SCALE
    label, gap, head = 128, 8, 92
    width = _MARGIN + label + len(steps) * (side + gap) - gap + _MARGIN
    sheet = Image.new("RGB", (width, head + len(strips) * (side + gap) - gap + _MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN), title, font=_font(22), fill=INK)
    for column, step in enumerate(steps):
        x = _MARGIN + label + column * (side + gap)
        ends = step > 0 and step % chunk == 0
        text = "start" if step == 0 else f"action {step}"
        draw.text((x, head - 30), text, font=_font(17), fill=INK)
        if ends:
            draw.text((x + side, head - 29), f"chunk {step // chunk} ends", font=_font(15), fill=TARGET, anchor="ra")
        for row, strip in enumerate(strips):
            y = head + row * (side + gap)
            sheet.paste(Image.fromarray(_enlarged(strip.frames[step], _SHEET_SCALE)), (x, y))
            draw.rectangle((x - 1, y - 1, x + side, y + side), outline=LINE)
    for row, strip in enumerate(strips):
        middle = head + row * (side + gap) + side // 2
        draw.multiline_text((_MARGIN, middle), strip.title, font=_font(18), fill=INK, anchor="lm", spacing=5)
    return sheet


def write_gif(path: Path, frames: Frames, fps: float, *, limit: int = GIF_LIMIT) -> None:
    """Write a moving picture that goes round for ever and rests on its last frame.

    Fewer colours are used where the file would be larger than `limit` bytes; the last attempt stands.
    """
    for colours in (160, 64, 24):
        images = _one_palette(frames, colours)
        pause = round(1000.0 / fps)
        with replaced_when_complete(path) as temporary:
            images[0].save(
                temporary,
                save_all=True,
                append_images=images[1:],
                duration=[*([pause] * (len(images) - 1)), 1500],
                loop=0,
                optimize=False,
            )
        if path.stat().st_size <= limit:
            return


def _one_palette(frames: Frames, colours: int) -> list[Image.Image]:
    """All frames in the colours of a few of them, without dither, which would flicker and not compress."""
    some = np.concatenate(list(frames[:: max(1, len(frames) // 6)]))
    palette = Image.fromarray(some).quantize(colours, method=Image.Quantize.MEDIANCUT)
    return [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]


def _pair(
    left: Strip, right: Strip, index: int, *, targets: FloatArray, note: str, chunk: int, cross: str, gap: str
) -> NDArray[np.uint8]:
    height, width = (side * _VIDEO_SCALE for side in left.frames.shape[1:3])
    top = 50
    picture = Image.new("RGB", (3 * _MARGIN + 2 * width, top + height + 104), PAPER)
    draw = ImageDraw.Draw(picture)
    target = targets[min(max(index - 1, 0), len(targets) - 1)]
    for column, strip in enumerate((left, right)):
        x = _MARGIN + column * (width + _MARGIN)
        draw.text((x, top - 9), strip.title, font=_font(22), fill=INK, anchor="ls")
        pane = Image.fromarray(_enlarged(strip.frames[index], _VIDEO_SCALE))
        _cross(ImageDraw.Draw(pane), (target[0] * width / _TABLE, target[1] * height / _TABLE))
        picture.paste(pane, (x, top))
        draw.rectangle((x - 1, top - 1, x + width, top + height), outline=LINE)
    _timeline(draw, (_MARGIN, picture.width - _MARGIN, top + height + 20), index, len(targets), chunk)
    baseline = top + height + 54
    done = f"action {index} of {len(targets)}"
    draw.text((_MARGIN, baseline), done, font=_font(18), fill=INK, anchor="ls")
    draw.text((picture.width - _MARGIN, baseline), note, font=_font(18), fill=INK, anchor="rs")
    _cross(draw, (_MARGIN + 8, baseline + 27))
    draw.text((_MARGIN + 24, baseline + 32), cross, font=_font(15), fill=QUIET, anchor="ls")
    draw.text((picture.width - _MARGIN, baseline + 32), gap, font=_font(15), fill=QUIET, anchor="rs")
    return np.asarray(picture)


def _timeline(draw: ImageDraw.ImageDraw, place: tuple[int, int, int], done: int, total: int, chunk: int) -> None:
    """A bar of what is done, with a gap where the model goes on from its own last frame."""
    start, stop, y = place
    per_action = (stop - start) / total
    for first in range(0, total, chunk):
        last = min(first + chunk, total)
        begin, end = start + first * per_action, start + last * per_action - (4 if last < total else 0)
        draw.rectangle((begin, y, end, y + 6), fill=LINE)
        reached = min(start + done * per_action, end)
        if done > first:
            draw.rectangle((begin, y, reached, y + 6), fill=TARGET)


def _cross(draw: ImageDraw.ImageDraw, place: tuple[float, float]) -> None:
    x, y = round(place[0]), round(place[1])
    for dx, dy in ((8, 0), (0, 8)):
        draw.line((x - dx, y - dy, x + dx, y + dy), fill=TARGET, width=3)


def _enlarged(frame: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    return frame.repeat(scale, axis=0).repeat(scale, axis=1)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)  # pillow's own, the same on every machine
