"""From what a service gave to what a world model answers; and which of a request's settings a service has words for."""

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from cosmos_robot.errors import AnswerError, InvalidInputError, UnsupportedModeError
from cosmos_robot.interface.generation import Generation
from cosmos_robot.interface.media_defaults import media_defaults
from cosmos_robot.interface.media_request import MediaRequest
from cosmos_robot.interface.model_space import answered_actions
from cosmos_robot.interface.request import ActionRequest
from cosmos_robot.remote.media_bytes import Media
from cosmos_robot.types import FloatArray, Frames, Rollout

_ALWAYS = {
    *("mode", "domain", "frames", "action_chunk_size", "actions", "action_space", "return_frames"),
    *("prompt", "seed", "notes", "upsampled_prompt"),
}
_CLIP = {"condition_frame_indexes_vision", "condition_video_keep"}
_ROUNDS = {"agentic_max_iterations", "agentic_samples_per_iteration", "agentic_early_stop"}
_WISHES = {"enable_sound": "sound", "upsample": "prompt upsampling", "agentic": "agentic generation"}


def require_carried(request: ActionRequest | MediaRequest, carried: Collection[str], service: str) -> None:
    """Check that a service has a word for every setting of a request that is not its default.

    Args:
        request: what is asked.
        carried: names of its fields that the service's requests have.
        service: what to call it in a sentence.

    Raises:
        UnsupportedModeError: if sound, upsampling or candidates are asked of a service that has none.
        InvalidInputError: if another setting would be lost.
    """
    passed_over = {*carried, *_ALWAYS}
    if request.mode != "video2video":
        passed_over |= _CLIP
    if isinstance(request, MediaRequest) and not request.agentic:
        passed_over |= _ROUNDS
    for item in fields(request):
        value = getattr(request, item.name)
        if item.name in passed_over or value is None or value == item.default:
            continue
        if item.name in _WISHES:
            raise UnsupportedModeError(f"{service} has no {_WISHES[item.name]}; leave {item.name} out.")
        raise InvalidInputError(f"{service} has no setting {item.name}; leave it out (it is {value!r}).")


def make_rollout(
    request: ActionRequest,
    service: str,
    *,
    frames: Frames | None,
    actions: FloatArray | None = None,
    notes: tuple[str, ...] = (),
    safety: str = "off",
) -> Rollout:
    """Make the answer to a request of an action mode.

    Args:
        request: what was asked.
        service: what to call it in a sentence.
        frames: uint8 `[N, H, W, 3]`, or None where it gave none.
        actions: float32 `[T, D]` in model space, or None where it gave none.
        notes: what it said about the answer.
        safety: the safety checker that it named.

    Raises:
        AnswerError: if frames or actions are missing or of another shape.
    """
    chunk, width = request.action_chunk_size, request.domain.raw_action_dim
    if request.mode == "inverse_dynamics":
        frames = request.frames
    if not request.return_frames:
        frames = None
    elif frames is None or len(frames) != chunk + 1:
        raise AnswerError(f"{service} gave {_count(frames)} frames for {chunk} actions; expected {chunk + 1}.")
    if request.actions is not None:
        values, space = request.actions.values, request.actions.space
    else:
        if actions is None or actions.ndim != 2 or len(actions) != chunk or actions.shape[1] < width:
            shape = None if actions is None else actions.shape
            raise AnswerError(f"{service} gave actions of shape {shape}; expected {chunk} rows of {width}.")
        values, space = answered_actions(request, actions[:, :width]), request.action_space
    return Rollout(
        frames=frames,
        actions=values,
        action_space=space,
        domain=request.domain.name,
        fps=request.domain.fps if request.fps is None else request.fps,
        seed=request.seed,
        prompt=request.prompt,
        notes=(*request.notes, *notes),
        safety=safety,
    )


def make_generation(
    request: MediaRequest,
    media: Media,
    *,
    fps: float | None = None,
    notes: tuple[str, ...] = (),
    seed: int | None = None,
    prompt_used: str | None = None,
    safety: str = "off",
) -> Generation:
    """Make the answer to a request of a mode without actions.

    Args:
        request: what was asked.
        media: what was given.
        fps: frames a second that the service named; None is what the file or the request says.
        notes: what the service said about it.
        seed: that it named; None is the caller's.
        prompt_used: that it named; None is the caller's.
        safety: the safety checker that it named.
    """
    wanted = 1 if request.image else request.num_frames
    if wanted is not None and len(media.frames) != wanted and not notes:
        notes = (f"answered with {len(media.frames)} frames in place of {wanted}.",)
    return Generation(
        mode=request.mode,
        frames=media.frames[:1] if request.image else media.frames,
        fps=fps or media.fps or request.fps or media_defaults(request.mode).fps,
        sound=media.sound,
        seed=request.seed if seed is None else seed,
        prompt=request.prompt,
        prompt_used=request.prompt_used if prompt_used is None else prompt_used,
        notes=(*request.notes, *notes),
        safety=safety,
    )


def read_rows(found: object, service: str) -> FloatArray:
    """Read rows of numbers of an answer: float32 `[T, D]`.

    Raises:
        AnswerError: if they are none, or not finite.
    """
    try:
        rows = np.asarray(found, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise AnswerError(f"{service} gave actions that are no rows of numbers.") from error
    if rows.ndim != 2 or not np.isfinite(rows).all():
        raise AnswerError(f"{service} gave actions that are no rows of finite numbers; their shape is {rows.shape}.")
    return rows


def value_of(found: object, name: str, service: str) -> Any:
    """Give a value out of an answer's JSON.

    Raises:
        AnswerError: if it is not there.
    """
    if not isinstance(found, Mapping) or found.get(name) is None:
        raise AnswerError(f"{service} gave an answer without {name}.")
    return found[name]


def _count(frames: Frames | None) -> int:
    return 0 if frames is None else len(frames)
