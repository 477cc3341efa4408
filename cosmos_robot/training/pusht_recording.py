"""Records ground truth in gym-pusht: what scripted pushers do there, as frames, actions and poses.

An episode follows from its seed alone. Episodes lie in compressed shards; a shard that is there is not recorded
again, so a recording goes on where it was stopped.
"""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from cosmos_robot.errors import InvalidInputError
from cosmos_robot.training.progress import counted
from cosmos_robot.training.pusht_scripts import Scene, draw_pusher
from cosmos_robot.types import FloatArray, Frames

HELD_OUT_SEED = 1_000_000
"""Environment seeds from here up are for evaluation and never recorded for training."""
FPS = 10.0
FRAME_SIZE = 96


@dataclass(frozen=True, eq=False)
class PushTRecording:
    """One recorded episode of T actions.

    Attributes:
        seed: of the environment and the pushers.
        frames: uint8 `[T + 1, 96, 96, 3]`.
        actions: float32 `[T, 2]` targets in table pixels, 0..512.
        agent: float32 `[T + 1, 2]` centre of the pusher in table pixels.
        block: float32 `[T + 1, 3]` pose of the T: x, y in table pixels, angle in rad.
    """

    seed: int
    frames: Frames
    actions: FloatArray
    agent: FloatArray
    block: FloatArray


@dataclass(frozen=True)
class RecordingConfig:
    """What is recorded.

    Attributes:
        episodes: how many.
        steps: actions in each.
        first_seed: seed of the first; the others follow.
        shard_episodes: episodes in one file.
    """

    episodes: int = 1_500
    steps: int = 100
    first_seed: int = 0
    shard_episodes: int = 25

    def __post_init__(self) -> None:
        if self.episodes < 1 or self.steps < 1 or self.shard_episodes < 1 or self.first_seed < 0:
            raise InvalidInputError(f"every number of a recording must be positive; got {self}.")
        if self.first_seed < HELD_OUT_SEED < self.first_seed + self.episodes:
            raise InvalidInputError(f"a recording must not mix training seeds with held-out ones: {self}.")


def open_simulator() -> gymnasium.Env[Any, Any]:
    """gym-pusht with 96x96 frames, without its time limit and its wrappers.

    The caller closes it. On a machine without a display SDL needs `SDL_VIDEODRIVER=dummy` in the environment.
    """
    import gym_pusht  # noqa: F401  (registers the environment)

    env: gymnasium.Env[Any, Any] = gymnasium.make(
        "gym_pusht/PushT-v0",
        obs_type="pixels_agent_pos",
        render_mode="rgb_array",
        observation_width=FRAME_SIZE,
        observation_height=FRAME_SIZE,
        disable_env_checker=True,
    ).unwrapped
    return env


def record_episode(env: gymnasium.Env[Any, Any], seed: int, steps: int) -> PushTRecording:
    """Record one episode of `steps` actions; the same seed gives the same arrays."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0x7E55]))
    observation, info = env.reset(seed=seed)
    frames, agents, blocks, actions = [], [], [], []
    pusher, left = draw_pusher(rng), int(rng.integers(30, 100))
    for _ in range(steps):
        frames.append(observation["pixels"])
        agents.append(observation["agent_pos"])
        blocks.append(info["block_pose"])
        if left == 0:
            pusher, left = draw_pusher(rng), int(rng.integers(20, 80))
        left -= 1
        action = np.clip(pusher.target(Scene(agents[-1], blocks[-1])), 0.0, 512.0).astype(np.float32)
        actions.append(action)
        observation, _, _, _, info = env.step(action.astype(np.float64))
    return PushTRecording(
        seed=seed,
        frames=np.stack([*frames, observation["pixels"]]).astype(np.uint8),
        actions=np.stack(actions),
        agent=np.stack([*agents, observation["agent_pos"]]).astype(np.float32),
        block=np.stack([*blocks, info["block_pose"]]).astype(np.float32),
    )


def record(out: Path, config: RecordingConfig, workers: int = 1) -> list[Path]:
    """Record `config.episodes` episodes into shards under `out` and return the shards' paths in order.

    Shards that are there already are kept. `workers` processes share the rest.
    """
    out.mkdir(parents=True, exist_ok=True)
    wanted = list(_shard_seeds(config))
    paths = [shard_path(out, seeds) for seeds in wanted]
    missing = [(path, seeds, config.steps) for path, seeds in zip(paths, wanted, strict=True) if not path.exists()]
    with ProcessPoolExecutor(max_workers=workers, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(_record_shard, *task) for task in missing]
        for future in counted(as_completed(futures), "recording Push-T", total=len(futures)):
            future.result()
    return paths


def shard_path(out: Path, seeds: range) -> Path:
    """Where the shard with these seeds lies."""
    return out / f"pusht_{seeds.start:07d}_{seeds.stop:07d}.npz"


def read_shard(path: Path) -> list[PushTRecording]:
    """Read all episodes of one shard."""
    with np.load(path) as arrays:
        seeds, frames, actions = arrays["seeds"], arrays["frames"], arrays["actions"]
        agent, block = arrays["agent"], arrays["block"]
    return [PushTRecording(int(seed), frames[i], actions[i], agent[i], block[i]) for i, seed in enumerate(seeds)]


def recorded_shards(folder: Path) -> list[Path]:
    """All shards in a folder, by seed.

    Raises:
        InvalidInputError: if there is none.
    """
    paths = sorted(folder.glob("pusht_*.npz"))
    if not paths:
        raise InvalidInputError(f"no recorded Push-T shards (pusht_*.npz) in {folder}.")
    return paths


def _shard_seeds(config: RecordingConfig) -> Iterator[range]:
    end = config.first_seed + config.episodes
    for start in range(config.first_seed, end, config.shard_episodes):
        yield range(start, min(start + config.shard_episodes, end))


def _record_shard(path: Path, seeds: range, steps: int) -> None:
    env = open_simulator()
    episodes = [record_episode(env, seed, steps) for seed in seeds]
    env.close()
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez_compressed(
            file,
            seeds=np.array(seeds),
            frames=np.stack([episode.frames for episode in episodes]),
            actions=np.stack([episode.actions for episode in episodes]),
            agent=np.stack([episode.agent for episode in episodes]),
            block=np.stack([episode.block for episode in episodes]),
        )
    partial.rename(path)
