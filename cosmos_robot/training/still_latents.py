"""Latents that stay where the pixels stay.

An autoencoder that is trained on pixels alone codes what does not move a little otherwise in every latent frame. A
transformer then has to learn how the code of a thing that stands still wanders; where it does not, it can copy.
"""

import torch.nn.functional as F
from torch import Tensor

from cosmos_robot.engine.layout import TEMPORAL_FACTOR

_SAME = 0.04
"""Largest difference, of a range of 2, of pixels that stay: five levels of 255."""


def still_cells(pixels_BCTHW: Tensor, cell: int) -> Tensor:
    """Which latent cells, half a cell around them included, have not changed since the first frame.

    Args:
        pixels_BCTHW: `[B, 3, 4k + 1, H, W]` in -1..1.
        cell: side of a latent cell in pixels.

    Returns:
        float32 `[B, k, H / cell, W / cell]`, 1 where they have not, for the latent frames from the second on.
    """
    changes = pixels_BCTHW.diff(dim=2).abs().amax(1)
    B, T, H, W = changes.shape
    by_cell = F.max_pool2d(changes.reshape(B * T, 1, H, W), 2 * cell, cell, cell // 2)
    most = by_cell.reshape(B, T, H // cell, W // cell).cummax(dim=1).values
    return (most[:, TEMPORAL_FACTOR - 1 :: TEMPORAL_FACTOR] < _SAME).float()


def drift(latents_BCTHW: Tensor, still_BTHW: Tensor) -> Tensor:
    """Mean squared difference of latents of still cells from the latent frame before, in units of their variance.

    Args:
        latents_BCTHW: `[B, C, k + 1, h, w]`, of any scale.
        still_BTHW: from `still_cells`.
    """
    variance = latents_BCTHW.var(dim=(0, 2, 3, 4), keepdim=True)
    differences = (latents_BCTHW.diff(dim=2).square() / variance).mean(1)
    return (differences * still_BTHW).sum() / still_BTHW.sum().clamp_min(1.0)
