"""What 8-bit floating point does to the figures, on any machine: weights and activations rounded, sums in full.

torchao multiplies in 8 bits on the devices that can; here the same rows are scaled and rounded to the same 8 bits and
multiplied as they are. It is slower than no quantisation at all and tells the error of the preset "fp8", nothing else.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cosmos_robot.engine.float8 import float8_layers

FORMAT = torch.float8_e4m3fn


def rounded(rows: Tensor) -> Tensor:
    """Scale each row `[..., N]` to the format's range, round it to 8 bits, and scale it back."""
    limit = torch.finfo(FORMAT).max
    scale = rows.abs().amax(dim=-1, keepdim=True).clamp_min(1e-12).float() / limit
    return ((rows.float() / scale).to(FORMAT).float() * scale).to(rows.dtype)


class RoundedLinear(nn.Module):
    """A linear layer whose weight and input are rounded.

    Args:
        linear: the layer.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight = nn.Parameter(rounded(linear.weight.detach()), requires_grad=False)
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """`[..., in]` -> `[..., out]`."""
        return F.linear(rounded(x), self.weight, self.bias)


def emulate_float8(transformer: Any) -> None:
    """Put rounding layers in the place of those that the preset "fp8" quantises."""
    for name in float8_layers(transformer):
        owner, _, leaf = name.rpartition(".")
        parent = transformer.get_submodule(owner)
        setattr(parent, leaf, RoundedLinear(getattr(parent, leaf)))
