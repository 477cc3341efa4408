"""How far the T in generated Push-T frames is from where the simulator has it.

PSNR does not tell: a frame out of which the T has gone is nearer to the true one than a frame that shows it in a wrong
place. How exact the detector is on real frames is measured before it judges generated ones.
"""

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.benchmarks.pusher_position import NOT_FOUND_ERROR
from cosmos_robot.envs.pusht_block import find_block
from cosmos_robot.envs.pusht_state import FRAME_SIZE, TABLE_SIZE
from cosmos_robot.training.pusht_scripts import block_centre
from cosmos_robot.types import FloatArray, Frames


def block_errors(frames: Frames, block: FloatArray) -> NDArray[np.float64]:
    """Distances `[N]` in frame pixels between the T's centre in frames `[N, 96, 96, 3]` and its true place.

    Args:
        frames: uint8.
        block: `[N, 3]` true poses: x, y in table pixels (0..512), angle in rad.

    Returns:
        `NOT_FOUND_ERROR` where there is no T, or what is there has not its outline.
    """
    errors = []
    for frame, pose in zip(frames, block, strict=True):
        found = find_block(frame)
        way = None if found is None else found.centre - block_centre(np.asarray(pose, dtype=np.float64))
        errors.append(NOT_FOUND_ERROR if way is None else float(np.linalg.norm(way)) * FRAME_SIZE / TABLE_SIZE)
    return np.array(errors)
