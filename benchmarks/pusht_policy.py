"""Does a policy follow its prompt? It is asked to push the T in a direction, in the real simulator, from fixed starts.

A start counts as reached where the T's centre of mass moves at least 10 px of the 96 px frame, within 45 degrees of the
direction. The table also holds a policy that is not told what to do, and random targets.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.training.pusht_prompts import DIRECTIONS, direction_vector, push_prompt
from cosmos_robot.training.pusht_recording import HELD_OUT_SEED, open_simulator
from cosmos_robot.training.pusht_scripts import block_centre
from cosmos_robot.types import Frames

MIN_WAY = 10.0 * 512.0 / 96.0
"""How far the T must move, in table pixels."""
MAX_ANGLE = np.pi / 4
_CLEAR = 100.0
"""From this distance of the centres on pusher and T do not touch, table pixels."""

type Choice = Callable[[list[Frames], list[str], int], list[NDArray[np.float32]]]
"""From frames, prompts and the number of the chunk to the actions `[16, 2]` (table pixels) of each item."""


@dataclass(frozen=True)
class PushTask:
    """One start of the simulator and the direction in which the T is to go."""

    seed: int
    direction: str


@dataclass(frozen=True)
class PolicyScore:
    """What a policy reached.

    Attributes:
        reached: share of the tasks in which the T moved far enough in the direction.
        moved: share in which it moved far enough in whatever direction.
        median_way: median way of the T, in table pixels.
    """

    reached: float
    moved: float
    median_way: float


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


def policy_score(choose: Choice, tasks: Sequence[PushTask], *, chunks: int, batch: int = 20) -> PolicyScore:
    """Run every task for some chunks of 16 actions, looking anew before each."""
    ways, reached = [], []
    groups = [tasks[i : i + batch] for i in range(0, len(tasks), batch)]
    for group in track(groups, description="policy in the simulator"):
        for task, way in zip(group, _run(choose, group, chunks), strict=True):
            length = float(np.linalg.norm(way))
            along = float(way @ direction_vector(task.direction))
            ways.append(length)
            reached.append(length >= MIN_WAY and along >= length * np.cos(MAX_ANGLE))
    lengths = np.array(ways)
    return PolicyScore(
        reached=float(np.mean(reached)),
        moved=float(np.mean(lengths >= MIN_WAY)),
        median_way=float(np.median(lengths)),
    )


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


def _run(choose: Choice, tasks: Sequence[PushTask], chunks: int) -> list[NDArray[np.float64]]:
    envs = [open_simulator() for _ in tasks]
    seen, starts = [], []
    ends: list[NDArray[np.float64]] = []
    for env, task in zip(envs, tasks, strict=True):
        observation, info = env.reset(seed=task.seed)
        seen.append(observation["pixels"])
        starts.append(block_centre(info["block_pose"]))
    prompts = [push_prompt(task.direction) for task in tasks]
    for chunk in range(chunks):
        ends = []
        for i, actions in enumerate(choose(seen, prompts, chunk)):
            for action in actions:
                observation, _, _, _, info = envs[i].step(np.clip(action, 0, 512).astype(np.float64))
            seen[i] = observation["pixels"]
            ends.append(block_centre(info["block_pose"]))
    for env in envs:
        env.close()
    return [end - start for start, end in zip(starts, ends, strict=True)]
