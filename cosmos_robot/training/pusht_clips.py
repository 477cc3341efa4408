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
        rarity: float32 `[4096]`: how rare a colour is among what is not background, 0 (the commonest) to 1, by the
            upper four bits of red, green and blue.
    """

    frames: NDArray[np.uint8]
    moved: NDArray[np.float32]
    background: NDArray[np.uint8]
    rarity: NDArray[np.float32]

    @classmethod
    def of(cls, episodes: Sequence[PushTRecording]) -> "ClipSource":
        """Put episodes of the same length together."""
        frames = np.stack([episode.frames for episode in episodes])
        blocks = np.stack([episode.block for episode in episodes])
        turned = 60.0 * np.abs(np.diff(blocks[..., 2], axis=1))
        moved = np.linalg.norm(np.diff(blocks[..., :2], axis=1), axis=-1) + turned
        rng = np.random.default_rng(0)
        some = frames[rng.integers(len(frames), size=301), rng.integers(frames.shape[1], size=301)]
        background = np.median(some, axis=0).astype(np.uint8)
        return cls(frames, moved.astype(np.float32), background, colour_rarity(some, background))

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


def colour_rarity(frames: NDArray[np.uint8], background: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How rare each of 4096 coarse colours is in frames `[N, H, W, 3]`, as `ClipSource.rarity` holds it.

    A colour that is 36 times as rare as the commonest one, or rarer, has 1: a small thing of its own colour counts for
    as much as a large one, and so do edges.
    """
    differs = (np.abs(frames.astype(np.int16) - background) > 12).any(axis=-1)
    counts = np.bincount(colour_bins(frames[differs]), minlength=4096).astype(np.float64)
    rarer = np.sqrt(counts.max() / np.maximum(counts, 1.0))
    rarity: NDArray[np.float32] = np.clip((rarer - 1.0) / 5.0, 0.0, 1.0).astype(np.float32)
    return rarity


def colour_bins(frames: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The coarse colour `[...]`, 0..4095, of frames `[..., 3]`."""
    upper = frames.astype(np.int64) >> 4
    bins: NDArray[np.int64] = upper[..., 0] * 256 + upper[..., 1] * 16 + upper[..., 2]
    return bins


def to_pixels(frames_BTHWC: Tensor) -> Tensor:
    """Frames uint8 `[B, T, H, W, 3]` as pixels float32 `[B, 3, T, H, W]` in -1..1."""
    return frames_BTHWC.permute(0, 4, 1, 2, 3).float() / 127.5 - 1.0


def to_frames(pixels_BCTHW: Tensor) -> Tensor:
    """Pixels `[B, 3, T, H, W]` in -1..1 as frames uint8 `[B, T, H, W, 3]`."""
    scaled = (pixels_BCTHW.float().clamp(-1.0, 1.0) + 1.0) * 127.5
    return scaled.round().to(torch.uint8).permute(0, 2, 3, 4, 1)
