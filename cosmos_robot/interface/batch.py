"""Telling one item from a batch: what the public calls accept as observations, clips, actions and states."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.errors import CosmosRobotError, InvalidInputError, MediaError
from cosmos_robot.types import Actions, Frames, Observation, require_frames

type ObservationLike = Observation | Frames
type ActionsLike = Actions | NDArray[np.floating[Any]] | Sequence[Sequence[float]]


@contextmanager
def naming_item(index: int, count: int) -> Iterator[None]:
    """Have an error say which item of a batch it is about; where there is one alone, it needs no number.

    Args:
        index: of the item, from 0 on; it is said from 1 on.
        count: items of the batch.
    """
    try:
        yield
    except CosmosRobotError as error:
        if count > 1:
            error.args = (f"item {index + 1} of {count}: {error}", *error.args[1:])
        raise


def read_observations(given: Any) -> tuple[list[Observation], bool]:
    """Read one observation or a batch: observations, and whether it was a batch.

    Raises:
        MediaError: if a frame is not a uint8 RGB image, or the batch is empty.
    """
    batched = isinstance(given, list | tuple) or (isinstance(given, np.ndarray) and given.ndim == 4)
    items = list(given) if batched else [given]
    if not items:
        raise MediaError("the batch of observations is empty.")
    observations = []
    for index, item in enumerate(items):
        with naming_item(index, len(items)):
            observations.append(item if isinstance(item, Observation) else Observation(item))
    return observations, batched


def read_clips(given: Any) -> tuple[list[Frames], bool]:
    """Read one clip `[N, H, W, 3]` or a batch of clips: clips, and whether it was a batch.

    A list of frames `[H, W, 3]` is one clip; a list of clips is a batch.

    Raises:
        MediaError: if a clip is not uint8 RGB, or the batch is empty.
    """
    if isinstance(given, list | tuple):
        if not given:
            raise MediaError("the batch of videos is empty.")
        batched = np.ndim(given[0]) == 4
    else:
        batched = isinstance(given, np.ndarray) and given.ndim == 5
    clips = []
    for index, clip in enumerate(items := given if batched else [given]):
        with naming_item(index, len(items)):
            clips.append(require_frames(clip))
    return clips, batched


def read_actions(given: Any, count: int, *, batched: bool) -> list[Any]:
    """Read the actions of `count` items.

    Raises:
        InvalidInputError: if a batch has not one sequence for each item.
    """
    if not batched:
        return [given]
    items = list(given) if isinstance(given, list | tuple | np.ndarray) else [given]
    if len(items) != count or any(not isinstance(item, Actions) and np.ndim(item) != 2 for item in items):
        raise InvalidInputError(
            f"a batch of {count} observations takes {count} action sequences of shape [T, D]; got {len(items)} item(s)."
        )
    return items


def read_states(given: Any, observations: Sequence[Observation]) -> list[NDArray[np.float32] | None]:
    """Read the initial states of a batch; None takes each observation's own.

    Raises:
        InvalidInputError: if there is not one state for each item.
    """
    if given is None:
        return [observation.state for observation in observations]
    states = np.asarray(given, dtype=np.float32)
    if states.ndim == 1:
        states = states[None]
    if states.ndim != 2 or len(states) != len(observations):
        raise InvalidInputError(
            f"{len(observations)} observation(s) take {len(observations)} state vector(s); got shape {states.shape}."
        )
    return list(states)


def cut_note(frames: int, chunk: int) -> tuple[str, ...]:
    """Check that a clip is long enough for a chunk, and say what is left out of a longer one.

    Raises:
        MediaError: if there are too few frames.
    """
    if frames < chunk + 1:
        raise MediaError(
            f"too few frames: {chunk} actions lie between {chunk + 1} frames, the video has {frames}; "
            f"give a longer video or a smaller action_chunk_size."
        )
    if frames == chunk + 1:
        return ()
    return (f"the video has {frames} frames; the first {chunk + 1} were read.",)
