"""The rewards that have a name, so that an environment's specification can hold them as JSON."""

from collections.abc import Callable

from cosmos_robot.envs.goal_image import GoalImage
from cosmos_robot.envs.language_judge import LanguageJudge
from cosmos_robot.envs.protocols import FrameReward, Judge
from cosmos_robot.envs.pusht_rewards import PushTCoverage, PushTDistance

REWARDS: dict[str, Callable[..., Judge | FrameReward]] = {
    "goal_image": GoalImage,
    "language_judge": LanguageJudge.at,
    "language_judge_local": LanguageJudge.of_reasoner,
    "pusht_coverage": PushTCoverage,
    "pusht_distance": PushTDistance,
}
"""What makes the reward of a name, from the other keys of its specification (`{"name": ..., key: ...}`)."""
