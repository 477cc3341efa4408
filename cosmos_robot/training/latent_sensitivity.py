"""How much each latent channel shows in the pixels: what a transformer's error in it costs."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

NUDGE = 0.3
"""Standard deviation of the noise that is put on one channel, of unit variance, at a time."""


@torch.no_grad()
def channel_weights(vae: Any, pixels_BCTHW: Tensor, *, seed: int = 0) -> tuple[float, ...]:
    """Measure the weight of each latent channel: the squared error in the pixels that noise on it makes.

    An autoencoder's statistics bring every channel to the same variance, those that carry an outline and those that
    carry next to nothing; a loss on latents would spend as much on the one as on the other.

    Args:
        vae: an `AutoencoderKLWan`.
        pixels_BCTHW: clips, float32 in -1..1.
        seed: of the noise.

    Returns:
        One weight for each channel, of mean 1.
    """
    mean = torch.tensor(vae.config.latents_mean).view(1, -1, 1, 1, 1)
    std = torch.tensor(vae.config.latents_std).view(1, -1, 1, 1, 1)
    latents = (vae.encode(pixels_BCTHW).latent_dist.mean - mean) / std
    plain = vae.decode(latents * std + mean).sample
    generator = torch.Generator().manual_seed(seed)
    costs = []
    for channel in range(latents.shape[1]):
        nudged = latents.clone()
        nudged[:, channel] += NUDGE * torch.randn(nudged[:, channel].shape, generator=generator)
        costs.append(float((vae.decode(nudged * std + mean).sample - plain).square().mean()))
    weights = np.array(costs) / np.mean(costs)
    return tuple(round(float(weight), 4) for weight in weights)
