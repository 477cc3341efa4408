"""Windows that begin with a frame that a world model imagined, as every chunk of a chained rollout but the first does.

A model that has only seen recorded first frames blurs its own, slightly blurred, last frame a little more with every
chunk, until a T that is pushed on and on has melted away. Here recorded actions are played in chained chunks; each
imagined last frame takes the place of the recorded one, and what is to follow stays what was recorded.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cosmos_robot.training.progress import counted
from cosmos_robot.training.pusht_clips import to_pixels
from cosmos_robot.training.pusht_recording import PushTRecording, read_shard, recorded_shards
from cosmos_robot.training.pusht_windows import CHUNK, LatentEncoder, WindowConfig, encode_windows, latent_encoder
from cosmos_robot.training.windows import LatentWindows
from cosmos_robot.types import FloatArray, Frames

type Imagine = Callable[[Frames, FloatArray], Frames]
"""From first frames `[B, H, W, 3]` and actions `[B, A, 2]` to the frames after the last action `[B, H, W, 3]`."""


@dataclass(frozen=True)
class ImaginedStarts:
    """Which windows begin with imagined frames.

    Attributes:
        shards: of the recordings, from the last one backwards, that are played.
        chunks: chained in each episode, each the start of one window.
        largest_error: mean squared difference from the recorded frame, in levels of 255, from which an imagined frame,
            and what is chained to it, is no longer of the recorded scene: the recorded frame is kept.
        windows: how they are worded and encoded.
    """

    shards: int = 60
    chunks: int = 3
    largest_error: float = 500.0
    windows: WindowConfig = field(default_factory=lambda: WindowConfig(compile=True))


def cache_imagined_starts(vae: Any, imagine: Imagine, recordings: Path, out: Path, config: ImaginedStarts) -> None:
    """Make the windows of the shards that have none yet, beside the plain ones.

    Args:
        vae: the trained `AutoencoderKLWan`.
        imagine: the world model.
        recordings: folder of recorded shards.
        out: folder of the cached windows.
        config: which.
    """
    encode, encode_frame = latent_encoder(vae, compiled=config.windows.compile), latent_encoder(vae)
    paths = recorded_shards(recordings)[-config.shards :]
    for path in counted(paths, "imagining starts", len(paths)):
        target = out / f"windows_imagined_{path.stem}.npz"
        if not target.exists():
            imagined_starts(encode, encode_frame, imagine, read_shard(path), config).save(target)


def imagined_starts(
    encode: LatentEncoder,
    encode_frame: LatentEncoder,
    imagine: Imagine,
    episodes: list[PushTRecording],
    config: ImaginedStarts,
) -> LatentWindows:
    """Play the episodes' actions in chained chunks and cut the windows that follow each.

    Args:
        encode: of whole windows.
        encode_frame: of single frames.
        imagine: the world model.
        episodes: of at least `chunks + 1` chunks.
        config: which windows.

    Returns:
        `chunks` windows of each episode, one behind the other.
    """
    began = {episode.seed: _first_start(episode, config) for episode in episodes}
    starts = {seed: [first + CHUNK * (k + 1) for k in range(config.chunks)] for seed, first in began.items()}
    windows = encode_windows(encode, episodes, config.windows, starts=starts)
    frames = np.stack([episode.frames[began[episode.seed]] for episode in episodes])
    near, all_latents = np.ones(len(episodes), dtype=np.bool_), windows.latents_of(np.arange(len(windows)))
    for k in range(config.chunks):
        taken = [episode.actions[starts[episode.seed][k] - CHUNK : starts[episode.seed][k]] for episode in episodes]
        frames = imagine(frames, np.stack(taken))
        near &= (
            _errors(frames, [episode.frames[starts[episode.seed][k]] for episode in episodes]) < config.largest_error
        )
        latents = encode_frame(to_pixels(torch.from_numpy(frames[:, None]))).to(torch.float16).numpy()
        for row in np.flatnonzero(near):
            all_latents[row * config.chunks + k, :, 0] = latents[row, :, 0]
    return replace(windows, latents=all_latents)


def _first_start(episode: PushTRecording, config: ImaginedStarts) -> int:
    rng = np.random.default_rng([config.windows.seed, episode.seed, 0xC4A1])
    return int(rng.integers(len(episode.actions) - CHUNK * (config.chunks + 1) + 1))


def _errors(frames: Frames, recorded: list[Frames]) -> NDArray[np.float64]:
    difference = frames.astype(np.float64) - np.stack(recorded)
    errors: NDArray[np.float64] = np.square(difference).mean(axis=(1, 2, 3))
    return errors
