"""Planning: whether actions that are picked by imagined reward are better in the real simulator than random ones.

    cosmos-robot bench planning [--checkpoint DIR] [--out DIR]

From each start a plan is searched in the learned environment; then the plan, all random proposals that its search
began with, and a pusher that stays where it is are played in gym-pusht, and judged there by the same reward from its
own frames.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosmos_robot.benchmarks.bootstrap_interval import Estimate, mean_of
from cosmos_robot.benchmarks.row_file import RowFile
from cosmos_robot.envs.planner import PlannerConfig, plan
from cosmos_robot.envs.pusht_rewards import PushTDistance
from cosmos_robot.envs.registration import PUSHT_STARTS
from cosmos_robot.envs.world_model_env import WorldModelEnv
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.training.pusht_recording import open_simulator
from cosmos_robot.types import FloatArray

type Row = dict[str, Any]


@dataclass(frozen=True)
class PlanningFigures:
    """What plans bring in the real simulator.

    Attributes:
        plan: mean real reward of the plans.
        random: mean real reward of the random proposals.
        still: mean real reward of staying where one is.
        gain: mean over the starts of the plan's real reward less the random proposals' mean, with its interval.
        gain_on_still: the same over staying.
        beaten: mean share of the random proposals that are really worse than the plan.
        starts: how many.
    """

    plan: float
    random: float
    still: float
    gain: Estimate
    gain_on_still: Estimate
    beaten: float
    starts: int


def run_planning(
    world_model: WorldModel,
    starts: Sequence[int],
    rows: RowFile,
    config: PlannerConfig,
    *,
    action_chunk_size: int = 16,
    num_steps: int | None = None,
    report: Callable[[int, int], None] | None = None,
) -> list[Row]:
    """Plan from every start that has no row yet, play in gym-pusht, and give all rows."""
    done = {row["start"] for row in rows.read()}
    env = WorldModelEnv(
        world_model=world_model,
        domain="pusht",
        starts=PUSHT_STARTS,
        reward=PushTDistance(),
        action_chunk_size=action_chunk_size,
        num_steps=num_steps,
    )
    with closing(env):
        for index, start in enumerate(starts):
            if start not in done:
                env.reset(seed=start, options={"episode": start})
                found = plan(env, config, seed=start)
                row = {
                    "start": start,
                    "imagined": found.reward,
                    "plan": real_reward(start, found.actions),
                    "random": [real_reward(start, future) for future in found.proposals[0]],
                    "still": real_reward(start, _staying(start, found.actions)),
                }
                rows.append([row])
            if report is not None:
                report(index + 1, len(starts))
    return rows.read()


def _staying(start: int, actions: FloatArray) -> FloatArray:
    """As many actions that leave the simulator's pusher where it is at a start."""
    with closing(open_simulator()) as env:
        _, info = env.reset(seed=start)
    return np.broadcast_to(np.float32(info["pos_agent"]), actions.shape)


def real_reward(start: int, actions: FloatArray) -> float:
    """Play actions `[horizon, k, 2]` in gym-pusht from a start and judge the last frame."""
    with closing(open_simulator()) as env:
        observation, _ = env.reset(seed=start)
        for action in actions.reshape(-1, actions.shape[-1]):
            observation, *_ = env.step(action.astype(np.float64))
    return PushTDistance()(observation["pixels"][None]).reward


def planning_figures(rows: Sequence[Row]) -> PlanningFigures:
    """Put the rows together.

    Raises:
        InvalidInputError: if there are none.
    """
    if not rows:
        raise InvalidInputError("there are no rows of planning.")
    plans = np.array([row["plan"] for row in rows])
    randoms = np.array([row["random"] for row in rows])
    stills = np.array([row["still"] for row in rows])
    starts = {row["start"]: row["start"] for row in rows}
    return PlanningFigures(
        plan=float(plans.mean()),
        random=float(randoms.mean()),
        still=float(stills.mean()),
        gain=mean_of(dict(zip(starts, plans - randoms.mean(axis=1), strict=True)), starts),
        gain_on_still=mean_of(dict(zip(starts, plans - stills, strict=True)), starts),
        beaten=float((plans[:, None] > randoms).mean()),
        starts=len(rows),
    )
