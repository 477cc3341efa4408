"""The trust scores that have a name, so that an environment's specification can hold them as JSON."""

from collections.abc import Callable

from cosmos_robot.envs.protocols import Trust

TRUST: dict[str, Callable[..., Trust]] = {}
"""What makes the trust of a name, from the other keys of its specification (`{"name": ..., key: ...}`)."""
