"""A small planner: the cross-entropy method over imagined futures, all of an iteration in one batch.

Rubinstein and Kroese, "The Cross-Entropy Method" (2004): draw action sequences, keep the best, draw the next from
where those are. A sequence is a line through a few knots, so that what is drawn moves as robots do.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.envs.core import EnvCore
from cosmos_robot.envs.episode_state import EpisodeState, Snapshot
from cosmos_robot.envs.world_model_env import WorldModelEnv
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.short_repr import ShortRepr
from cosmos_robot.types import FloatArray

type Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class PlannerConfig:
    """How a plan is searched.

    Attributes:
        horizon: steps of the environment that a future lasts.
        futures: how many are imagined in one batch.
        iterations: how often; the first is drawn at random over the whole action space.
        elites: how many of the best the next are drawn from.
        knots: points that a future's actions run through, evenly spaced in time.
        momentum: share of the old mean and spread that is kept.
        least_spread: of the draws, as a share of the action space's extent.
        last_reward: judge a future by its last reward; else by the sum of all.
        most_change: of each channel from an action to the next, as a share of the action space's extent; the first is
            measured from `agent_pos`, where there is one of the actions' shape and it is seen. None sets no limit. A
            world model is right about motions as fast as those that it was trained on: lines across the whole space
            are faster, and a planner then picks what the model has got wrong.

    Raises:
        InvalidInputError: if a number is out of its range.
    """

    horizon: int = 1
    futures: int = 16
    iterations: int = 3
    elites: int = 4
    knots: int = 3
    momentum: float = 0.1
    least_spread: float = 0.02
    last_reward: bool = True
    most_change: float | None = None

    def __post_init__(self) -> None:
        if min(self.horizon, self.iterations, self.knots) < 1 or not 1 <= self.elites <= self.futures:
            raise InvalidInputError(f"a planner's numbers must be positive, elites at most futures; got {self}.")
        if not 0.0 <= self.momentum < 1.0 or self.least_spread < 0.0:
            raise InvalidInputError(f"momentum is from 0 to less than 1, least_spread not negative; got {self}.")
        if self.most_change is not None and not self.most_change > 0.0:
            raise InvalidInputError(f"most_change is above 0, or None; got {self.most_change}.")


@dataclass(frozen=True, eq=False, repr=False)
class Plan(ShortRepr):
    """What a planner found.

    Attributes:
        actions: float32 `[horizon, k, D]`, or `[horizon, D]` with `step="action"`: the best imagined future.
        reward: what it was imagined to bring.
        proposals: float32 `[iterations, futures, horizon, ...]`: all that was imagined; the first are the random ones.
        rewards: float64 `[iterations, futures]` of those.
    """

    actions: FloatArray
    reward: float
    proposals: FloatArray
    rewards: Float64


def plan(
    env: WorldModelEnv, config: PlannerConfig | None = None, *, snapshot: Snapshot | None = None, seed: int = 0
) -> Plan:
    """Pick actions by imagined reward. The environment stays as it is: the futures branch off its present state.

    All futures have the same noise, that of the episode, so that they differ by their actions alone.

    Args:
        env: a learned environment with a reward.
        config: how to search.
        snapshot: where to begin; None is where the environment stands.
        seed: of the draws.

    Raises:
        ResetNeeded: before the first reset, and after an episode's end.
    """
    core, chosen = env.core, config or PlannerConfig()
    state = (env.snapshot() if snapshot is None else snapshot).state
    low, high = core.settings.low.astype(np.float64), core.settings.high.astype(np.float64)
    rng = np.random.default_rng(seed)
    shape = (chosen.futures, chosen.knots, len(low))
    mean, spread = np.broadcast_to((low + high) / 2, shape[1:]), np.broadcast_to((high - low) / 2, shape[1:])
    knots = rng.uniform(low, high, shape)
    proposals, rewards = [], []
    for _ in range(chosen.iterations):
        proposals.append(_actions(core, knots, chosen, state))
        rewards.append(imagined_rewards(core, state, proposals[-1], last=chosen.last_reward))
        elites = knots[np.argsort(-rewards[-1], kind="stable")[: chosen.elites]]
        mean = chosen.momentum * mean + (1 - chosen.momentum) * elites.mean(axis=0)
        spread = chosen.momentum * spread + (1 - chosen.momentum) * elites.std(axis=0)
        spread = np.maximum(spread, chosen.least_spread * (high - low))
        knots = np.clip(rng.normal(mean, spread, shape), low, high)
        knots[0] = np.clip(mean, low, high)
    every = np.stack(rewards)
    best = np.unravel_index(int(np.argmax(every)), every.shape)
    return Plan(proposals[best[0]][best[1]], float(every[best]), np.stack(proposals), every)


def imagined_rewards(core: EnvCore, state: EpisodeState, futures: FloatArray, *, last: bool = True) -> Float64:
    """Imagine futures of a state, all in one batch, and give their rewards `[N]`.

    A future that ends early keeps what it has: its last reward, or its sum so far.

    Args:
        core: of the environment.
        state: where all begin.
        futures: float32 `[N, horizon, k, D]` or `[N, horizon, D]`.
        last: give the last reward; else the sum of all.
    """
    states: list[EpisodeState] = [state] * len(futures)
    rewards = np.zeros(len(futures))
    for step in range(futures.shape[1]):
        going = [i for i, each in enumerate(states) if step == 0 or not each.ended]
        if not going:
            break
        for i, outcome in zip(going, core.advance([states[i] for i in going], _at(futures, going, step)), strict=True):
            states[i] = outcome.state
            rewards[i] = outcome.reward if last else rewards[i] + outcome.reward
    return rewards


def _at(futures: FloatArray, going: Sequence[int], step: int) -> list[FloatArray]:
    return [futures[i, step] for i in going]


def _actions(core: EnvCore, knots: Float64, config: PlannerConfig, state: EpisodeState) -> FloatArray:
    """Lines through knots `[N, m, D]` as actions `[N, horizon, k, D]`, or `[N, horizon, D]` with `step="action"`."""
    settings, horizon = core.settings, config.horizon
    lines = _lines(knots, horizon * settings.actions_per_step)
    if config.most_change is not None:
        extent = settings.high.astype(np.float64) - settings.low
        lines = _slowed(lines, config.most_change * extent, _position(state, lines.shape[-1]))
    actions: FloatArray = np.clip(lines, settings.low, settings.high).astype(np.float32)
    wanted = (-1, horizon, settings.actions_per_step, actions.shape[-1])
    return actions.reshape(wanted) if settings.step == "chunk" else actions


def _lines(knots: Float64, count: int) -> Float64:
    """Straight lines from knot to knot `[N, m, D]` as points `[N, count, D]`, the last knot the last point."""
    if knots.shape[1] == 1:
        return np.repeat(knots, count, axis=1)
    places = np.linspace(0.0, 1.0, knots.shape[1] + 1)[1:]
    times = np.clip((np.arange(count) + 1.0) / count, places[0], 1.0)
    index = np.clip(np.searchsorted(places, times, side="right"), 1, len(places) - 1)
    share = ((times - places[index - 1]) / (places[index] - places[index - 1]))[:, None]
    lines: Float64 = knots[:, index - 1] * (1 - share) + knots[:, index] * share
    return lines


def _slowed(lines: Float64, most: Float64, position: Float64 | None) -> Float64:
    """Points `[N, count, D]` that follow `lines` with at most `most` `[D]` from one to the next."""
    points = lines.copy()
    now = lines[:, 0] if position is None else np.broadcast_to(position, lines[:, 0].shape)
    for step in range(lines.shape[1]):
        now = now + np.clip(lines[:, step] - now, -most, most)
        points[:, step] = now
    return points


def _position(state: EpisodeState, channels: int) -> Float64 | None:
    if state.agent_pos is None or not state.agent_found or state.agent_pos.shape != (channels,):
        return None
    return state.agent_pos.astype(np.float64)
