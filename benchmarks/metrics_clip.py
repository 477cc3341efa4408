"""CLIP score: how well frames go with a prompt, where the weights of the network are at hand; nothing is downloaded."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

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
    """100 times the mean cosine of frames and prompt, 0 at least (Hessel et al. 2021).

    Args:
        weights: as of `clip_absent`.
        frames: uint8 `[N, H, W, 3]`, of which at most eight are taken, evenly spaced.
        prompt: what they are to show.
    """
    import torch

    model, processor = _network(weights or CLIP)
    chosen = frames[np.unique(np.linspace(0, len(frames) - 1, min(len(frames), _FRAMES)).round().astype(int))]
    inputs = processor(text=[prompt], images=list(chosen), return_tensors="pt", padding=True, truncation=True)
    with torch.no_grad():
        found = model(**inputs)
    cosines = torch.cosine_similarity(found.image_embeds, found.text_embeds)
    return max(0.0, 100.0 * float(cosines.mean()))


@cache
def _network(name: str) -> tuple[Any, Any]:
    from transformers import CLIPModel, CLIPProcessor

    return (
        CLIPModel.from_pretrained(name, local_files_only=True).eval(),
        CLIPProcessor.from_pretrained(name, local_files_only=True),
    )
