"""Push-T's rewards, from the frames alone: how much of the goal the T covers, and how far it is from there."""

from dataclasses import dataclass

import numpy as np

from cosmos_robot.envs.protocols import Judgement
from cosmos_robot.envs.pusht_block import CENTRE_OF_MASS, GOAL_POSE, find_block, to_table
from cosmos_robot.envs.pusht_state import TABLE_SIZE
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.types import Frames

SUCCESS = 0.95
"""Coverage above which gym-pusht counts an episode as solved."""


@dataclass(frozen=True)
class PushTCoverage:
    """gym-pusht's own reward: the share of the goal that the T covers, over 0.95 and at most 1.

    A step is solved once any of its frames after the first covers more than `success`; the reward is that of the last
    frame. `info` has `coverage` (of the last frame), `best_coverage` (of the step) and `block_found` (0 where the last
    frame shows no T, which counts as no coverage).

    Attributes:
        success: coverage above which the task is solved.
    """

    success: float = SUCCESS

    def __post_init__(self) -> None:
        if not 0.0 < self.success <= 1.0:
            raise InvalidInputError(f"success is a coverage above 0 and up to 1; got {self.success}.")

    def __call__(self, frames: Frames) -> Judgement:
        """Judge frames uint8 `[n + 1, H, W, 3]`."""
        blocks = [find_block(frame) for frame in frames[1:]]
        covered = [0.0 if block is None else block.coverage for block in blocks]
        details = {
            "coverage": covered[-1],
            "best_coverage": max(covered),
            "block_found": float(blocks[-1] is not None),
        }
        return Judgement(min(covered[-1] / self.success, 1.0), max(covered) > self.success, details)


@dataclass(frozen=True)
class PushTDistance:
    """How far the T is from its goal, for planners: coverage is 0 over most of the table and leads nowhere there.

    The reward is 1 at the goal, and less by the distance of the centres over the table's side and by half of the angle
    between the two over pi. A T that is not found, or is bent or torn, gives -1: a planner looks for what brings most,
    and finds first what the world model has got wrong. `info` has `coverage`, `distance` (table pixels) and `angle`
    (rad).

    Attributes:
        success: coverage of the last frame above which the task is solved.
        least_overlap: how well the T's outline must fit what is seen, 0 to 1; see `BlockFit`. In frames of gym-pusht
            it is above 0.7 in 99 of 100.
    """

    success: float = SUCCESS
    least_overlap: float = 0.7

    def __call__(self, frames: Frames) -> Judgement:
        """Judge frames uint8 `[n + 1, H, W, 3]` by the last."""
        block = find_block(frames[-1])
        if block is None or block.overlap < self.least_overlap:
            return Judgement(-1.0, False, {"coverage": 0.0, "distance": TABLE_SIZE, "angle": float(np.pi)})
        distance = float(np.linalg.norm(block.centre - to_table(GOAL_POSE, CENTRE_OF_MASS)))
        angle = float(np.abs((block.pose[2] - GOAL_POSE[2] + np.pi) % (2 * np.pi) - np.pi))
        details = {"coverage": block.coverage, "distance": distance, "angle": angle}
        reward = 1.0 - distance / TABLE_SIZE - 0.5 * angle / float(np.pi)
        return Judgement(reward, block.coverage > self.success, details)
