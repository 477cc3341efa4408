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
from cosmos_robot.types import Frames, Progress, Sound, require_integer

_SMALL = 832
"""Longest side of tier 480. Up to it a video goes on as large as it is; a larger one in its mode's tier, which is 720,
or what a smaller checkpoint was trained for."""


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
    length = clip_frames(first) if first.num_frames is None else first.num_frames
    if length <= seen:
        raise InvalidInputError(f"a generation of {length} frames that goes on from {seen} has no new one; use more.")
    wanted = length - seen if extra_frames is None else require_integer(extra_frames, "extra_frames", least=1)
    chunks = -(-wanted // (length - seen))
    videos = [_GrowingVideo(request, seen, wanted) for request in requests]
    for k in range(chunks):
        left = min(length, seen + wanted - k * (length - seen))
        answers = yield Chunk([video.chunk(k, left) for video in videos], k, chunks)
        for video, answer in zip(videos, answers, strict=True):
            video.add(answer)
    return [video.joined() for video in videos]


class _GrowingVideo:
    """One video in the memory where it is to stay, so that a long one is held once; of its chunks the last is kept.

    Args:
        request: whose video goes on.
        seen: frames that a chunk goes on from.
        wanted: frames that are added.
    """

    def __init__(self, request: MediaRequest, seen: int, wanted: int) -> None:
        if request.frames is None:
            raise InvalidInputError("there is no video to continue.")
        self._request, self._seen, self._wanted = _at_own_size(request, request.frames), seen, wanted
        self._given = request.frames
        self._frames: Frames | None = None
        self._count = len(request.frames)
        self._last: Generation | None = None
        self._sounds: list[Sound] = []
        self._notes: dict[str, None] = {}

    def chunk(self, k: int, num_frames: int) -> MediaRequest:
        """What is asked for chunk `k`."""
        frames = self._given if self._last is None else self._last.frames_to_go_on_from()
        return replace(self._request, frames=frames, num_frames=num_frames, seed=chunk_seed(self._request.seed, k))

    def add(self, answer: Generation) -> None:
        """Put a chunk's new frames behind those that are there."""
        new = answer.numpy()[self._seen :]
        if self._frames is None:
            self._frames = np.empty((self._count + self._wanted, *new.shape[1:]), np.uint8)
            _resize_into(self._frames, self._given)
        self._frames[self._count : self._count + len(new)] = new
        self._count += len(new)
        self._last = answer
        self._notes |= dict.fromkeys(answer.notes)
        if answer.sound is not None:
            begin = int(self._seen / answer.fps * answer.sound.sample_rate)
            self._sounds.append(replace(answer.sound, samples=answer.sound.samples[:, begin:].copy()))

    def joined(self) -> Generation:
        """The whole."""
        if self._last is None or self._frames is None:
            raise InvalidInputError("nothing was added to the video.")
        notes = tuple(self._notes)
        given, size = self._given.shape[1:3], self._frames.shape[1:3]
        if given != size:
            notes += (f"the given frames were brought from {given[0]}x{given[1]} to {size[0]}x{size[1]} (HxW).",)
        return replace(
            self._last,
            frames=self._frames,
            sound=_joined_sound(len(self._given) / self._last.fps, self._sounds),
            seed=self._request.seed,
            notes=notes,
        )


def _at_own_size(request: MediaRequest, frames: Frames) -> MediaRequest:
    """Have a small video go on as small as it is, where the caller names no size."""
    named = request.resolution, request.aspect_ratio, request.height
    height, width = frames.shape[1:3]
    if named != (None, None, None) or max(height, width) > _SMALL:
        return request
    return replace(request, height=height, width=width)


def _joined_sound(silent: float, sounds: list[Sound]) -> Sound | None:
    """Seconds of silence for the given frames, then every part's sound from its first new frame on."""
    if not sounds:
        return None
    rate = sounds[0].sample_rate
    silence = np.zeros((len(sounds[0].samples), int(silent * rate)), np.float32)
    return Sound(np.concatenate([silence, *(sound.samples for sound in sounds)], axis=1), rate)


def _resize_into(target: Frames, frames: Frames) -> None:
    height, width = target.shape[1:3]
    for row, frame in zip(target, frames, strict=False):  # the target goes on
        if frame.shape[:2] == (height, width):
            row[...] = frame
        else:
            row[...] = np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BILINEAR))
