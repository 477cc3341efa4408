"""The initial noise of one item, drawn so that a seed means what it means in diffusers."""

from dataclasses import dataclass

import torch
from torch import Tensor

from cosmos_robot.engine.layout import SequenceLayout


@dataclass(frozen=True, eq=False)
class InitialNoise:
    """Standard normal noise in one item's latent shapes.

    Attributes:
        vision: `[C, T, H, W]`.
        sound: `[C, S]`, or None for a silent mode.
        action: `[A, D]`, or None for a mode without actions.
        steps: what each step of a stochastic sampler adds to the vision latent: `[C, T, H, W]` each.
    """

    vision: Tensor
    sound: Tensor | None = None
    action: Tensor | None = None
    steps: tuple[Tensor, ...] = ()


def draw_noise(
    layout: SequenceLayout, *, channels: int, seed: int, action_dim: int = 0, sound_dim: int = 0, steps: int = 0
) -> InitialNoise:
    """Draw an item's noise from its own CPU generator: the vision latent, the sound, the action rows, then the steps'.

    This is diffusers' order, drawn in full even where a modality is given, so that the same seed gives the same
    result as `generator=torch.Generator("cpu").manual_seed(seed)`. An item never depends on its batch.

    Args:
        layout: what is generated.
        channels: of the vision latent.
        seed: of the generator.
        action_dim: channels of an action row.
        sound_dim: channels of a sound frame.
        steps: how many steps add noise of their own.
    """
    generator = torch.Generator("cpu").manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    vision_shape = (channels, *layout.latent_grid)
    return InitialNoise(
        vision=draw(*vision_shape),
        sound=draw(sound_dim, layout.sound_frames) if layout.sound_frames else None,
        action=draw(layout.action_rows, action_dim) if layout.action_rows else None,
        steps=tuple(draw(*vision_shape) for _ in range(steps)),
    )
