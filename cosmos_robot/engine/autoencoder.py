"""Pixels to normalised latents and back, through the checkpoint's `AutoencoderKLWan`."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers.video_processor import VideoProcessor
from PIL import Image
from torch import Tensor

from cosmos_robot.types import Canvas, FloatArray, Frames


class Autoencoder:
    """Deterministic encoding (the posterior's mode) and decoding, with the latent statistics of the checkpoint.

    Args:
        vae: an `AutoencoderKLWan`.
    """

    def __init__(self, vae: Any) -> None:
        self._vae = vae
        shape = (1, -1, 1, 1, 1)
        self._mean = torch.tensor(vae.config.latents_mean, dtype=vae.dtype).view(shape)
        self._inverse_std = 1.0 / torch.tensor(vae.config.latents_std, dtype=vae.dtype).view(shape)
        self._processor = VideoProcessor(vae_scale_factor=self.spatial_factor, resample="bilinear")

    @property
    def spatial_factor(self) -> int:
        """Pixels of one latent cell."""
        return int(self._vae.config.scale_factor_spatial)

    @property
    def temporal_factor(self) -> int:
        """Frames of one latent frame."""
        return int(self._vae.config.scale_factor_temporal)

    @property
    def channels(self) -> int:
        """Latent channels."""
        return int(self._vae.config.z_dim)

    def pixels(self, frames: Frames, canvas: Canvas) -> Tensor:
        """Bring frames to the canvas: uint8 `[N, H, W, 3]` -> float32 `[1, 3, N, padded H, padded W]` in [-1, 1].

        The order of operations is diffusers': resize to the floored size as 8-bit images, scale down bicubically,
        pad at right and bottom by reflection (by replication where the padding is wider than the picture).
        """
        images = [Image.fromarray(frame) for frame in frames]
        height, width = canvas.floored
        clip = self._processor.preprocess_video(images, height=height, width=width)[0].transpose(0, 1)
        clip = clip.to(self._vae.device, torch.float32)
        if canvas.content != canvas.floored:
            clip = F.interpolate(clip, size=canvas.content, mode="bicubic", align_corners=False, antialias=True)
        bottom, right = (p - c for p, c in zip(canvas.padded, canvas.content, strict=True))
        if bottom or right:
            wide = right >= canvas.content[1] or bottom >= canvas.content[0]
            clip = F.pad(clip, (0, right, 0, bottom), mode="replicate" if wide else "reflect")
        pixels: Tensor = clip.transpose(0, 1).unsqueeze(0)
        return pixels

    def encode(self, pixels_BCTHW: Tensor, canvas: Canvas) -> Tensor:
        """Encode and crop to the content: float32 `[B, C, T', h, w]`."""
        raw = self._vae.encode(pixels_BCTHW.to(self._vae.dtype)).latent_dist.mode()
        latents: Tensor = ((raw - self._mean.to(raw.device)) * self._inverse_std.to(raw.device)).float()
        height, width = canvas.latent
        return latents[..., :height, :width].contiguous()

    def decode(self, latents_BCTHW: Tensor) -> Tensor:
        """Decode to float32 `[B, T, 3, H, W]` in [0, 1]."""
        latents = latents_BCTHW.to(self._vae.dtype)
        raw = latents / self._inverse_std.to(latents.device) + self._mean.to(latents.device)
        decoded = self._vae.decode(raw).sample.float()
        unit: Tensor = (decoded / 2 + 0.5).clamp(0, 1)
        return unit.transpose(1, 2)


def to_uint8(frames_TCHW: Tensor) -> Frames:
    """Round frames in [0, 1] to uint8 `[T, H, W, 3]`, on the tensor's device before they are copied to the host."""
    levels = (frames_TCHW.permute(0, 2, 3, 1) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(levels.cpu().numpy())


def to_float(frames_TCHW: Tensor) -> FloatArray:
    """Copy frames in [0, 1] to the host as float32 `[T, H, W, 3]`."""
    return np.ascontiguousarray(frames_TCHW.permute(0, 2, 3, 1).float().cpu().numpy())
