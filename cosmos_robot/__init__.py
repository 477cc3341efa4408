"""cosmos_robot: world models as robot simulators, around NVIDIA Cosmos 3.

Names are imported when they are first used, so that `import cosmos_robot` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cosmos_robot.domains.domain import Domain
    from cosmos_robot.domains.registry import get_domain, list_domains, register_domain
    from cosmos_robot.interface.request import ActionRequest
    from cosmos_robot.interface.world_model import WorldModel
    from cosmos_robot.types import Actions, ActionSpace, Observation, Rollout
    from cosmos_robot.world_model import LocalWorldModel, load_world_model

__version__ = "0.1.0"

__all__ = [
    "ActionRequest",
    "ActionSpace",
    "Actions",
    "Domain",
    "LocalWorldModel",
    "Observation",
    "Rollout",
    "WorldModel",
    "get_domain",
    "list_domains",
    "load_world_model",
    "register_domain",
]

_WHERE = {
    "ActionRequest": "cosmos_robot.interface.request",
    "ActionSpace": "cosmos_robot.types",
    "Actions": "cosmos_robot.types",
    "Domain": "cosmos_robot.domains.domain",
    "LocalWorldModel": "cosmos_robot.world_model",
    "Observation": "cosmos_robot.types",
    "Rollout": "cosmos_robot.types",
    "WorldModel": "cosmos_robot.interface.world_model",
    "get_domain": "cosmos_robot.domains.registry",
    "list_domains": "cosmos_robot.domains.registry",
    "load_world_model": "cosmos_robot.world_model",
    "register_domain": "cosmos_robot.domains.registry",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'cosmos_robot' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
