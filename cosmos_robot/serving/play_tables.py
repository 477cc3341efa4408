"""The two tables of Push-T that are played side by side: the learned one, and gym-pusht's where it is installed."""

import importlib.util
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cosmos_robot.datasets.images import read_image
from cosmos_robot.envs.pusht_block import coverage_of
from cosmos_robot.errors import AnswerError
from cosmos_robot.interface.chain import chunk_seed
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.training.pusht_recording import FRAME_SIZE, HELD_OUT_SEED, open_simulator
from cosmos_robot.types import FloatArray, Frames

DOMAIN = "pusht"
LONGEST_CHUNK = 16
"""Steps that are played at once at most, and imagined together."""

SEEDS = HELD_OUT_SEED
"""Tables that can be asked for: as many as there are held-out ones. None of them was trained on."""

NO_SIMULATOR = (
    "the real simulator beside the learned one is gym-pusht, which this server lacks; "
    "get it with pip install 'cosmos-robot[pusht]'."
)
_STARTS = Path(__file__).parent / "page" / "starts.png"
"""What gym-pusht shows of the first tables, one below the other: where playing starts without it."""


class LearnedTable:
    """A table that a world model imagines, from one frame on.

    One frame does not show how fast the pusher moves, so a short chunk is imagined together with those before it, from
    the frame that they began at, until the whole is as long as the model takes. What a player waits for is still a
    short one. Over six held-out episodes of 48 actions, 4 at once, the embedded model's pusher was 10 table pixels off
    in the median; 20 with each chunk on its own.

    Args:
        world_model: that knows Push-T.
        seed: of its noise.
        frame: uint8 `[H, W, 3]` where it starts.
        longest: steps that are imagined together at most.
    """

    def __init__(self, world_model: WorldModel, seed: int, frame: Frames, *, longest: int = LONGEST_CHUNK) -> None:
        self._world_model, self._seed, self._longest = world_model, seed, longest
        self._origin = self.frame = frame
        self._past: FloatArray = _nothing()
        self._begun = 0

    def step(self, targets: FloatArray) -> Frames:
        """Imagine one chunk, and stay at its end.

        Args:
            targets: float32 `[T, 2]` where the pusher is to go, in table pixels; T is a multiple of 4.

        Returns:
            uint8 `[T, H, W, 3]`: what is seen after each of them.
        """
        if len(self._past) + len(targets) > self._longest:
            self._origin, self._past = self.frame, _nothing()
            self._begun += 1
        way = np.concatenate([self._past, targets])
        seed = chunk_seed(self._seed, self._begun)
        rollout = self._world_model.forward_dynamics(self._origin, way, domain=DOMAIN, seed=seed)
        if rollout.frames is None:
            raise AnswerError("the world model answered no frames for Push-T.")
        self._past, self.frame = way, rollout.frames[-1]
        return rollout.frames[-len(targets) :]


@dataclass(frozen=True, eq=False)
class RealSteps:
    """What happened in gym-pusht in T steps.

    Attributes:
        frames: uint8 `[T, 96, 96, 3]` after each of them.
        pusher: float32 `[T, 2]` its centre in table pixels.
    """

    frames: Frames
    pusher: FloatArray


class RealTable:
    """A table of gym-pusht.

    Args:
        seed: which of the held-out tables, 0 to `SEEDS` - 1.
    """

    def __init__(self, seed: int) -> None:
        # pygame asks for a display where it is not told that there is none.
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        warnings.filterwarnings("ignore", message="pkg_resources is deprecated")  # pygame's own affair
        self._env = open_simulator()
        self.reset(seed)

    def reset(self, seed: int) -> None:
        """Begin another table."""
        self._note(*self._env.reset(seed=HELD_OUT_SEED + seed))

    def step(self, targets: FloatArray) -> RealSteps:
        """Play targets float32 `[T, 2]` in table pixels."""
        frames, pusher = [], []
        for target in targets.astype(np.float64):
            observation, _, _, _, info = self._env.step(target)
            self._note(observation, info)
            frames.append(self.frame)
            pusher.append(observation["agent_pos"])
        return RealSteps(np.stack(frames), np.stack(pusher).astype(np.float32))

    def close(self) -> None:
        """Let the simulator go."""
        self._env.close()

    def _note(self, observation: Any, info: Any) -> None:
        self.frame: Frames = observation["pixels"].astype(np.uint8)
        self.coverage = coverage_of(np.asarray(info["block_pose"], dtype=np.float64))


def has_simulator() -> bool:
    """Whether gym-pusht is installed."""
    return importlib.util.find_spec("gym_pusht") is not None


def recorded_start(seed: int) -> Frames:
    """The first frame of a table, uint8 `[96, 96, 3]`, without a simulator: few are kept, and they come again."""
    starts = read_image(_STARTS).reshape(-1, FRAME_SIZE, FRAME_SIZE, 3)
    frame: Frames = starts[seed % len(starts)]
    return frame


def _nothing() -> FloatArray:
    return np.zeros((0, 2), np.float32)
