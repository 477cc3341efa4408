"""Finds the round pusher in Push-T frames, to a fraction of a pixel, by its colour alone.

It serves to compare generated frames with the simulator's state, so it must not know the simulator: a frame goes in,
a position or "not found" comes out. How exact it is on real frames is measured before it judges generated ones.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.types import FloatArray, Frames

FRAME_SIZE = 96.0
NOT_FOUND_ERROR = 96.0
"""Error, in frame pixels, that a pusher which is not found counts as."""

_BLUENESS = 160.0
"""Blue minus red of the pusher's colour (royal blue, 65 105 225); white, the goal and the T have 0, 0 and 34."""
_FLOOR = 45.0
_DISC_AREA = np.pi * (15.0 * 96.0 / 512.0) ** 2
_RADIUS = 5


@dataclass(frozen=True)
class PositionError:
    """Errors of a pusher's position in pixels of a 96 px frame.

    Attributes:
        median: half of the frames are within it.
        mean: average.
        percentile_95: 95 of 100 frames are within it.
        found: share of the frames in which there is a pusher.
        count: number of frames.
    """

    median: float
    mean: float
    percentile_95: float
    found: float
    count: int

    @classmethod
    def of(cls, errors: NDArray[np.floating]) -> "PositionError":
        """Summarise errors of any shape."""
        return cls(
            median=float(np.median(errors)),
            mean=float(np.mean(errors)),
            percentile_95=float(np.percentile(errors, 95)),
            found=float(np.mean(errors < NOT_FOUND_ERROR)),
            count=int(errors.size),
        )


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


def position_errors(frames: Frames, agent: FloatArray) -> NDArray[np.float64]:
    """Distances `[N]` in frame pixels between the pusher in frames `[N, 96, 96, 3]` and its true place.

    Args:
        frames: uint8.
        agent: `[N, 2]` true centres in table pixels (0..512).
    """
    truth = np.asarray(agent, dtype=np.float64) * (FRAME_SIZE / 512.0)
    errors = []
    for frame, place in zip(frames, truth, strict=True):
        found = find_pusher(frame)
        errors.append(NOT_FOUND_ERROR if found is None else float(np.linalg.norm(found - place)))
    return np.array(errors)
