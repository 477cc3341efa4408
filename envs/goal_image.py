"""A reward for any robot: how near the last frame comes to a picture of the goal."""

from pathlib import Path

import numpy as np
from PIL import Image

from cosmos_robot.datasets.images import read_image
from cosmos_robot.envs.protocols import Judgement
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.types import Frames, require_frame


class GoalImage:
    """Minus the mean absolute difference of the step's last frame to a goal, 0 (the same) to -1.

    `info` has `goal_distance`, the same without its sign.

    Args:
        goal: file of an image, or a frame uint8 `[H, W, 3]`; one of another size than the frames is scaled to theirs.
        success_within: a difference up to which the task is solved; None cannot tell.

    Raises:
        MediaError: if the goal is no image.
        InvalidInputError: if `success_within` is not between 0 and 1.
    """

    def __init__(self, goal: str | Path | Frames, *, success_within: float | None = None) -> None:
        if success_within is not None and not 0.0 <= success_within <= 1.0:
            raise InvalidInputError(f"success_within is a difference from 0 to 1; got {success_within}.")
        self._goal = read_image(goal) if isinstance(goal, str | Path) else require_frame(goal)
        self._success_within = success_within
        self._scaled = {self._goal.shape[:2]: self._goal}

    def __call__(self, frames: Frames) -> Judgement:
        """Judge frames uint8 `[n + 1, H, W, 3]` by the last."""
        goal = self._goal_at(*frames.shape[1:3])
        distance = float(np.abs(frames[-1].astype(np.int16) - goal).mean() / 255.0)
        success = None if self._success_within is None else distance <= self._success_within
        return Judgement(-distance, success, {"goal_distance": distance})

    def _goal_at(self, height: int, width: int) -> Frames:
        if (height, width) not in self._scaled:
            picture = Image.fromarray(self._goal).resize((width, height), Image.Resampling.LANCZOS)
            self._scaled[height, width] = np.asarray(picture)
        return self._scaled[height, width]
