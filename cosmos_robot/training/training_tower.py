"""The generation tower as it is trained: compiled where that is wanted, its middle read where states are known."""

from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from cosmos_robot.engine.decoder_layer import decoder_layer
from cosmos_robot.engine.generation import GenerationContext, GenerationTower, Latents
from cosmos_robot.training.state_reading import StateReading

type StatesRead = tuple[Tensor, Tensor]
"""What was read off the action tokens and off the latent frames; see `StateReading`."""


class TrainingTower(GenerationTower):
    """A generation tower under autograd.

    Args:
        transformer: a `Cosmos3OmniTransformer`.
        reading: heads for the states, or None.
        compiled: whether a step is compiled, forward and backward, once for each layout. Attention is then plain
            matrix products, because the backward pass of torch's fused attention is several times slower than they
            are at small lengths on a CPU.
        recompute: whether a layer's activations are computed again in the backward pass and not kept.
    """

    def __init__(
        self,
        transformer: Any,
        reading: StateReading | None = None,
        *,
        compiled: bool = False,
        recompute: bool = False,
    ) -> None:
        super().__init__(transformer)
        self._recompute = recompute
        self._reading = reading
        self._read: list[Tensor] = []
        self._run = torch.compile(self._step, dynamic=False) if compiled else self._step
        self._compiled = compiled
        if compiled:
            transformer.set_attention_backend("_native_math")

    def step(self, context: GenerationContext, latents: Latents, time: Tensor) -> tuple[Latents, StatesRead | None]:
        """The velocities of one step, and the states that were read where the layout has actions.

        Args:
            context: from `prepare`; prompts of any length share one compiled step.
            latents: clean parts included.
            time: as the plain tower takes it.
        """
        if self._compiled:
            for group in context.groups:
                for tensor in (*group.keys, *group.values):
                    torch._dynamo.mark_dynamic(tensor, 1)
        found: tuple[Latents, StatesRead | None] = self._run(context, latents, time)
        return found

    def _step(self, context: GenerationContext, latents: Latents, time: Tensor) -> tuple[Latents, StatesRead | None]:
        self._read = []
        velocities = self(context, latents, time)
        return velocities, (self._read[0], self._read[1]) if self._read else None

    def _decode(self, tokens: Tensor, context: GenerationContext) -> Tensor:
        reading = self._reading if context.layout.action_rows else None
        for index, layer in enumerate(self._transformer.layers):
            if self._recompute:
                tokens = checkpoint(decoder_layer, layer, index, tokens, context, use_reentrant=False)
            else:
                tokens = decoder_layer(layer, index, tokens, context)
            if reading is not None and index + 1 == reading.after_actions:
                self._read.append(reading.actions(tokens, context.layout))
            if reading is not None and index + 1 == reading.after_frames:
                self._read.append(reading.frames(tokens, context.layout))
        return tokens
