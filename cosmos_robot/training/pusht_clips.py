"""Random clips of recorded Push-T episodes, for the autoencoder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cosmos_robot.training.pusht_recording import PushTRecording, read_shard, recorded_shards


@dataclass(frozen=True, eq=False)
class ClipSource:
    """Frames of whole episodes in memory, and the background that they share.

    Attributes:
        frames: uint8 `[episodes, steps, H, W, 3]`.
        moved: float32 `[episodes, steps - 1]`: how far the T moved in each step, table pixels.
        background: uint8 `[H, W, 3]`: the median of many frames.
    """

    frames: NDArray[np.uint8]
    moved: NDArray[np.float32]
    background: NDArray[np.uint8]

    @classmethod
    def of(cls, episodes: Sequence[PushTRecording]) -> "ClipSource":
        """Put episodes of the same length together."""
        frames = np.stack([episode.frames for episode in episodes])
        blocks = np.stack([episode.block for episode in episodes])
        turned = 60.0 * np.abs(np.diff(blocks[..., 2], axis=1))
        moved = np.linalg.norm(np.diff(blocks[..., :2], axis=1), axis=-1) + turned
        rng = np.random.default_rng(0)
        some = frames[rng.integers(len(frames), size=301), rng.integers(frames.shape[1], size=301)]
        return cls(frames, moved.astype(np.float32), np.median(some, axis=0).astype(np.uint8))

    @classmethod
    def read(cls, folder: Path, max_episodes: int) -> "ClipSource":
        """Read up to `max_episodes` episodes of a folder of shards."""
        episodes: list[PushTRecording] = []
        for path in recorded_shards(folder):
            episodes.extend(read_shard(path))
            if len(episodes) >= max_episodes:
                break
        return cls.of(episodes[:max_episodes])

    def draw(self, rng: np.random.Generator, batch: int, length: int) -> Tensor:
        """Draw clips: uint8 `[batch, length, H, W, 3]`, three of four of them from where the T moves."""
        clips = [self._draw_one(rng, length) for _ in range(batch)]
        return torch.from_numpy(np.stack(clips))

    def _draw_one(self, rng: np.random.Generator, length: int) -> NDArray[np.uint8]:
        wants_motion = length > 1 and rng.random() < 0.75
        for _ in range(8):
            episode = int(rng.integers(len(self.frames)))
            start = int(rng.integers(self.frames.shape[1] - length + 1))
            if not wants_motion or self.moved[episode, start : start + length - 1].sum() > 5.0:
                break
        return self.frames[episode, start : start + length]


def to_pixels(frames_BTHWC: Tensor) -> Tensor:
    """Frames uint8 `[B, T, H, W, 3]` as pixels float32 `[B, 3, T, H, W]` in -1..1."""
    return frames_BTHWC.permute(0, 4, 1, 2, 3).float() / 127.5 - 1.0


def to_frames(pixels_BCTHW: Tensor) -> Tensor:
    """Pixels `[B, 3, T, H, W]` in -1..1 as frames uint8 `[B, T, H, W, 3]`."""
    scaled = (pixels_BCTHW.float().clamp(-1.0, 1.0) + 1.0) * 127.5
    return scaled.round().to(torch.uint8).permute(0, 2, 3, 4, 1)
