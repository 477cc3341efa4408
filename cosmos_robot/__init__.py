"""cosmos_robot: world models as robot simulators, around NVIDIA Cosmos 3.

Names are imported when they are first used, so that `import cosmos_robot` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cosmos_robot.gymnasium_hook import register_with_gymnasium

if TYPE_CHECKING:
    from cosmos_robot.datasets.action_files import read_actions
    from cosmos_robot.datasets.episode import Episode, Episodes
    from cosmos_robot.datasets.images import read_image, write_image
    from cosmos_robot.datasets.open_episodes import open_episodes
    from cosmos_robot.datasets.record_episodes import RecordEpisodes
    from cosmos_robot.datasets.record_rollout import RolloutRecorder, Truth
    from cosmos_robot.datasets.recorded_features import Column, RecordedFeatures
    from cosmos_robot.datasets.recorder import EpisodeRecorder
    from cosmos_robot.datasets.video import read_video, write_video
    from cosmos_robot.datasets.window_dataset import WindowDataset
    from cosmos_robot.datasets.windows import Window, windows
    from cosmos_robot.domains.domain import Domain
    from cosmos_robot.domains.registry import get_domain, list_domains, register_domain
    from cosmos_robot.envs.planner import PlannerConfig, plan
    from cosmos_robot.envs.play import play
    from cosmos_robot.envs.policies import Policy
    from cosmos_robot.errors import (
        CheckpointError,
        CosmosRobotError,
        CosmosRobotWarning,
        InvalidInputError,
        ServiceError,
        UnsafeContentError,
        UnsupportedModeError,
    )
    from cosmos_robot.interface.chat import ImagePart, Message, VideoPart
    from cosmos_robot.interface.generation import AgenticRecord, Candidate, Generation
    from cosmos_robot.interface.media_request import MediaRequest
    from cosmos_robot.interface.reason import Reasoner, Reasoning, ReasonRequest, ReasonSampling
    from cosmos_robot.interface.request import ActionRequest
    from cosmos_robot.interface.world_model import WorldModel
    from cosmos_robot.remote.async_world_model import AsyncRemoteWorldModel
    from cosmos_robot.remote.chat_reasoner import ChatReasoner
    from cosmos_robot.remote.options import Timeouts
    from cosmos_robot.remote.remote_world_model import RemoteWorldModel
    from cosmos_robot.remote.retries import Retries
    from cosmos_robot.safety.checker import SafetyChecker
    from cosmos_robot.safety.words import WordChecker
    from cosmos_robot.types import Actions, ActionSpace, Observation, Rollout, Sound
    from cosmos_robot.world_model import LocalWorldModel, load_world_model

__version__ = "0.1.0"

__all__ = [
    "ActionRequest",
    "ActionSpace",
    "Actions",
    "AgenticRecord",
    "AsyncRemoteWorldModel",
    "Candidate",
    "ChatReasoner",
    "CheckpointError",
    "Column",
    "CosmosRobotError",
    "CosmosRobotWarning",
    "Domain",
    "Episode",
    "EpisodeRecorder",
    "Episodes",
    "Generation",
    "ImagePart",
    "InvalidInputError",
    "LocalWorldModel",
    "MediaRequest",
    "Message",
    "Observation",
    "PlannerConfig",
    "Policy",
    "ReasonRequest",
    "ReasonSampling",
    "Reasoner",
    "Reasoning",
    "RecordEpisodes",
    "RecordedFeatures",
    "RemoteWorldModel",
    "Retries",
    "Rollout",
    "RolloutRecorder",
    "SafetyChecker",
    "ServiceError",
    "Sound",
    "Timeouts",
    "Truth",
    "UnsafeContentError",
    "UnsupportedModeError",
    "VideoPart",
    "Window",
    "WindowDataset",
    "WordChecker",
    "WorldModel",
    "get_domain",
    "list_domains",
    "load_world_model",
    "open_episodes",
    "plan",
    "play",
    "read_actions",
    "read_image",
    "read_video",
    "register_domain",
    "windows",
    "write_image",
    "write_video",
]

_WHERE = {
    "UnsupportedModeError": "cosmos_robot.errors",
    "UnsafeContentError": "cosmos_robot.errors",
    "ServiceError": "cosmos_robot.errors",
    "InvalidInputError": "cosmos_robot.errors",
    "CosmosRobotWarning": "cosmos_robot.errors",
    "CosmosRobotError": "cosmos_robot.errors",
    "CheckpointError": "cosmos_robot.errors",
    "AgenticRecord": "cosmos_robot.interface.generation",
    "Candidate": "cosmos_robot.interface.generation",
    "AsyncRemoteWorldModel": "cosmos_robot.remote.async_world_model",
    "ChatReasoner": "cosmos_robot.remote.chat_reasoner",
    "RemoteWorldModel": "cosmos_robot.remote.remote_world_model",
    "Retries": "cosmos_robot.remote.retries",
    "Timeouts": "cosmos_robot.remote.options",
    "ImagePart": "cosmos_robot.interface.chat",
    "Message": "cosmos_robot.interface.chat",
    "VideoPart": "cosmos_robot.interface.chat",
    "Reasoner": "cosmos_robot.interface.reason",
    "Reasoning": "cosmos_robot.interface.reason",
    "ReasonRequest": "cosmos_robot.interface.reason",
    "ReasonSampling": "cosmos_robot.interface.reason",
    "SafetyChecker": "cosmos_robot.safety.checker",
    "WordChecker": "cosmos_robot.safety.words",
    "PlannerConfig": "cosmos_robot.envs.planner",
    "Policy": "cosmos_robot.envs.policies",
    "plan": "cosmos_robot.envs.planner",
    "play": "cosmos_robot.envs.play",
    "ActionRequest": "cosmos_robot.interface.request",
    "ActionSpace": "cosmos_robot.types",
    "Actions": "cosmos_robot.types",
    "Domain": "cosmos_robot.domains.domain",
    "Episode": "cosmos_robot.datasets.episode",
    "Episodes": "cosmos_robot.datasets.episode",
    "Generation": "cosmos_robot.interface.generation",
    "LocalWorldModel": "cosmos_robot.world_model",
    "MediaRequest": "cosmos_robot.interface.media_request",
    "Observation": "cosmos_robot.types",
    "Rollout": "cosmos_robot.types",
    "Sound": "cosmos_robot.types",
    "Window": "cosmos_robot.datasets.windows",
    "WindowDataset": "cosmos_robot.datasets.window_dataset",
    "WorldModel": "cosmos_robot.interface.world_model",
    "get_domain": "cosmos_robot.domains.registry",
    "list_domains": "cosmos_robot.domains.registry",
    "load_world_model": "cosmos_robot.world_model",
    "open_episodes": "cosmos_robot.datasets.open_episodes",
    "read_actions": "cosmos_robot.datasets.action_files",
    "read_image": "cosmos_robot.datasets.images",
    "read_video": "cosmos_robot.datasets.video",
    "register_domain": "cosmos_robot.domains.registry",
    "windows": "cosmos_robot.datasets.windows",
    "write_image": "cosmos_robot.datasets.images",
    "write_video": "cosmos_robot.datasets.video",
    "Column": "cosmos_robot.datasets.recorded_features",
    "RecordedFeatures": "cosmos_robot.datasets.recorded_features",
    "EpisodeRecorder": "cosmos_robot.datasets.recorder",
    "RecordEpisodes": "cosmos_robot.datasets.record_episodes",
    "RolloutRecorder": "cosmos_robot.datasets.record_rollout",
    "Truth": "cosmos_robot.datasets.record_rollout",
}

register_with_gymnasium()


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'cosmos_robot' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
