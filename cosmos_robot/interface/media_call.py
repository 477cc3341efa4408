"""One public call of a mode without actions: its keywords, checked and spread over the items of its batch."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.batch import naming_item
from cosmos_robot.interface.call import one_for_each, spread_seeds, spread_texts
from cosmos_robot.interface.media_request import MediaMode, MediaOptions, MediaRequest
from cosmos_robot.types import Frames, require_frame, require_integer

_SPREAD = ("negative_prompt", "seed")
"""Keywords that may differ within a batch."""


def read_pictures(given: Any) -> tuple[list[Frames], bool]:
    """Read one picture `[H, W, 3]` or a batch: clips of one frame, and whether it was a batch.

    Raises:
        MediaError: if a picture is not uint8 RGB.
    """
    batched = isinstance(given, list | tuple) or (isinstance(given, np.ndarray) and given.ndim == 4)
    pictures = []
    for index, picture in enumerate(items := given if batched else [given]):
        with naming_item(index, len(items)):
            pictures.append(require_frame(picture)[None])
    return pictures, batched


def media_requests(
    mode: MediaMode,
    prompt: str | Sequence[str],
    clips: list[Frames] | None,
    options: MediaOptions,
    *,
    batched: bool = False,
    **fields: Any,
) -> tuple[list[MediaRequest], bool]:
    """Make the requests of one call.

    Args:
        mode: the mode.
        prompt: one, or one for each item.
        clips: what conditions each item; one alone is shared by all prompts. None for text alone.
        options: the keywords as they were given.
        batched: whether the clips were given as a batch.
        fields: further fields of `MediaRequest`.

    Returns:
        The requests, and whether the call was one of a batch.

    Raises:
        TypeError: if a keyword is unknown.
        InvalidInputError: if prompts, seeds and clips are not equally many.
    """
    unknown = set(options) - set(MediaOptions.__annotations__)
    if unknown:
        raise TypeError(f"unknown keyword(s): {', '.join(sorted(unknown))}.")
    count = _count(prompt, clips, batched=batched)
    shared = {key: value for key, value in options.items() if key not in (*_SPREAD, "progress")}
    prompts = spread_texts(prompt, count, "prompt")
    negative = options.get("negative_prompt")
    negatives = [None] * count if negative is None else spread_texts(negative, count, "negative_prompt")
    seeds = spread_seeds(options.get("seed", 0), count)
    requests = []
    for index in range(count):
        with naming_item(index, count):
            requests.append(
                MediaRequest(
                    mode=mode,
                    prompt=prompts[index],
                    frames=None if clips is None else clips[index % len(clips)],
                    negative_prompt=negatives[index],
                    seed=seeds[index],
                    **shared,  # type: ignore[arg-type]
                    **fields,
                )
            )
    return requests, batched or one_for_each(prompt)


def first_latent_frames(count: int) -> tuple[int, ...]:
    """The numbers of the latent frames that a continued video begins with.

    Raises:
        InvalidInputError: if there is none.
    """
    return tuple(range(require_integer(count, "condition_latent_frames", least=1)))


def _count(prompt: str | Sequence[str], clips: list[Frames] | None, *, batched: bool) -> int:
    prompts = len(prompt) if one_for_each(prompt) else 1
    if prompts == 0 or clips == []:
        raise InvalidInputError("the batch is empty.")
    if clips is None or not batched:
        return prompts
    if one_for_each(prompt) and prompts != len(clips):
        raise InvalidInputError(f"{len(clips)} pictures or videos take one prompt or {len(clips)}; got {prompts}.")
    return len(clips)
