"""The rewards that have a name, so that an environment's specification can hold them as JSON."""

from collections.abc import Callable

from cosmos_robot.envs.protocols import FrameReward, Judge

REWARDS: dict[str, Callable[..., Judge | FrameReward]] = {}
"""What makes the reward of a name, from the other keys of its specification (`{"name": ..., key: ...}`)."""
