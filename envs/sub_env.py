"""One environment of a vector environment, for those who look for it: `envs[i]`, `call` and `get_attr`."""

from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces

from cosmos_robot.envs.episode_state import Snapshot
from cosmos_robot.types import Frames

if TYPE_CHECKING:
    from cosmos_robot.envs.world_model_vector_env import WorldModelVectorEnv


class SubEnv:
    """Reads environment `index` of a vector environment; it cannot be stepped alone.

    Args:
        parent: the vector environment.
        index: which of its environments.
    """

    def __init__(self, parent: "WorldModelVectorEnv", index: int) -> None:
        self._parent, self._index = parent, index

    @property
    def unwrapped(self) -> "SubEnv":
        """Itself."""
        return self

    @property
    def metadata(self) -> dict[str, Any]:
        """Of the vector environment."""
        return self._parent.metadata

    @property
    def observation_space(self) -> spaces.Space[Any]:
        """Of one environment."""
        return self._parent.single_observation_space

    @property
    def action_space(self) -> spaces.Space[Any]:
        """Of one environment."""
        return self._parent.single_action_space

    @property
    def np_random(self) -> np.random.Generator:
        """What the starts and seeds are drawn from."""
        return self._parent.np_random[self._index]

    @property
    def np_random_seed(self) -> int:
        """The seed of `np_random`."""
        return self._parent.np_random_seed[self._index]

    @property
    def task(self) -> str:
        """What the robot should do."""
        return self._parent.states[self._index].prompt

    @property
    def task_description(self) -> str:
        """The same, by lerobot's name for it."""
        return self.task

    @property
    def elapsed_steps(self) -> int:
        """Steps of the episode so far."""
        return self._parent.states[self._index].elapsed_steps

    @property
    def _max_episode_steps(self) -> int | None:
        """The time limit in steps, by the name that Gymnasium's `TimeLimit` has for it, which lerobot asks for."""
        return self._parent.max_episode_steps

    def render(self) -> Frames | None:
        """Give the current frame uint8 `[H, W, 3]`, with `render_mode="rgb_array"`."""
        frames = self._parent.render()
        return None if frames is None else frames[self._index]

    def snapshot(self) -> Snapshot:
        """Keep the episode as it is."""
        return self._parent.snapshot()[self._index]
