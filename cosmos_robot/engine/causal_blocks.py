"""The building blocks of Wan's autoencoder, channels last: diffusers' parameters, laid out for the device's kernels.

What diffusers computes with the channels first, with a copy for each padding, each concatenation and each pass of a
norm, is computed here in memory order `[B, T, H, W, C]`: a norm reads neighbours, a convolution takes its input as it
lies, and an activation is written where the next convolution reads it, behind the frames that it remembers. The sums
are the same; their order is not, so that results agree within floating-point tolerance.

Tensors have the shape `[B, C, T, H, W]` throughout; only their strides are channels last.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

type Activation = Callable[[Tensor, Tensor, Tensor], Tensor]
"""`(x, weight, out)`: normalises `x` over the channels, weighs it, applies SiLU and writes it to `out`."""

SMALLEST_NORM = 1e-12
"""What `torch.nn.functional.normalize` divides by at least."""


class History:
    """The frames that the causal convolutions of one clip remember.

    Args:
        keep: whether anything follows the frames that come next; a single frame leaves nothing behind.
    """

    def __init__(self, *, keep: bool = True) -> None:
        self.keep = keep
        self.frames: dict[object, Tensor] = {}

    def room(self, key: object, x: Tensor, count: int = 2) -> Tensor:
        """Make room for frames shaped as `x` behind the `count` that `key` remembers, zeros where it has none.

        Returns:
            `[B, C, count + T, H, W]`, whose last T frames are still to be written.
        """
        batch, channels, frames, height, width = x.shape
        room = x.new_empty((batch, count + frames, height, width, channels)).permute(0, 4, 1, 2, 3)
        if key in self.frames:
            room[:, :, :count] = self.frames[key]
        else:
            room[:, :, :count].zero_()
        if self.keep:
            self.frames[key] = room[:, :, -count:]
        return room


def norm_silu(x: Tensor, weight: Tensor, out: Tensor) -> Tensor:
    """Normalise over the channels (in float32), weigh, apply SiLU; see `Activation`."""
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=torch.float32).clamp_min_(SMALLEST_NORM)
    if x.dtype == torch.float32:
        torch.mul(x, length.reciprocal_(), out=out)
        return F.silu(out.mul_(weight), inplace=True)
    return out.copy_(F.silu((x.float() / length).to(x.dtype) * weight))


def channels_last(x: Tensor) -> Tensor:
    """Lay `[B, C, T, H, W]` out as `[B, T, H, W, C]`."""
    return x.contiguous(memory_format=torch.channels_last_3d)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Apply a convolution of one cell, which is a matrix product over the channels."""
    return F.linear(x.movedim(1, -1), weight, bias).movedim(-1, 1)


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride: list[int], padding: list[int]) -> Tensor:
    """Convolve in two or three dimensions, on the CPU always by oneDNN.

    torch's own choice takes another kernel, some ten times slower, for a small batch on one thread.
    """
    if x.device.type == "cpu" and x.dtype == torch.float32 and torch._C._has_mkldnn:
        one = [1] * len(stride)
        found: Tensor = torch.ops.aten.mkldnn_convolution(x, weight, bias, padding, stride, one, 1)
        return found
    return (F.conv2d if weight.ndim == 4 else F.conv3d)(x, weight, bias, stride, padding)


class CausalConv:
    """A convolution over the frames so far: `WanCausalConv3d` with its history.

    Args:
        conv: diffusers' module.
    """

    def __init__(self, conv: Any) -> None:
        self.weight = conv.weight.detach().contiguous(memory_format=torch.channels_last_3d)
        self.bias = None if conv.bias is None else conv.bias.detach()
        self.past = conv._padding[4]
        self._stride = list(conv.stride)
        self._padding = [0, conv._padding[2], conv._padding[0]]
        self._pointwise = self.weight.shape[2:] == (1, 1, 1)
        # The first frame of a clip has only zeros behind it: the last tap alone sees anything.
        self._last_tap = self.weight[:, :, -1:].contiguous(memory_format=torch.channels_last_3d) if self.past else None

    def __call__(self, x: Tensor, history: History, norm: "Norm | None" = None) -> Tensor:
        """Convolve `x`, normalised and activated beforehand where a norm is given.

        Args:
            x: `[B, C, T, H, W]`, the frames that follow those in the history.
            history: of the clip; it is brought up to date.
            norm: of the activation that comes before.
        """
        if self._pointwise and norm is None:
            return linear(x, self.weight.flatten(1), self.bias)
        if self._last_tap is not None and x.shape[2] == 1 and self not in history.frames:
            return self._first(x, history, norm)
        room = history.room(self, x, self.past)
        written = room[:, :, self.past :]
        if norm is None:
            written.copy_(x)
        else:
            norm.activate(x, written)
        return convolve(room, self.weight, self.bias, self._stride, self._padding)

    def _first(self, x: Tensor, history: History, norm: "Norm | None") -> Tensor:
        if norm is not None:
            x = norm.activate(x, torch.empty_like(x))
        if history.keep:
            history.room(self, x, self.past)[:, :, self.past :].copy_(x)
        if self._last_tap is None:
            raise ValueError("a convolution without a past has no first frame of its own.")
        return convolve(x, self._last_tap, self.bias, self._stride, self._padding)


