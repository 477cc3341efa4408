"""The initial noise of one item, drawn so that a seed means what it means in diffusers."""

from dataclasses import dataclass

import torch
from torch import Tensor

from cosmos_robot.engine.layout import SequenceLayout


@dataclass(frozen=True, eq=False)
class InitialNoise:
    """Standard normal noise in the latents' shapes: vision `[C, T, H, W]`, action `[A, D]` or None."""

    vision: Tensor
    action: Tensor | None


def draw_noise(layout: SequenceLayout, *, channels: int, action_dim: int, seed: int) -> InitialNoise:
    """Draw an item's noise from its own CPU generator: first the vision latent, then the action rows.

    This is diffusers' order, drawn in full even where a modality is given, so that the same seed gives the same
    result as `generator=torch.Generator("cpu").manual_seed(seed)`. An item never depends on its batch.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    vision = torch.randn((1, channels, *layout.latent_grid), generator=generator)[0]
    if not layout.action_rows:
        return InitialNoise(vision, None)
    return InitialNoise(vision, torch.randn((layout.action_rows, action_dim), generator=generator))
