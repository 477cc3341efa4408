"""Finds the round pusher in Push-T frames, to a fraction of a pixel, by its colour alone.

Blue minus red is large for the pusher (royal blue), 0 for the table and the goal and small for the T. The brightest
5x5 box of that difference is the pusher's place, and the centre of mass of the difference around it the pusher's
centre. It knows nothing of the simulator: a frame goes in, a position or "not found" comes out.

How exact: measured against gym-pusht's own state on the 96x96 frames of 20 scripted episodes of 60 actions from
held-out seeds (1,220 frames), it found the pusher in every frame; the distance to the true centre was 0.55 table
pixels in the median, 0.66 in the mean, 1.70 at the 95th percentile and 3.20 at most, of a table of 512.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cosmos_robot.types import FloatArray, Frames

FRAME_SIZE = 96
"""Side in pixels of the frames that the figures below are of."""
TABLE_SIZE = 512.0
"""Side of the simulator's table in its own pixels."""

_BLUENESS = 160.0
"""Blue minus red of the pusher's colour (royal blue, 65 105 225); white, the goal and the T have 0, 0 and 34."""
_FLOOR = 45.0
_DISC_AREA = np.pi * (15.0 * FRAME_SIZE / TABLE_SIZE) ** 2
_RADIUS = 5


def find_pusher(frame: Frames) -> NDArray[np.float64] | None:
    """Find the pusher's centre `[2]` (x, y) in pixels of a frame uint8 `[96, 96, 3]`, or None where there is none."""
    blueness = frame[..., 2].astype(np.float64) - frame[..., 0].astype(np.float64)
    cover = np.clip((blueness - _FLOOR) / (_BLUENESS - _FLOOR), 0.0, 1.0)
    sums = np.pad(cover, ((3, 2), (3, 2))).cumsum(0).cumsum(1)
    boxes = sums[5:, 5:] - sums[:-5, 5:] - sums[5:, :-5] + sums[:-5, :-5]
    row, column = (int(i) for i in np.unravel_index(np.argmax(boxes), boxes.shape))
    top, left = max(row - _RADIUS, 0), max(column - _RADIUS, 0)
    window = cover[top : row + _RADIUS + 1, left : column + _RADIUS + 1]
    mass = float(window.sum())
    if mass < 0.3 * _DISC_AREA:
        return None
    rows, columns = np.mgrid[: window.shape[0], : window.shape[1]]
    centre = np.array([(columns * window).sum() / mass + left, (rows * window).sum() / mass + top])
    return centre + 0.5


def agent_position(frame: Frames) -> FloatArray | None:
    """Estimate the pusher's centre float32 `[2]` (x, y) in table pixels, 0 to 512, or None where there is none.

    Args:
        frame: uint8 `[H, W, 3]` of the whole table; one of another size than 96x96 is scaled to it.
    """
    if frame.shape[:2] != (FRAME_SIZE, FRAME_SIZE):
        frame = np.asarray(Image.fromarray(frame).resize((FRAME_SIZE, FRAME_SIZE), Image.Resampling.BOX))
    found = find_pusher(frame)
    if found is None:
        return None
    return np.clip(found * (TABLE_SIZE / FRAME_SIZE), 0.0, TABLE_SIZE).astype(np.float32)