class Norm:
    """`WanRMS_norm`, alone or with the SiLU that follows it.

    Args:
        norm: diffusers' module.
        activation: what normalises and activates.
    """

    def __init__(self, norm: Any, activation: Activation) -> None:
        weight = norm.gamma.detach() * norm.scale
        self.weight = weight.reshape(-1, 1, 1, 1)
        self._activation = activation

    def activate(self, x: Tensor, out: Tensor) -> Tensor:
        """Normalise and apply SiLU, into `out`."""
        return self._activation(x, self.weight, out)

    def plain(self, tokens: Tensor) -> Tensor:
        """Normalise the last axis of `[..., C]` without an activation."""
        normed: Tensor = F.normalize(tokens.float(), dim=-1) * self.weight.flatten()
        return normed.to(tokens.dtype)


class ResidualBlock:
    """`WanResidualBlock`: two activated convolutions and a shortcut."""

    def __init__(self, block: Any, activation: Activation) -> None:
        self._norms = Norm(block.norm1, activation), Norm(block.norm2, activation)
        self._convs = CausalConv(block.conv1), CausalConv(block.conv2)
        self._shortcut = CausalConv(block.conv_shortcut) if hasattr(block.conv_shortcut, "weight") else None

    def __call__(self, x: Tensor, history: History) -> Tensor:
        """`[B, C, T, H, W]` -> `[B, C', T, H, W]`."""
        y = self._convs[0](x, history, self._norms[0])
        y = self._convs[1](y, history, self._norms[1])
        return y.add_(x if self._shortcut is None else self._shortcut(x, history))


class Attention:
    """`WanAttentionBlock`: one head over the cells of each frame."""

    def __init__(self, block: Any, activation: Activation) -> None:
        self._norm = Norm(block.norm, activation)
        self._qkv = block.to_qkv.weight.detach().flatten(1), block.to_qkv.bias.detach()
        self._out = block.proj.weight.detach().flatten(1), block.proj.bias.detach()

    def __call__(self, x: Tensor, history: History) -> Tensor:
        """`[B, C, T, H, W]` -> `[B, C, T, H, W]`; no frame sees another."""
        batch, channels, frames, height, width = x.shape
        tokens = x.movedim(1, -1).reshape(batch * frames, 1, height * width, channels)
        query, key, value = F.linear(self._norm.plain(tokens), *self._qkv).chunk(3, dim=-1)
        attended = F.linear(F.scaled_dot_product_attention(query, key, value), *self._out) + tokens
        return attended.view(batch, frames, height, width, channels).movedim(-1, 1)


class SpatialConv:
    """A convolution of each frame by itself."""

    def __init__(self, conv: Any) -> None:
        self._weight = conv.weight.detach().contiguous(memory_format=torch.channels_last)
        self._bias = conv.bias.detach()
        self._stride, self._padding = list(conv.stride), list(conv.padding)

    def __call__(self, frames_BTHWC: Tensor) -> Tensor:
        """`[B, T, H, W, C]` in memory order -> `[B, C', T, H', W']`."""
        images = frames_BTHWC.flatten(0, 1).movedim(-1, 1)
        convolved = convolve(images, self._weight, self._bias, self._stride, self._padding).movedim(1, -1)
        return convolved.reshape(*frames_BTHWC.shape[:2], *convolved.shape[1:]).movedim(-1, 1)
