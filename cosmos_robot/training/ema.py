"""An exponential moving average of a module's weights."""

import copy

import torch
from torch import Tensor, nn


class Ema[M: nn.Module]:
    """Averages weights; the average is what is evaluated and shipped.

    Early on the average is short, so that it forgets the initialisation: the decay of update `n` is
    `min(decay, (1 + n) / (10 + n))`.

    Args:
        module: the module whose weights are averaged.
        decay: of the average once it has warmed up.
    """

    def __init__(self, module: M, decay: float) -> None:
        self.module: M = copy.deepcopy(module).requires_grad_(False).eval()
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, module: M) -> None:
        """Move the average towards the weights of `module`."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        averages: list[Tensor] = [p for p in self.module.parameters() if p.is_floating_point()]
        weights: list[Tensor] = [p.detach() for p in module.parameters() if p.is_floating_point()]
        torch._foreach_lerp_(averages, weights, 1.0 - decay)
