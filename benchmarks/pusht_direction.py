"""Which way the T and the pusher go in Push-T frames, read off the pixels, and whether that is the way that was asked.

A direction is one of eight, and within 45 degrees of it counts: of ways that have nothing to do with the prompt one in
four is right.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.envs.pusht_block import find_block
from cosmos_robot.envs.pusht_state import agent_position
from cosmos_robot.training.pusht_prompts import HindsightLimits, direction_vector
from cosmos_robot.types import Frames

MAX_ANGLE = np.pi / 4

type Way = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Movement:
    """What goes where from the first frame of a clip to its last.

    Attributes:
        block: way `[2]` of the T's centre in table pixels (x right, y down), or None where there is no T.
        pusher: the same of the pusher.
        outline: how well the T of the last frame has its outline: intersection over union, 0 where there is none.
    """

    block: Way | None
    pusher: Way | None
    outline: float

    @classmethod
    def of(cls, frames: Frames) -> "Movement":
        """Read it off a clip uint8 `[N, H, W, 3]`; in one of a single frame nothing moves."""
        ends = (frames[0], frames[-1]) if len(frames) > 1 else (frames[0],)
        blocks, pushers = [find_block(frame) for frame in ends], [agent_position(frame) for frame in ends]
        last = blocks[-1]
        return cls(
            _way([None if block is None else block.centre for block in blocks]),
            _way(pushers),
            0.0 if last is None else last.overlap,
        )

    @property
    def block_moves(self) -> bool:
        """Whether the T is pushed, in whatever direction, as far as training calls a push."""
        return self.block is not None and bool(np.linalg.norm(self.block) >= HindsightLimits().push)

    def block_goes(self, direction: str) -> bool:
        """Whether it is pushed in a direction."""
        return self.block is not None and is_towards(self.block, direction, HindsightLimits().push)

    def block_along(self, direction: str) -> list[float] | None:
        """The T's way in a direction and aside from it, to the right of it, or None where there is no T."""
        if self.block is None:
            return None
        ahead = direction_vector(direction)
        return [float(self.block @ ahead), float(self.block @ np.array([-ahead[1], ahead[0]]))]

    def pusher_goes(self, direction: str) -> bool:
        """Whether the pusher goes in a direction."""
        return self.pusher is not None and is_towards(self.pusher, direction, HindsightLimits().move)


def is_towards(way: NDArray[np.floating], direction: str, least: float) -> bool:
    """Whether a way `[2]` is at least so long, and within 45 degrees of a direction."""
    length = float(np.linalg.norm(way))
    return bool(length >= least and float(way @ direction_vector(direction)) >= length * np.cos(MAX_ANGLE))


def _way(places: Sequence[NDArray[np.floating] | None]) -> Way | None:
    first, last = places[0], places[-1]
    return None if first is None or last is None else np.asarray(last - first, dtype=np.float64)
