"""The trust scores that have a name, so that an environment's specification can hold them as JSON."""

from collections.abc import Callable

from cosmos_robot.envs.inverse_dynamics_trust import inverse_dynamics_trust
from cosmos_robot.envs.protocols import Trust

TRUST: dict[str, Callable[..., Trust]] = {"inverse_dynamics": inverse_dynamics_trust}
"""What makes the trust of a name, from the other keys of its specification (`{"name": ..., key: ...}`)."""
