"""Plays a policy in an environment, for one episode."""

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from cosmos_robot.envs.policies import Policy, PolicyRunner
from cosmos_robot.short_repr import ShortRepr


@dataclass(frozen=True, eq=False, repr=False)
class PlayedEpisode(ShortRepr):
    """What a policy did in an episode of n steps.

    Attributes:
        observations: n + 1 of them, the last one included.
        actions: of each step, in the environment's shape.
        rewards: float64 `[n]`.
        terminated: whether the task was solved (or the environment says so otherwise).
        truncated: whether it ended for another reason.
        info: of the last step.
    """

    observations: tuple[Any, ...]
    actions: tuple[NDArray[np.float32], ...]
    rewards: NDArray[np.float64]
    terminated: bool
    truncated: bool
    info: dict[str, Any]

    @property
    def success(self) -> bool | None:
        """What the environment's last `is_success` says, or None where it says nothing."""
        return bool(self.info["is_success"]) if "is_success" in self.info else None


def play(
    env: gymnasium.Env[Any, Any],
    policy: Policy,
    *,
    seed: int | None = None,
    options: dict[str, Any] | None = None,
    max_steps: int | None = None,
    replan_every: int | None = None,
) -> PlayedEpisode:
    """Play one episode, in a learned environment or a real one.

    Args:
        env: any single environment whose observations the policy reads.
        policy: what acts.
        seed: of the reset.
        options: of the reset.
        max_steps: steps after which the episode is left; None plays to its end.
        replan_every: see `PolicyRunner`.
    """
    runner = PolicyRunner(policy, env.action_space, replan_every=replan_every)
    observation, info = env.reset(seed=seed, options=options)
    runner.reset()
    observations: list[Any] = [observation]
    actions: list[NDArray[np.float32]] = []
    rewards: list[float] = []
    terminated = truncated = False
    while not (terminated or truncated) and (max_steps is None or len(actions) < max_steps):
        action = runner.act(observation)
        observation, reward, terminated, truncated, info = env.step(action)
        observations.append(observation)
        actions.append(action)
        rewards.append(float(reward))
    return PlayedEpisode(
        tuple(observations), tuple(actions), np.array(rewards), bool(terminated), bool(truncated), dict(info)
    )
