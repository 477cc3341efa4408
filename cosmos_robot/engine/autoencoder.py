"""Pixels to normalised latents and back, through the checkpoint's `AutoencoderKLWan`.

Its parameters run through `CausalEncoder` and `CausalDecoder`, which give diffusers' figures in less time. Frames come
out by the latent frame, so that the first can be used while the last is still computed.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers.video_processor import VideoProcessor
from PIL import Image
from torch import Tensor

from cosmos_robot.engine.causal_blocks import Activation, History, norm_silu
from cosmos_robot.engine.causal_decoder import CausalDecoder
from cosmos_robot.engine.causal_encoder import CausalEncoder
from cosmos_robot.engine.device import free_memory
from cosmos_robot.types import Canvas, Frames

MEMORY_SHARE = 0.25
"""Of the free memory, what the activations of one decoding may take."""

ACTIVATIONS = 8
"""Tensors of the decoder's widest level that are alive together: rooms of two convolutions, shortcut, temporaries."""


class Autoencoder:
    """Deterministic encoding (the posterior's mode) and decoding, with the latent statistics of the checkpoint.

    Args:
        vae: an `AutoencoderKLWan`. One whose tiling is switched on keeps diffusers' own passes, tiles and all.
        causal: whether the quicker passes are used; else diffusers' own.
        activation: what normalises and activates in them; see `causal_blocks.Activation`.
    """

    def __init__(self, vae: Any, *, causal: bool = True, activation: Activation = norm_silu) -> None:
        self._vae = vae
        self._causal = causal
        self._activation = activation
        self._parameters = tuple(vae.parameters())
        self._packed: tuple[object, CausalEncoder, CausalDecoder] | None = None
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
        if frames.shape[1:3] == canvas.floored:
            clip = self._scaled(frames)
        else:
            images = [Image.fromarray(frame) for frame in frames]
            height, width = canvas.floored
            clip = self._processor.preprocess_video(images, height=height, width=width)[0].transpose(0, 1)
            clip = clip.to(self._vae.device, torch.float32)
        if canvas.content != canvas.floored:
            clip = F.interpolate(
                clip.contiguous(), size=canvas.content, mode="bicubic", align_corners=False, antialias=True
            )
        bottom, right = (p - c for p, c in zip(canvas.padded, canvas.content, strict=True))
        if bottom or right:
            wide = right >= canvas.content[1] or bottom >= canvas.content[0]
            clip = F.pad(clip, (0, right, 0, bottom), mode="replicate" if wide else "reflect")
        pixels: Tensor = clip.transpose(0, 1).unsqueeze(0)
        return pixels

    def _scaled(self, frames: Frames) -> Tensor:
        """Frames that need no resizing, uint8 `[N, H, W, 3]`, to float32 `[N, 3, H, W]` in [-1, 1], on the device.

        The same two operations as diffusers' processor, to the last bit, without its way over images and the host's
        float32: of a clip of 61 frames of 480x832 that takes two seconds.
        """
        device = self._vae.device
        clip = torch.from_numpy(np.require(frames, requirements=["C", "W"])).to(device).permute(0, 3, 1, 2).float()
        # A tensor: CUDA multiplies by the reciprocal of a number, whose last bit is another.
        levels = torch.full((), 255.0, device=device)
        return clip.div_(levels).mul_(2.0).sub_(1.0)

    @torch.no_grad()
    def encode(self, pixels_BCTHW: Tensor, canvas: Canvas) -> Tensor:
        """Encode and crop to the content: float32 `[B, C, T', h, w]`."""
        pixels = pixels_BCTHW.to(self._vae.dtype)
        raw = self._mode(pixels)
        latents: Tensor = ((raw - self._mean.to(raw.device)) * self._inverse_std.to(raw.device)).float()
        height, width = canvas.latent
        return latents[..., :height, :width].contiguous()

    def decode(self, latents_BCTHW: Tensor) -> Tensor:
        """Decode to float32 `[B, T, 3, H, W]` in [0, 1]."""
        return torch.cat(list(self.stream(latents_BCTHW)), dim=1).movedim(-1, 2)

    @torch.no_grad()
    def stream(self, latents_BCTHW: Tensor) -> Iterator[Tensor]:
        """Decode latent frame after latent frame.

        Yields:
            float32 `[B, t, H, W, 3]` in [0, 1]: the first frame, then four at a time.
        """
        latents = latents_BCTHW.to(self._vae.dtype)
        raw = latents / self._inverse_std.to(latents.device) + self._mean.to(latents.device)
        if not self._own:
            yield _unit(self._vae.decode(raw).sample.permute(0, 2, 3, 4, 1))
            return
        decoder, history = self._passes()[1], History(keep=raw.shape[2] > 1)
        for index in range(raw.shape[2]):
            yield _unit(decoder(raw[:, :, index], history))

    def items_at_once(self, latents_BCTHW: Tensor) -> int:
        """How many of a batch's items are decoded together: as many as the free memory holds, at least one."""
        config = self._vae.config
        cells = (
            latents_BCTHW.shape[-2] * latents_BCTHW.shape[-1] * self.spatial_factor**2 // (config.patch_size or 1) ** 2
        )
        width = int(config.decoder_base_dim or config.base_dim)
        item: int = (self.temporal_factor + 2) * cells * width * self._vae.dtype.itemsize * ACTIVATIONS
        return max(1, int(MEMORY_SHARE * free_memory(latents_BCTHW.device)) // item)

    def _mode(self, pixels: Tensor) -> Tensor:
        """The posterior's mode, not normalised: `[B, C, T', h, w]`."""
        if not self._own:
            mode: Tensor = self._vae.encode(pixels).latent_dist.mode()
            return mode
        return self._passes()[0](pixels).chunk(2, dim=1)[0]

    @property
    def _own(self) -> bool:
        return self._causal and not self._vae.use_tiling

    def _passes(self) -> tuple[CausalEncoder, CausalDecoder]:
        """The passes on the parameters as they are now: they hold copies in another layout."""
        now = self._vae.device, tuple((p.data_ptr(), p._version) for p in self._parameters)
        if self._packed is None or self._packed[0] != now:
            self._packed = now, CausalEncoder(self._vae, self._activation), CausalDecoder(self._vae, self._activation)
        return self._packed[1:]


def _unit(decoded: Tensor) -> Tensor:
    """From around [-1, 1] to float32 in [0, 1]."""
    return decoded.float().mul(0.5).add_(0.5).clamp_(0, 1)
