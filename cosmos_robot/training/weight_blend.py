"""A model between what it was before a further training and what it became.

Between the two lies what is often better on unseen data than either (WiSE-FT: Wortsman et al., "Robust fine-tuning of
zero-shot models", 2022).
"""

import torch
from torch import nn


@torch.no_grad()
def blend(model: nn.Module, earlier: nn.Module, share: float) -> None:
    """Move a model's parameters, in place, by `share` (0 to 1) of the way back to an earlier state of it."""
    before = dict(earlier.named_parameters())
    for name, parameter in model.named_parameters():
        parameter.lerp_(before[name].to(parameter), share)
