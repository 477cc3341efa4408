"""From NIM's words to a question to the world model."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.domains.domain import Domain
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.interface.media_request import MEDIA_MODES, MediaMode, MediaRequest
from cosmos_robot.interface.media_size import conditioning_frames, nearest_canvas
from cosmos_robot.interface.request import ActionRequest
from cosmos_robot.serving.capabilities import Capabilities
from cosmos_robot.serving.media_input import GivenMedia, MediaReader
from cosmos_robot.serving.nim_request import (
    ACTION_MODES,
    CONTROLS,
    MAX_FRAMES,
    MAX_IMAGE_CHARACTERS,
    MIN_FRAMES,
    RESOLUTION,
    ActionParams,
    NimMode,
    NimRequest,
)
from cosmos_robot.serving.problems import Kind, RequestError
from cosmos_robot.serving.question import Question
from cosmos_robot.serving.sampling_words import guidance_of
from cosmos_robot.types import Actions, ActionSpace, FloatArray, Frames

JOINT_DOMAIN = "droid_lerobot_joint"
_ACTION_STEPS, _ACTION_GUIDANCE, _ACTION_FPS, _ACTION_TIER = 30, 1.0, 10.0, "480"
_JOINTS, _GRIPPER = "observation/joint_position", "observation/gripper_position"


@dataclass(frozen=True)
class NimReader:
    """Reads requests for one server.

    Attributes:
        media: of images and videos.
        capabilities: of the checkpoint.
    """

    media: MediaReader
    capabilities: Capabilities

    def question(self, body: NimRequest) -> Question:
        """Make a question of a request; it decodes media, so it belongs into a thread.

        Raises:
            RequestError: if something does not fit.
        """
        for name in CONTROLS:
            if name in body.given:
                raise RequestError.of_field(
                    name, "control transfer is not supported by this checkpoint.", Kind.UNSUPPORTED
                )
        given = self._media(body)
        mode = _mode(body, given)
        if mode in ACTION_MODES:
            return Question((self.capabilities.fit_actions(self._action_request(body, mode, given)),))
        return Question((self._media_request(body, _media_mode(mode), given),))

    def _media(self, body: NimRequest) -> GivenMedia | None:
        for field in ("input_reference", "image", "video"):
            text = getattr(body, field)
            if text is None:
                continue
            if field == "image" and len(text) > MAX_IMAGE_CHARACTERS:
                raise _too_long(field)
            given = self.media.load(text, field)
            if not given.is_video and len(text) > MAX_IMAGE_CHARACTERS:
                raise _too_long(field)
            return given
        return None

    def _media_request(self, body: NimRequest, mode: MediaMode, given: GivenMedia | None) -> MediaRequest:
        _require_absent(body, mode, ("action_params",))
        if mode != "video2video":
            _require_absent(body, mode, ("condition_frame_indexes_vision", "condition_video_keep"))
        height, width, resolution = _size(body, mode)
        frames = _frame_count(body, mode, resolution, height, width)
        guidance, notes = guidance_of(body.guidance_scale)
        indexes = tuple(sorted(set(body.condition_frame_indexes_vision or (0, 1))))
        keep = body.condition_video_keep or "first"
        image = mode == "text2image"
        own = self.capabilities.default
        steps, shift = body.step_count, body.flow_shift
        request = MediaRequest(
            mode=mode,
            prompt=body.prompt,
            frames=None if given is None else self._frames(given, mode, indexes, last=keep == "last"),
            condition_frame_indexes_vision=indexes,
            condition_video_keep=keep,
            negative_prompt=body.negative_prompt,
            resolution=resolution,
            height=height,
            width=width,
            num_frames=frames,
            fps=body.rate,
            num_steps=own(steps, 50) if image else steps,
            guidance=own(guidance, 4.0) if image else guidance,
            shift=own(shift, 3.0) if image else shift,
            seed=body.seed,
            notes=notes,
            upsample=body.prompt_upsampling and mode != "video2video",
        )
        return self.capabilities.fit_media(request, frames_given=body.frame_count is not None)

    def _frames(self, given: GivenMedia, mode: MediaMode, indexes: tuple[int, ...], *, last: bool) -> Frames:
        if mode == "image2video":
            return self.media.image(given)[None]
        if mode != "video2video":
            raise RequestError.of_field(given.field, f"{mode} takes no image and no video.")
        frames, _ = self.media.clip(given, most=conditioning_frames(indexes), last=last)
        return frames

    def _action_request(self, body: NimRequest, mode: NimMode, given: GivenMedia | None) -> ActionRequest:
        params = body.action_params
        if params is None:
            raise RequestError.of_field("action_params", f"{mode} needs it.")
        _require_absent(
            body,
            mode,
            (
                "num_frames",
                "num_output_frames",
                "resolution",
                "video_params",
                "condition_frame_indexes_vision",
                "condition_video_keep",
            ),
        )
        if mode != "policy":
            _require_no_policy_fields(params, mode)
        if given is None:
            raise RequestError.of_field("input_reference", f"{mode} needs it.")
        self.capabilities.require_chunk(mode, params.action_chunk_size)
        joint = mode == "policy" and params.observation is not None and params.action_space == "joint_pos"
        domain = get_domain(JOINT_DOMAIN) if joint else known_domain(params.domain_name, "action_params.domain_name")
        _require_width(params, domain)
        own = self.capabilities
        guidance, notes = guidance_of(body.guidance_scale)
        sampling = domain.sampling
        tier = params.image_size or (None if own.native_canvas else _ACTION_TIER)
        return ActionRequest(
            mode="forward_dynamics" if mode == "forward_dynamics" else _action_mode(mode),
            domain=domain,
            frames=self._action_frames(given, mode, params.action_chunk_size),
            action_chunk_size=params.action_chunk_size,
            actions=_actions(params, mode, domain),
            state=_state(params) if joint else None,
            action_space=ActionSpace.MODEL,
            return_frames=not joint,
            prompt=body.prompt,
            negative_prompt=body.negative_prompt or "",
            image_size=tier,
            fps=params.action_fps or body.fps or (domain.fps if joint else _ACTION_FPS),
            num_steps=own.default(body.step_count, sampling.num_steps if joint else _ACTION_STEPS),
            guidance=own.default(guidance, sampling.guidance if joint else _ACTION_GUIDANCE),
            shift=body.flow_shift,
            seed=body.seed,
            notes=notes,
        )

    def _action_frames(self, given: GivenMedia, mode: NimMode, chunk: int) -> Frames:
        if mode != "inverse_dynamics":
            return self.media.image(given)[None]
        return self.media.chunk_clip(given, chunk)


def known_domain(name: str, field: str) -> Domain:
    """Find a domain by name; a path of a file is none.

    Raises:
        RequestError: if there is no domain of that name.
    """
    if "/" in name or "\\" in name or "." in name:
        raise RequestError.of_field(field, "a domain is named, not given by a path.")
    return get_domain(name)


def _mode(body: NimRequest, given: GivenMedia | None) -> NimMode:
    """The mode that is named, or the one that the fields speak of."""
    if body.model_mode is not None:
        return body.model_mode
    if body.action_params is not None:
        raise RequestError.of_field("model_mode", "an action mode must be named.")
    if given is None:
        return "text2video"
    return "video2video" if given.is_video else "image2video"


def _media_mode(mode: NimMode) -> MediaMode:
    return next(media for media in MEDIA_MODES if media == mode)


def _size(body: NimRequest, mode: MediaMode) -> tuple[int | None, int | None, str | None]:
    """Height and width, or a resolution; none of them where the request names none."""
    params = body.video_params
    if params is not None and params.height is not None:
        return params.height, params.width, None
    if body.resolution is None:
        return None, None, None
    found = RESOLUTION.fullmatch(body.resolution)
    if found is None:
        raise RequestError.of_field("resolution", "expected a tier, alone or with an aspect ratio.")
    default = "1_1" if mode == "text2image" and "_" not in body.resolution else "16_9"
    return None, None, f"{found[1]}_{found[2] or default}"


def _frame_count(
    body: NimRequest, mode: MediaMode, resolution: str | None, height: int | None, width: int | None
) -> int | None:
    """The frame count, within NIM's limits; None where the request names none."""
    count = body.frame_count
    if mode == "text2image":
        if count not in (None, 1):
            raise RequestError.of_field("num_frames", "text2image gives exactly one frame.")
        return None
    if height is not None and width is not None:
        tier = nearest_canvas(height, width, image=False)[0]
    else:
        tier = 720 if resolution is None else int(resolution.partition("_")[0])
    most = MAX_FRAMES[tier]
    if count is not None and not MIN_FRAMES <= count <= most:
        raise RequestError.of_field("num_frames", f"from {MIN_FRAMES} to {most} at resolution {tier}; got {count}.")
    return count


