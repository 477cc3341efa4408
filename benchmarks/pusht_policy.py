"""Does a policy follow its prompt? It is asked to push the T in a direction, in the real simulator, from fixed starts.

A start counts as reached where the T's centre of mass moves at least 10 px of the 96 px frame, within 45 degrees of the
direction. The table also holds a policy that is not told what to do, and random targets.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from cosmos_robot.benchmarks.pusht_direction import is_towards
from cosmos_robot.envs.pusht_block import coverage_of
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.training.pusht_prompts import DIRECTIONS, direction_vector, push_prompt
from cosmos_robot.training.pusht_recording import HELD_OUT_SEED, open_simulator
from cosmos_robot.training.pusht_scripts import block_centre
from cosmos_robot.types import Frames

MIN_WAY = 10.0 * 512.0 / 96.0
"""How far the T must move, in table pixels."""
_CLEAR = 100.0
"""From this distance of the centres on pusher and T do not touch, table pixels."""

type Choice = Callable[[list[Frames], list[str], int], list[NDArray[np.float32]]]
"""From frames, prompts and the number of the chunk to the actions `[16, 2]` (table pixels) of each item."""


@dataclass(frozen=True)
class PushTask:
    """One start of the simulator and the direction in which the T is to go."""

    seed: int
    direction: str


@dataclass(frozen=True, eq=False)
class TaskOutcome:
    """What came of a task.

    Attributes:
        task: what was asked.
        ways: float64 `[actions, 2]` from where the T's centre was to where it is after each action, table pixels.
        coverage: share of gym-pusht's goal that the T covers at the end, 0 to 1.
        coverage_before: at the start.
        frames: uint8 `[n + 1, 96, 96, 3]`, what was seen at the start and then every so many actions.
    """

    task: PushTask
    ways: NDArray[np.float64]
    coverage: float
    coverage_before: float
    frames: Frames

    @property
    def way(self) -> NDArray[np.float64]:
        """From where the T's centre was to where it is at the end, table pixels `[2]`."""
        way: NDArray[np.float64] = self.ways[-1]
        return way

    @property
    def way_along(self) -> float:
        """How far the T went in the direction that was asked, table pixels."""
        return float(self.way @ direction_vector(self.task.direction))

    @property
    def moved(self) -> bool:
        """Whether the T moved far enough, in whatever direction."""
        return bool(np.linalg.norm(self.way) >= MIN_WAY)

    @property
    def reached(self) -> bool:
        """Whether it moved far enough in the direction that was asked."""
        return is_reached(self.way, self.task.direction)

    @property
    def reached_once(self) -> bool:
        """Whether it had at some moment, as simulators count a success that ends the episode."""
        return any(is_reached(way, self.task.direction) for way in self.ways)


@dataclass(frozen=True)
class PolicyScore:
    """What a policy reached.

    Attributes:
        reached: share of the tasks at whose end the T has moved far enough in the direction.
        reached_once: share of the tasks in which it had at some moment.
        moved: share in which it moved far enough in whatever direction.
        median_way: median way of the T, in table pixels.
    """

    reached: float
    reached_once: float
    moved: float
    median_way: float


def is_reached(way: NDArray[np.floating], direction: str) -> bool:
    """Whether a way `[2]` of the T, in table pixels, is far enough and within 45 degrees of a direction."""
    return is_towards(way, direction, MIN_WAY)


def push_tasks(count: int = 100) -> list[PushTask]:
    """The fixed list: held-out starts in which the pusher stands clear of the T, the directions in turn.

    Where the T has no room in a direction the opposite one is asked for.
    """
    env = open_simulator()
    tasks: list[PushTask] = []
    seed = HELD_OUT_SEED + 10_000
    while len(tasks) < count:
        _, info = env.reset(seed=seed)
        centre = block_centre(info["block_pose"])
        if np.linalg.norm(info["pos_agent"] - centre) >= _CLEAR:
            name = DIRECTIONS[len(tasks) % len(DIRECTIONS)]
            end = centre + 80.0 * direction_vector(name)
            if np.any(end < 40.0) or np.any(end > 472.0):
                name = DIRECTIONS[(len(tasks) + 4) % len(DIRECTIONS)]
            tasks.append(PushTask(seed, name))
        seed += 1
    env.close()
    return tasks


