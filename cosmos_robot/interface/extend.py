"""Videos that go on: generations chained, each on the last frames of the one before."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from PIL import Image

from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.chain import chunk_seed
from cosmos_robot.interface.generation import Generation
from cosmos_robot.interface.media_request import MediaRequest
from cosmos_robot.interface.media_size import conditioning_frames
from cosmos_robot.interface.steps import Chunk, Steps, run_steps
from cosmos_robot.types import Frames, Progress, Sound


class MediaModel(Protocol):
    """What a chain asks for its chunks: a world model."""

    def generate_media(self, requests: Sequence[MediaRequest], *, progress: Progress | None = None) -> list[Generation]:
        """Answer requests, in their order."""
        ...

    def clip_frames(self, request: MediaRequest) -> int:
        """How many frames one generation has where the caller does not say."""
        ...


def extend(
    model: MediaModel,
    requests: Sequence[MediaRequest],
    *,
    extra_frames: int | None = None,
    progress: Progress | None = None,
) -> list[Generation]:
    """Continue the videos of video-to-video requests, chunk after chunk, the items of a batch side by side.

    Args:
        model: answers one chunk at a time.
        requests: that keep the last frames of their videos; `num_frames` is the length of one generation.
        extra_frames: how many frames to add; None adds those of one generation.
        progress: told of each denoising step of the whole.

    Raises:
        InvalidInputError: if a generation would have no new frame, or there is nothing to add.
    """
    steps = extend_steps(requests, extra_frames=extra_frames, clip_frames=model.clip_frames)
    return run_steps(steps, lambda chunk: model.generate_media(chunk.requests, progress=chunk.progress(progress)))


def extend_steps(
    requests: Sequence[MediaRequest], *, extra_frames: int | None, clip_frames: Callable[[MediaRequest], int]
) -> Steps[MediaRequest, Generation]:
    """The chain without the asking; see `extend`."""
    first = requests[0]
    if first.keep_on_device:
        raise InvalidInputError("extend_video joins frames in the host's memory; leave keep_on_device out.")
    seen = conditioning_frames(first.clean_frames)
    length = first.num_frames or clip_frames(first)
    if length <= seen:
        raise InvalidInputError(f"a generation of {length} frames that goes on from {seen} has no new one; use more.")
    wanted = length - seen if extra_frames is None else extra_frames
    if wanted < 1:
        raise InvalidInputError(f"extra_frames must be at least 1; got {wanted}.")
    chunks = -(-wanted // (length - seen))
    parts: list[list[Generation]] = [[] for _ in requests]
    for k in range(chunks):
        left = min(length, seen + wanted - k * (length - seen))
        answers = yield Chunk([_chunk(request, parts[i], k, left) for i, request in enumerate(requests)], k, chunks)
        for i, answer in enumerate(answers):
            parts[i].append(answer)
    return [_join(request, part, seen) for request, part in zip(requests, parts, strict=True)]


def _chunk(request: MediaRequest, before: list[Generation], k: int, num_frames: int) -> MediaRequest:
    frames = before[-1].frames_to_go_on_from() if before else request.frames
    return replace(request, frames=frames, num_frames=num_frames, seed=chunk_seed(request.seed, k))


def _join(request: MediaRequest, parts: list[Generation], seen: int) -> Generation:
    """Put the given frames and every part's new ones together."""
    given = request.frames
    if given is None:
        raise InvalidInputError("there is no video to continue.")
    size = int(parts[0].frames.shape[1]), int(parts[0].frames.shape[2])
    frames = np.concatenate([_at_size(given, size), *(part.numpy()[seen:] for part in parts)])
    notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
    if given.shape[1:3] != size:
        notes += (
            f"the given frames were brought from {given.shape[1]}x{given.shape[2]} to {size[0]}x{size[1]} (HxW).",
        )
    return replace(
        parts[0], frames=frames, sound=_joined_sound(len(given), parts, seen), seed=request.seed, notes=notes
    )


def _joined_sound(given: int, parts: list[Generation], seen: int) -> Sound | None:
    """Silence as long as the given frames, then every part's sound from its first new frame on."""
    sounds = [part.sound for part in parts if part.sound is not None]
    if not sounds:
        return None
    rate, fps = sounds[0].sample_rate, parts[0].fps
    silence = np.zeros((len(sounds[0].samples), int(given / fps * rate)), np.float32)
    new = [sound.samples[:, int(seen / fps * rate) :] for sound in sounds]
    return Sound(np.concatenate([silence, *new], axis=1), rate)


def _at_size(frames: Frames, size: tuple[int, int]) -> Frames:
    if frames.shape[1:3] == size:
        return frames
    resized = [Image.fromarray(frame).resize((size[1], size[0]), Image.Resampling.BILINEAR) for frame in frames]
    return np.stack([np.asarray(image) for image in resized])