def _require_absent(body: NimRequest, mode: str, names: tuple[str, ...]) -> None:
    for name in names:
        if getattr(body, name) is not None:
            raise RequestError.of_field(name, f"{mode} does not take it.", Kind.UNKNOWN_FIELD)


def _require_no_policy_fields(params: ActionParams, mode: str) -> None:
    for name in ("history_length", "use_state", "observation"):
        if getattr(params, name) is not None:
            raise RequestError.of_field(f"action_params.{name}", f"{mode} does not take it.", Kind.UNKNOWN_FIELD)


def _require_width(params: ActionParams, domain: Domain) -> None:
    if params.raw_action_dim not in (None, domain.raw_action_dim):
        raise RequestError.of_field(
            "action_params.raw_action_dim",
            f"domain {domain.name} has {domain.raw_action_dim} channels; got {params.raw_action_dim}.",
        )
    if params.history_length not in (None, 1):
        raise RequestError.of_field("action_params.history_length", "this server keeps no history; expected 1.")


def _action_mode(mode: NimMode) -> Literal["policy", "inverse_dynamics"]:
    return "policy" if mode == "policy" else "inverse_dynamics"


def _actions(params: ActionParams, mode: NimMode, domain: Domain) -> Actions | None:
    field = "action_params.action"
    if mode != "forward_dynamics":
        if params.action is not None:
            raise RequestError.of_field(field, f"{mode} gives actions, it takes none.", Kind.UNKNOWN_FIELD)
        return None
    if params.action is None:
        raise RequestError.of_field(field, "forward_dynamics needs it.")
    return read_actions(params.action, field, rows=params.action_chunk_size, domain=domain)


