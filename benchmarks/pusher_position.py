"""How far the pusher in generated Push-T frames is from where the simulator has it.

How exact the detector is on real frames is measured before it judges generated ones.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.envs.pusht_state import FRAME_SIZE, TABLE_SIZE, find_pusher
from cosmos_robot.types import FloatArray, Frames

NOT_FOUND_ERROR = 96.0
"""Error, in frame pixels, that what is not found counts as."""


@dataclass(frozen=True)
class PositionError:
    """Errors of a position in pixels of a 96 px frame: the pusher's, or the T's.

    Attributes:
        median: half of the frames are within it.
        mean: average.
        percentile_95: 95 of 100 frames are within it.
        found: share of the frames in which it is found.
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


def position_errors(frames: Frames, agent: FloatArray) -> NDArray[np.float64]:
    """Distances `[N]` in frame pixels between the pusher in frames `[N, 96, 96, 3]` and its true place.

    Args:
        frames: uint8.
        agent: `[N, 2]` true centres in table pixels (0..512).
    """
    truth = np.asarray(agent, dtype=np.float64) * (FRAME_SIZE / TABLE_SIZE)
    errors = []
    for frame, place in zip(frames, truth, strict=True):
        found = find_pusher(frame)
        errors.append(NOT_FOUND_ERROR if found is None else float(np.linalg.norm(found - place)))
    return np.array(errors)
