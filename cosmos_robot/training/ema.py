"""An exponential moving average of the weights that are trained."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class Ema:
    """Averages weights; the average is what is evaluated and shipped.

    Only weights that require gradients are kept, so that averaging LoRA weights costs nothing. Early on the average is
    short, so that it forgets the initialisation: the decay of update `n` is `min(decay, (1 + n) / (10 + n))`.

    Args:
        module: the module whose weights are averaged.
        decay: of the average once it has warmed up.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.average = {name: p.detach().clone() for name, p in module.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move the average towards the weights of `module`."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        current = dict(module.named_parameters())
        averages = list(self.average.values())
        torch._foreach_lerp_(averages, [current[name].detach() for name in self.average], 1.0 - decay)

    @contextmanager
    def applied(self, module: nn.Module) -> Iterator[None]:
        """Put the average into `module` for a while; its own weights come back afterwards."""
        self._swap(module)
        try:
            yield
        finally:
            self._swap(module)

    def state(self) -> dict[str, Any]:
        """What `load` needs."""
        return {"average": self.average, "updates": self.updates}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.updates = state["updates"]
        for name, value in state["average"].items():
            self.average[name].copy_(value)

    @torch.no_grad()
    def _swap(self, module: nn.Module) -> None:
        current = dict(module.named_parameters())
        for name, average in self.average.items():
            own: Tensor = current[name].detach().clone()
            current[name].copy_(average)
            average.copy_(own)
