"""What an autoencoder does to held-out clips: its PSNR, its latents' statistics, and pictures to look at."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cosmos_robot.training.autoencoder_forward import decode_latents, encode_moments
from cosmos_robot.training.pusht_clips import ClipSource, to_frames, to_pixels


@torch.no_grad()
def reconstruct(vae: Any, frames_BTHWC: Tensor) -> Tensor:
    """Encode (to the mean) and decode frames uint8 `[B, 4k + 1, H, W, 3]`."""
    mean = encode_moments(vae, to_pixels(frames_BTHWC)).chunk(2, dim=1)[0]
    return to_frames(decode_latents(vae, mean))


def frame_psnr(frames: NDArray[np.uint8], truth: NDArray[np.uint8]) -> NDArray[np.float64]:
    """PSNR in dB of each frame `[...]` of uint8 frames `[..., H, W, 3]`; equal frames count as 60 dB."""
    error = (frames.astype(np.float64) - truth.astype(np.float64)) / 255.0
    squared = np.square(error).mean(axis=(-3, -2, -1))
    decibels: NDArray[np.float64] = -10.0 * np.log10(np.maximum(squared, 1e-6))
    return decibels


def psnr_of_clips(vae: Any, source: ClipSource, length: int, clips: int) -> float:
    """Mean PSNR per frame, in dB, of reconstructed clips that are the same at every call."""
    rng = np.random.default_rng(0)
    figures = []
    for _ in range(0, clips, 8):
        frames = source.draw(rng, min(8, clips), length)
        figures.append(frame_psnr(reconstruct(vae, frames).numpy(), frames.numpy()))
    return float(np.mean(np.concatenate(figures)))


@torch.no_grad()
def latent_statistics(vae: Any, source: ClipSource, length: int, clips: int = 256) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each latent channel over training clips."""
    rng = np.random.default_rng(1)
    means = [encode_moments(vae, to_pixels(source.draw(rng, 8, length))).chunk(2, dim=1)[0] for _ in range(0, clips, 8)]
    latents = torch.cat(means)
    return latents.mean((0, 2, 3, 4)).tolist(), latents.std((0, 2, 3, 4)).tolist()


def contact_sheet(vae: Any, source: ClipSource, length: int, clips: int) -> NDArray[np.uint8]:
    """A picture uint8 `[rows, columns, 3]`: truth above reconstruction, every fourth frame of some clips."""
    frames = source.draw(np.random.default_rng(2), clips, length)
    rows: list[NDArray[np.uint8]] = []
    for truth, made in zip(frames.numpy(), reconstruct(vae, frames).numpy(), strict=True):
        rows.extend(np.concatenate(list(part[::2]), axis=1) for part in (truth, made))
    return np.concatenate(rows, axis=0)
