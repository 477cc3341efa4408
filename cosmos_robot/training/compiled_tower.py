"""The generation tower compiled for training on a CPU, where most of an eager step is not matrix products."""

from typing import Any

import torch
from torch import Tensor

from cosmos_robot.engine.generation import GenerationContext, GenerationTower, Latents


class CompiledTower(GenerationTower):
    """A generation tower whose step is compiled, forward and backward, once for each layout.

    Args:
        transformer: a `Cosmos3OmniTransformer`; its attention is set to plain matrix products, because the backward
            pass of torch's fused attention is several times slower than they are at these lengths on a CPU.
    """

    def __init__(self, transformer: Any) -> None:
        super().__init__(transformer)
        transformer.set_attention_backend("_native_math")
        self._compiled = torch.compile(super().__call__, dynamic=False)

    def __call__(self, context: GenerationContext, latents: Latents, time: Tensor) -> Latents:
        """As the plain tower's; prompts of any length share one compiled step."""
        for group in context.groups:
            for tensor in (*group.keys, *group.values):
                torch._dynamo.mark_dynamic(tensor, 1)
        velocities: Latents = self._compiled(context, latents, time)
        return velocities
