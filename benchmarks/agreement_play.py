"""Plays policies in gym-pusht and in learned worlds; both show them pixels, and the pusher's place as seen there."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np

from cosmos_robot.benchmarks.agreement_config import AgreementConfig
from cosmos_robot.benchmarks.pusht_world import imagined_pusht
from cosmos_robot.benchmarks.run_plan import PlannedRow
from cosmos_robot.envs.options import EnvOptions
from cosmos_robot.envs.pusht_block import find_block
from cosmos_robot.envs.pusht_state import agent_position
from cosmos_robot.training.pusht_recording import open_simulator
from cosmos_robot.types import Frames


@dataclass(frozen=True)
class RealEnd:
    """How an episode ends in gym-pusht.

    Attributes:
        coverage: the simulator's own.
        seen_coverage: that of the pixels.
    """

    coverage: float
    seen_coverage: float


def play_real(config: AgreementConfig, name: str, start: int) -> RealEnd:
    """Play one episode of a policy in gym-pusht."""
    policy = config.runner(name, start)
    with closing(open_simulator()) as env:
        observation, _ = env.reset(seed=start)
        info: dict[str, Any] = {}
        for _ in range(config.chunks):
            seen = agent_position(observation["pixels"])
            place = observation["agent_pos"] if seen is None else seen
            for action in policy.act({"pixels": observation["pixels"], "agent_pos": place}):
                observation, _, _, _, info = env.step(action.astype(np.float64))
    return RealEnd(float(info["coverage"]), seen_coverage(observation["pixels"]))


def play_imagined(config: AgreementConfig, rows: Sequence[PlannedRow], **options: Unpack[EnvOptions]) -> list[float]:
    """Play the policies of rows in a learned world, all in one batch, and give the coverage of the last pixels."""
    policies = [config.runner(row.case, row.episode) for row in rows]
    envs = imagined_pusht(len(rows), **(options | {"action_chunk_size": config.action_chunk_size}))
    with closing(envs):
        observed, _ = envs.reset(seed=[row.seed for row in rows], options={"episode": [row.episode for row in rows]})
        for _ in range(config.chunks):
            each = [{key: values[i] for key, values in observed.items()} for i in range(len(rows))]
            actions = np.stack([policy.act(seen) for policy, seen in zip(policies, each, strict=True)])
            observed, *_ = envs.step(actions)
    return [seen_coverage(frame) for frame in observed["pixels"]]


def seen_coverage(frame: Frames) -> float:
    """Share of the goal that the T in a frame covers; 0 where there is none."""
    block = find_block(frame)
    return 0.0 if block is None else block.coverage
