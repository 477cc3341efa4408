"""Held-out Push-T windows: the ground truth that an embedded model's answers are compared with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cosmos_robot.errors import InvalidInputError
from cosmos_robot.training.pusht_recording import (
    HELD_OUT_SEED,
    PushTRecording,
    RecordingConfig,
    read_shard,
    record,
    shard_path,
)
from cosmos_robot.types import FloatArray, Frames


@dataclass(frozen=True, eq=False)
class HeldOutWindow:
    """A stretch of T actions of a held-out episode.

    Attributes:
        seed: of the episode.
        frames: uint8 `[T + 1, 96, 96, 3]`.
        actions: float32 `[T, 2]` in table pixels.
        agent: float32 `[T + 1, 2]` in table pixels.
        block: float32 `[T + 1, 3]`: x, y in table pixels, angle in rad.
    """

    seed: int
    frames: Frames
    actions: FloatArray
    agent: FloatArray
    block: FloatArray

    @classmethod
    def cut(cls, episode: PushTRecording, start: int, actions: int) -> "HeldOutWindow":
        """Cut `actions` actions from `start` on."""
        stop = start + actions
        return cls(
            seed=episode.seed,
            frames=episode.frames[start : stop + 1],
            actions=episode.actions[start:stop],
            agent=episode.agent[start : stop + 1],
            block=episode.block[start : stop + 1],
        )


def held_out_episodes(folder: Path, count: int, workers: int = 1) -> list[PushTRecording]:
    """The first `count` held-out episodes, recorded into `folder` where they are not there yet."""
    return [e for path in held_out_shards(folder, count, workers) for e in read_shard(path)][:count]


def held_out_shards(folder: Path, count: int, workers: int = 1) -> list[Path]:
    """The files with the first `count` held-out episodes, recorded where they are not there yet."""
    config = RecordingConfig(episodes=25 * -(-count // 25), first_seed=HELD_OUT_SEED)
    seeds = range(config.first_seed, config.first_seed + config.episodes, config.shard_episodes)
    paths = [shard_path(folder, range(first, first + config.shard_episodes)) for first in seeds]
    return paths if all(path.exists() for path in paths) else record(folder, config, workers)


def held_out_windows(episodes: Sequence[PushTRecording], actions: int) -> list[HeldOutWindow]:
    """One window of each episode, from a place that follows from the episode's seed.

    Raises:
        InvalidInputError: if an episode is one of training.
    """
    windows = []
    for episode in episodes:
        if episode.seed < HELD_OUT_SEED:
            raise InvalidInputError(f"episode {episode.seed} belongs to the training seeds.")
        rng = np.random.default_rng(episode.seed)
        windows.append(HeldOutWindow.cut(episode, int(rng.integers(len(episode.actions) - actions + 1)), actions))
    return windows