def read_actions(rows_given: list[list[float]], field: str, *, rows: int, domain: Domain) -> Actions:
    """Read actions in model space, `rows` of them, each as wide as the domain.

    Raises:
        RequestError: if they are of another shape.
    """
    width = domain.raw_action_dim
    if len(rows_given) != rows or any(len(row) != width for row in rows_given):
        raise RequestError.of_field(field, f"expected {rows} rows of {width} numbers for domain {domain.name}.")
    values = np.array(rows_given, dtype=np.float64)
    require_float32(values, field)
    return Actions(values.astype(np.float32), ActionSpace.MODEL, domain.name)


def _state(params: ActionParams) -> FloatArray:
    """The robot's state of DROID's policy form, whose gripper counts from closed to open."""
    field = "action_params.observation"
    given = params.observation or {}
    joints = np.atleast_1d(np.asarray(given.get(_JOINTS, []), dtype=np.float64))
    gripper = np.atleast_1d(np.asarray(given.get(_GRIPPER, []), dtype=np.float64))
    if joints.shape != (7,) or gripper.shape != (1,) or set(given) != {_JOINTS, _GRIPPER}:
        raise RequestError.of_field(field, f"expected {_JOINTS!r} with 7 numbers and {_GRIPPER!r} with one.")
    for name, values in ((_JOINTS, joints), (_GRIPPER, gripper)):
        require_float32(values, f"{field}.{name}")
    state: FloatArray = np.concatenate([joints, 1 - gripper]).astype(np.float32)
    return state


def require_float32(values: NDArray[np.float64], field: str) -> None:
    """Check that numbers are within float32.

    Raises:
        RequestError: if one is not, or is none.
    """
    if not (np.abs(values) <= np.finfo(np.float32).max).all():
        raise RequestError.of_field(field, "a number is too large.")


def _too_long(field: str) -> RequestError:
    return RequestError.of_field(
        field, f"an encoded image has at most {MAX_IMAGE_CHARACTERS} characters.", Kind.TOO_LARGE
    )
