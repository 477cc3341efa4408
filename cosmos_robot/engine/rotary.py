"""Rotary position embedding, as Cosmos 3's attention applies it."""

import torch
from torch import Tensor

type Rotary = tuple[Tensor, Tensor]
"""Cosine and sine of the angles, each broadcastable to `[..., tokens, heads, head_dim]`."""


def rotate(x: Tensor, rotary: Rotary) -> Tensor:
    """Rotate the two halves of the last axis of `x` `[..., tokens, heads, head_dim]`."""
    cos, sin = rotary
    half = x.shape[-1] // 2
    turned = torch.cat((-x[..., half:], x[..., :half]), dim=-1)
    return x * cos + turned * sin
