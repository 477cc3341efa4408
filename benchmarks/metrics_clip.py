"""CLIP score: how well frames go with a prompt, where the weights of the network are at hand; nothing is downloaded."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from cosmos_robot.benchmarks.needed_packages import needed
from cosmos_robot.types import Frames

CLIP = "openai/clip-vit-base-patch16"
"""The network where none is named: that of the field's figures."""

_FRAMES = 8


def clip_absent(weights: str | None) -> str | None:
    """Why there is no CLIP score here, or None.

    Args:
        weights: folder of a CLIP checkpoint; None is `CLIP` in the Hub's cache.
    """
    from huggingface_hub import try_to_load_from_cache

    if weights is not None:
        there = (Path(weights) / "config.json").is_file()
        return None if there else f"there is no CLIP checkpoint in {weights}."
    if isinstance(try_to_load_from_cache(CLIP, "config.json"), str):
        return None
    return f"the weights of {CLIP} are not in the Hub's cache (--clip-weights FOLDER names others)."


def clip_score(weights: str | None, frames: Frames, prompt: str) -> float:
    """100 times the mean cosine of frames and prompt (Hessel et al. 2021; torchmetrics), 0 at least.

    Args:
        weights: as of `clip_absent`.
        frames: uint8 `[N, H, W, 3]`, of which at most eight are taken, evenly spaced.
        prompt: what they are to show.
    """
    import torch

    metric = _metric(weights)
    chosen = frames[np.unique(np.linspace(0, len(frames) - 1, min(len(frames), _FRAMES)).round().astype(int))]
    images = torch.from_numpy(np.ascontiguousarray(chosen)).permute(0, 3, 1, 2)
    metric.reset()
    metric.update(images, [prompt] * len(chosen))
    return float(metric.compute())


@cache
def _metric(weights: str | None) -> Any:
    from transformers import CLIPModel, CLIPProcessor

    def load() -> tuple[Any, Any]:
        name = weights or CLIP
        return (
            CLIPModel.from_pretrained(name, local_files_only=True),
            CLIPProcessor.from_pretrained(name, local_files_only=True),
        )

    return needed("torchmetrics.multimodal.clip_score").CLIPScore(load)
