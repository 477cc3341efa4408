"""From latent frames to pixels, one latent frame after another: Wan's decoder on `causal_blocks`.

The decoder is causal, so that the frames of a latent frame are final as soon as it is decoded: they can be shown, or
copied to the host, while the next one is still computed.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from cosmos_robot.engine.causal_blocks import (
    Activation,
    Attention,
    CausalConv,
    History,
    Norm,
    ResidualBlock,
    SpatialConv,
    channels_last,
)

type Block = Callable[[Tensor, History], Tensor]


def middle(block: Any, activation: Activation) -> list[Block]:
    """Blocks of a `WanMidBlock`: residual, then attention and residual by turns."""
    blocks: list[Block] = [ResidualBlock(block.resnets[0], activation)]
    for attention, residual in zip(block.attentions, block.resnets[1:], strict=True):
        blocks += [Attention(attention, activation), ResidualBlock(residual, activation)]
    return blocks


class Upsampler:
    """`WanResample` upwards: twice the size and, where it has a convolution in time, twice the frames."""

    def __init__(self, resample: Any) -> None:
        self._conv = SpatialConv(resample.resample[1])
        self._time = CausalConv(resample.time_conv) if resample.mode == "upsample3d" else None

    def __call__(self, x: Tensor, history: History, *, first: bool) -> Tensor:
        """`[B, C, T, H, W]` -> `[B, C', T or 2T, 2H, 2W]`; the first latent frame of a clip gives one frame only."""
        batch, channels, frames, height, width = x.shape
        if self._time is None or first:
            cells = x.movedim(1, -1).unsqueeze(2)
        else:
            doubled = self._time(x, history).movedim(1, -1)
            cells = doubled.view(batch, frames, height, width, 2, channels).movedim(-2, 2)
        repeated = cells.unsqueeze(4).unsqueeze(6)
        repeated = repeated.expand(-1, -1, -1, -1, 2, -1, 2, -1)
        return self._conv(repeated.reshape(batch, -1, 2 * height, 2 * width, channels))


class Duplicate:
    """`DupUp3D`: the shortcut around an upsampling block, added in place."""

    def __init__(self, shortcut: Any) -> None:
        self._factors = shortcut.factor_t, shortcut.factor_s, shortcut.factor_s
        self._channels = shortcut.out_channels
        self._repeats = shortcut.repeats

    def add_to(self, y: Tensor, x: Tensor, *, first: bool) -> Tensor:
        """Add `x` `[B, C, T, H, W]`, its cells repeated, to `y` `[B, C', T', H', W']`."""
        batch, _, frames, height, width = x.shape
        time, rows, columns = self._factors
        spread = x.movedim(1, -1).repeat_interleave(self._repeats, dim=-1)
        spread = spread.view(batch, frames, height, width, self._channels, time, rows, columns)
        spread = spread.permute(0, 1, 5, 2, 6, 3, 7, 4)
        if first:  # the first latent frame holds one frame, the last of those that it would give
            frames, time = 1, 1
            spread = spread[:, -1:, -1:]
        cells = y.movedim(1, -1).view(batch, frames, time, height, rows, width, columns, self._channels)
        cells.add_(spread)
        return y


class UpBlock:
    """`WanResidualUpBlock` or `WanUpBlock`: residual blocks, an upsampler, a shortcut around them where it has one."""

    def __init__(self, block: Any, activation: Activation) -> None:
        self._blocks = [ResidualBlock(residual, activation) for residual in block.resnets]
        upsamplers = getattr(block, "upsamplers", None)
        upsampler = upsamplers[0] if upsamplers else getattr(block, "upsampler", None)
        self._upsampler = None if upsampler is None else Upsampler(upsampler)
        shortcut = getattr(block, "avg_shortcut", None)
        self._shortcut = None if shortcut is None else Duplicate(shortcut)

    def __call__(self, x: Tensor, history: History, *, first: bool) -> Tensor:
        """`[B, C, T, H, W]` -> `[B, C', T', H', W']`."""
        y = x
        for block in self._blocks:
            y = block(y, history)
        if self._upsampler is not None:
            y = self._upsampler(y, history, first=first)
        return y if self._shortcut is None else self._shortcut.add_to(y, x, first=first)


class CausalDecoder:
    """Decodes latent frames in their order.

    Args:
        vae: an `AutoencoderKLWan`, whose parameters are copied in another layout.
        activation: see `Activation`.
    """

    def __init__(self, vae: Any, activation: Activation) -> None:
        decoder = vae.decoder
        self._patch = vae.config.patch_size or 1
        self._quant = CausalConv(vae.post_quant_conv)
        self._conv_in = CausalConv(decoder.conv_in)
        self._middle = middle(decoder.mid_block, activation)
        self._up = [UpBlock(block, activation) for block in decoder.up_blocks]
        self._norm_out = Norm(decoder.norm_out, activation)
        self._conv_out = CausalConv(decoder.conv_out)

    def __call__(self, latent_BCHW: Tensor, history: History) -> Tensor:
        """Decode one latent frame.

        Args:
            latent_BCHW: not normalised, in the autoencoder's precision.
            history: of the clip, empty at its first latent frame.

        Returns:
            `[B, T, H, W, 3]` around [-1, 1]: one frame for the first latent frame, four for each that follows.
        """
        first = not history.frames
        x = self._conv_in(self._quant(channels_last(latent_BCHW.unsqueeze(2)), history), history)
        for block in self._middle:
            x = block(x, history)
        for up in self._up:
            x = up(x, history, first=first)
        x = self._conv_out(x, history, self._norm_out)
        return unfold_pixels(x, self._patch)


def unfold_pixels(x: Tensor, patch: int) -> Tensor:
    """Spread the channels of each cell over its pixels: `[B, 3 p p, T, H, W]` -> `[B, T, p H, p W, 3]`."""
    batch, _, frames, height, width = x.shape
    cells = x.movedim(1, -1).reshape(batch, frames, height, width, -1, patch, patch)
    pixels = cells.permute(0, 1, 2, 6, 3, 5, 4)  # diffusers' order: the column within the patch comes first
    return pixels.reshape(batch, frames, height * patch, width * patch, -1)
