"""From pixels to latent frames: Wan's encoder on `causal_blocks`.

The first frame of a clip makes the first latent frame, each four that follow another. A single frame, which is all that
conditions most modes, sees only zeros behind it: two thirds of its multiplications are left out.
"""

from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl_wan import WanResample, WanResidualDownBlock
from torch import Tensor

from cosmos_robot.engine.causal_blocks import (
    Activation,
    CausalConv,
    History,
    Norm,
    ResidualBlock,
    SpatialConv,
    convolve,
)
from cosmos_robot.engine.causal_decoder import Block, middle

FRAMES_OF_A_LATENT = 4


class Downsampler:
    """`WanResample` downwards: half the size and, where it has a convolution in time, half the frames."""

    def __init__(self, resample: Any) -> None:
        self._conv = SpatialConv(resample.resample[1])
        self._time = CausalConv(resample.time_conv) if resample.mode == "downsample3d" else None

    def __call__(self, x: Tensor, history: History) -> Tensor:
        """`[B, C, T, H, W]` -> `[B, C, T or T / 2, H / 2, W / 2]`; the first frame stays one."""
        x = self._conv(F.pad(x.movedim(1, -1), (0, 0, 0, 1, 0, 1)))
        if self._time is None:
            return x
        following = self in history.frames
        room = history.room(self, x, count=1)
        room[:, :, 1:] = x
        return convolve(room, self._time.weight, self._time.bias, [2, 1, 1], [0, 0, 0]) if following else x


class Average:
    """`AvgDown3D`: the shortcut around a downsampling block."""

    def __init__(self, shortcut: Any) -> None:
        self._factors = shortcut.factor_t, shortcut.factor_s, shortcut.factor_s
        self._group = shortcut.group_size

    def __call__(self, x: Tensor) -> Tensor:
        """`[B, C, T, H, W]` -> `[B, C', T', H', W']`."""
        time, rows, columns = self._factors
        x = F.pad(x.movedim(1, -1), (0, 0, 0, 0, 0, 0, -x.shape[2] % time, 0))
        batch, frames, height, width, channels = x.shape
        cells = x.view(batch, frames // time, time, height // rows, rows, width // columns, columns, channels)
        grouped = cells.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(*cells.shape[:2], height // rows, width // columns, -1)
        grouped = grouped.view(*grouped.shape[:4], -1, self._group)
        return grouped.mean(dim=-1).movedim(-1, 1)


class DownBlock:
    """`WanResidualDownBlock`: residual blocks, a downsampler where it has one, and a shortcut around them."""

    def __init__(self, block: Any, activation: Activation) -> None:
        self._blocks: list[Block] = [ResidualBlock(residual, activation) for residual in block.resnets]
        if block.downsampler is not None:
            self._blocks.append(Downsampler(block.downsampler))
        self._shortcut = Average(block.avg_shortcut)

    def __call__(self, x: Tensor, history: History) -> Tensor:
        """`[B, C, T, H, W]` -> `[B, C', T', H', W']`."""
        y = x
        for block in self._blocks:
            y = block(y, history)
        return y + self._shortcut(x)


class CausalEncoder:
    """Encodes clips.

    Args:
        vae: an `AutoencoderKLWan`, whose parameters are copied in another layout.
        activation: see `Activation`.
    """

    def __init__(self, vae: Any, activation: Activation) -> None:
        encoder = vae.encoder
        self._patch = vae.config.patch_size or 1
        self._conv_in = CausalConv(encoder.conv_in)
        self._blocks = [self._block(block, activation) for block in encoder.down_blocks]
        self._blocks += middle(encoder.mid_block, activation)
        self._norm_out = Norm(encoder.norm_out, activation)
        self._conv_out = CausalConv(encoder.conv_out)
        self._quant = CausalConv(vae.quant_conv)

    @staticmethod
    def _block(block: Any, activation: Activation) -> Block:
        if isinstance(block, WanResidualDownBlock):
            return DownBlock(block, activation)
        return Downsampler(block) if isinstance(block, WanResample) else ResidualBlock(block, activation)

    def __call__(self, pixels_BCTHW: Tensor) -> Tensor:
        """Encode a clip of 4k + 1 frames in [-1, 1].

        Returns:
            Mean and logarithm of the variance, not normalised: `[B, 2 C, k + 1, h, w]`.
        """
        frames = pixels_BCTHW.shape[2]
        history = History(keep=frames > 1)
        starts = (0, *range(1, frames, FRAMES_OF_A_LATENT))
        ends = (1, *range(1 + FRAMES_OF_A_LATENT, frames + FRAMES_OF_A_LATENT, FRAMES_OF_A_LATENT))
        parts = [self._encode(pixels_BCTHW[:, :, a:b], history) for a, b in zip(starts, ends, strict=False)]
        return self._quant(torch.cat(parts, dim=2), history)

    def _encode(self, pixels: Tensor, history: History) -> Tensor:
        x = self._conv_in(fold_pixels(pixels, self._patch), history)
        for block in self._blocks:
            x = block(x, history)
        return self._conv_out(x, history, self._norm_out)


def fold_pixels(pixels_BCTHW: Tensor, patch: int) -> Tensor:
    """Gather the pixels of each cell in its channels: `[B, 3, T, p H, p W]` -> `[B, 3 p p, T, H, W]`, channels last."""
    batch, channels, frames, height, width = pixels_BCTHW.shape
    cells = pixels_BCTHW.reshape(batch, channels, frames, height // patch, patch, width // patch, patch)
    return cells.permute(0, 2, 3, 5, 1, 6, 4).flatten(4).movedim(-1, 1)
