"""A world model that reads its answers off the frames: each one's brightness is its number in the video."""

import numpy as np
from scipy.spatial.transform import Rotation

from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.types import Rollout

SCALE = 4


def frames_of(count):
    """Frames whose brightness is 4 times their number."""
    return np.stack([np.full((64, 96, 3), SCALE * index, np.uint8) for index in range(count)])


def step_of(index):
    """The pose that leads from a frame to the next: a turn about a slanted axis and a shift, another one each time."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec(np.array([0.1, -0.2, 0.3]) * (1 + index % 5)).as_matrix()
    pose[:3, 3] = (0.1 * index, -0.2, 0.3 + index)
    return pose


def action_of(here, there, domain):
    """What the robot did between two frames."""
    if domain == "pusht":
        return np.array([here, 10.0 * (there - here)])
    pose = step_of(here)
    return np.concatenate([pose[:3, 3], pose[:3, 0], pose[:3, 1]])


class BrightnessModel(WorldModel):
    """Answers inverse dynamics; remembers the clips, as numbers of frames."""

    def __init__(self):
        self.requests, self.clips = [], []

    def generate(self, requests, *, progress=None):
        if progress is not None:
            progress(1, 1)
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        assert request.mode == "inverse_dynamics"
        clip = [round(float(frame.mean()) / SCALE) for frame in request.frames]
        self.requests.append(request)
        self.clips.append(clip)
        actions = [action_of(clip[i], clip[i + 1], request.domain.name) for i in range(len(clip) - 1)]
        return Rollout(
            frames=request.frames,
            actions=np.array(actions, np.float32),
            action_space=request.action_space,
            domain=request.domain.name,
            fps=request.fps or request.domain.fps,
            seed=request.seed,
            prompt=request.prompt,
        )