def policy_score(
    choose: Choice, tasks: Sequence[PushTask], *, chunks: int, replan_every: int | None = None, batch: int = 20
) -> PolicyScore:
    """Run every task; see `play_tasks`."""
    groups = [tasks[i : i + batch] for i in range(0, len(tasks), batch)]
    outcomes = [
        outcome
        for group in track(groups, description="policy in the simulator")
        for outcome in play_tasks(choose, group, chunks=chunks, replan_every=replan_every)
    ]
    return PolicyScore(
        reached=float(np.mean([outcome.reached for outcome in outcomes])),
        reached_once=float(np.mean([outcome.reached_once for outcome in outcomes])),
        moved=float(np.mean([outcome.moved for outcome in outcomes])),
        median_way=float(np.median([np.linalg.norm(outcome.way) for outcome in outcomes])),
    )


def play_tasks(
    choose: Choice,
    tasks: Sequence[PushTask],
    *,
    chunks: int,
    replan_every: int | None = None,
    every: int | None = None,
) -> list[TaskOutcome]:
    """Play tasks side by side in gym-pusht, looking anew before each chunk of actions.

    Args:
        choose: the policy.
        tasks: what is played.
        chunks: of each.
        replan_every: how many actions of each chunk are taken; None takes all.
        every: actions from frame to frame that is kept; None keeps what is looked at.
    """
    envs = [open_simulator() for _ in tasks]
    seen, infos = [], []
    for env, task in zip(envs, tasks, strict=True):
        observation, info = env.reset(seed=task.seed)
        seen.append([observation["pixels"]])
        infos.append([info])
    prompts = [push_prompt(task.direction) for task in tasks]
    for chunk in range(chunks):
        for i, actions in enumerate(choose([frames[-1] for frames in seen], prompts, chunk)):
            taken = actions[:replan_every]
            frames, told = _step_through(envs[i], taken, every or len(taken))
            seen[i] += frames
            infos[i] += told
    for env in envs:
        env.close()
    return [
        TaskOutcome(
            task=task,
            ways=np.stack([block_centre(info["block_pose"]) - block_centre(first["block_pose"]) for info in after]),
            coverage=float(after[-1]["coverage"]),
            coverage_before=coverage_of(first["block_pose"]),
            frames=np.stack(seen[i]).astype(np.uint8),
        )
        for i, task in enumerate(tasks)
        for first, *after in [infos[i]]
    ]


def prompted(model: WorldModel, num_steps: int | None = None) -> Choice:
    """The world model's policy, told the direction."""
    return lambda frames, prompts, chunk: _ask(model, frames, prompts, chunk, num_steps)


def unprompted(model: WorldModel, num_steps: int | None = None) -> Choice:
    """The world model's policy with the empty prompt."""
    return lambda frames, prompts, chunk: _ask(model, frames, [""] * len(prompts), chunk, num_steps)


def random_targets(seed: int = 0) -> Choice:
    """Targets anywhere on the table, a new one every four actions."""
    rng = np.random.default_rng(seed)
    return lambda frames, _prompts, _chunk: [
        np.repeat(rng.uniform(20, 492, (4, 2)), 4, axis=0).astype(np.float32) for _ in frames
    ]


def _ask(
    model: WorldModel, frames: list[Frames], prompts: list[str], chunk: int, num_steps: int | None
) -> list[NDArray[np.float32]]:
    answers = model.policy(
        frames, prompt=prompts, domain="pusht", seed=1000 * chunk, num_steps=num_steps, return_frames=False
    )
    return [answer.actions for answer in answers]


def _step_through(env: Any, actions: NDArray[np.float32], every: int) -> tuple[list[Frames], list[dict[str, Any]]]:
    """Take all actions; give what is seen every so many and at the end (drawing is most of a step), and each's info."""
    shown, frames, infos = env.obs_type, [], []
    for number, action in enumerate(actions, start=1):
        drawn = number % every == 0 or number == len(actions)
        env.obs_type = shown if drawn else "state"
        observation, _, _, _, info = env.step(np.clip(action, 0, 512).astype(np.float64))
        infos.append(info)
        if drawn:
            frames.append(observation["pixels"])
    return frames, infos
