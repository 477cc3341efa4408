"""From the words of `/v1/videos` to a question to the world model."""

import secrets
from dataclasses import dataclass
from typing import Any

from cosmos_robot.domains.domain import Domain
from cosmos_robot.domains.registry import list_domains
from cosmos_robot.interface.media_request import MediaMode, MediaRequest
from cosmos_robot.interface.media_size import conditioning_frames
from cosmos_robot.interface.request import ActionRequest
from cosmos_robot.serving.capabilities import Capabilities
from cosmos_robot.serving.media_input import GivenMedia, MediaReader
from cosmos_robot.serving.nim_question import known_domain, read_actions
from cosmos_robot.serving.problems import Kind, RequestError
from cosmos_robot.serving.question import Question
from cosmos_robot.serving.sampling_words import guidance_of, safety_notes, say_missing
from cosmos_robot.serving.videos_form import GivenVideo
from cosmos_robot.serving.videos_request import (
    OF_OTHERS,
    ImageReference,
    VideoReference,
    VideosExtra,
    VideosRequest,
)
from cosmos_robot.types import ActionMode, Actions, ActionSpace, Frames

_FPS = 24.0
"""Of a video whose length is given in seconds, where the request names no rate."""

_ACTION_STEPS, _ACTION_GUIDANCE, _ACTION_SHIFT = 30, 1.0, 5.0
"""vLLM-Omni's defaults for actions, where the checkpoint has none of its own."""

_OF_ACTIONS = (
    "domain_name",
    "domain_id",
    "raw_action_dim",
    "action_chunk_size",
    "action",
    "view_point",
    "action_fps",
)
_OF_MEDIA = ("condition_frame_indexes_vision", "condition_video_keep", "guidance_interval")


@dataclass(frozen=True)
class VideosReader:
    """Reads requests for one server.

    Attributes:
        media: of images and videos.
        capabilities: of the checkpoint.
        safety: name of the safety checker that the operator chose.
    """

    media: MediaReader
    capabilities: Capabilities
    safety: str

    def question(self, asked: GivenVideo) -> Question:
        """Make a question of a request; it decodes media, so it belongs into a thread.

        Raises:
            RequestError: if something does not fit.
        """
        body, extra = asked.body, asked.body.extra_params or VideosExtra()
        _require_ours(body)
        given = self._given(asked)
        seed = secrets.randbelow(2**31) if body.seed is None else body.seed
        guidance, notes = guidance_of(body.guidance_scale)
        shared: dict[str, Any] = {
            "prompt": body.prompt,
            "negative_prompt": body.negative_prompt,
            "seed": seed,
            "guidance": guidance,
            "notes": (*notes, *safety_notes("guardrails", extra.guardrails, self.safety)),
        }
        request: ActionRequest | MediaRequest
        if extra.action_mode is None:
            request = self._media_request(body, extra, given, shared)
        else:
            request = self._action_request(extra.action_mode, body, extra, given, shared)
        wishes = {
            "quality": body.quality is not None,
            "use_duration_template": bool(extra.use_duration_template),
            "use_resolution_template": bool(extra.use_resolution_template),
        }
        return Question((say_missing(request, wishes),))

    def _given(self, asked: GivenVideo) -> GivenMedia | None:
        """The one picture or video that came with a request, however it came."""
        body = asked.body
        named = {
            name: reference
            for name in ("input_reference", "image_reference", "video_reference")
            if (reference := getattr(body, name)) is not None
        }
        if len(named) + (asked.upload is not None) > 1:
            raise RequestError.of_field("input_reference", "give one picture or one video, in one way.")
        if asked.upload is not None:
            return self.media.sort(asked.upload, "input_reference")
        for name, reference in named.items():
            if isinstance(reference, ImageReference):
                return self.media.load(reference.image_url, f"{name}.image_url")
            if isinstance(reference, VideoReference):
                return self.media.load(reference.video_url, f"{name}.video_url")
            return self.media.load(reference, name)
        return None

    def _media_request(
        self,
        body: VideosRequest,
        extra: VideosExtra,
        given: GivenMedia | None,
        shared: dict[str, Any],
    ) -> MediaRequest:
        for name in _OF_ACTIONS:
            if getattr(extra, name) is not None:
                raise RequestError.of_field(f"extra_params.{name}", "an action_mode must be named beside it.")
        mode: MediaMode = "text2video" if given is None else "video2video" if given.is_video else "image2video"
        indexes = tuple(sorted(set(extra.condition_frame_indexes_vision or (0, 1))))
        keep = extra.condition_video_keep or "first"
        width, height = _size(body)
        fps = body.fps
        count = body.num_frames
        if count is None and body.seconds is not None:
            count = max(1, round(int(body.seconds) * (fps or _FPS)))
        interval = extra.guidance_interval
        request = MediaRequest(
            mode=mode,
            frames=None if given is None else self._frames(given, indexes, last=keep == "last"),
            condition_frame_indexes_vision=indexes,
            condition_video_keep=keep,
            width=width,
            height=height,
            resolution=None if width is not None else extra.resolution or extra.image_size,
            num_frames=count,
            fps=fps,
            enable_sound=bool(body.generate_sound),
            num_steps=body.num_inference_steps,
            guidance_interval=None if interval is None else (interval[0], interval[1]),
            shift=extra.flow_shift if body.flow_shift is None else body.flow_shift,
            use_system_prompt=extra.use_system_prompt,
            **shared,
        )
        return self.capabilities.fit_media(request, frames_given=count is not None)

    def _frames(self, given: GivenMedia, indexes: tuple[int, ...], *, last: bool) -> Frames:
        if not given.is_video:
            return self.media.image(given)[None]
        frames, _ = self.media.clip(given, most=conditioning_frames(indexes), last=last)
        return frames

    def _action_request(
        self,
        mode: ActionMode,
        body: VideosRequest,
        extra: VideosExtra,
        given: GivenMedia | None,
        shared: dict[str, Any],
    ) -> ActionRequest:
        _require_action_form(body, extra)
        if given is None:
            raise RequestError.of_field("input_reference", f"{mode} needs it.")
        domain = _domain(extra)
        if domain.state_row and mode == "policy":
            raise RequestError.of_field(
                "extra_params.domain_name",
                f"{domain.name} starts from the robot's state, for which there is no field here; ask at /openpi.",
                Kind.UNSUPPORTED,
            )
        chunk = _chunk(body, extra, domain)
        self.capabilities.require_chunk(mode, chunk)
        frames = (
            self.media.chunk_clip(given, chunk)
            if mode == "inverse_dynamics"
            else self.media.image(given, first_frame=True)[None]
        )
        own = self.capabilities.default
        shared |= {
            "negative_prompt": body.negative_prompt or "",
            "guidance": own(shared["guidance"], _ACTION_GUIDANCE),
            "notes": (*shared["notes"], *_size_notes(body, frames)),
        }
        request = ActionRequest(
            mode=mode,
            domain=domain,
            frames=frames,
            action_chunk_size=chunk,
            actions=_actions(extra, chunk, domain),
            action_space=ActionSpace.MODEL,
            image_size=extra.image_size or extra.resolution,
            fps=extra.action_fps or body.fps,
            view_point=extra.view_point,
            num_steps=own(body.num_inference_steps, _ACTION_STEPS),
            shift=own(extra.flow_shift if body.flow_shift is None else body.flow_shift, _ACTION_SHIFT),
            **shared,
        )
        return self.capabilities.fit_actions(request)


def _require_ours(body: VideosRequest) -> None:
    for name, nothing in OF_OTHERS.items():
        value = getattr(body, name)
        if value is not None and value not in nothing:
            raise RequestError.of_field(name, "this checkpoint cannot do that; leave it out.", Kind.UNSUPPORTED)


def _require_action_form(body: VideosRequest, extra: VideosExtra) -> None:
    """Check that nothing is asked for that the action modes do not have."""
    for name in _OF_MEDIA:
        if getattr(extra, name) is not None:
            raise RequestError.of_field(f"extra_params.{name}", f"{extra.action_mode} does not take it.")
    if body.seconds is not None:
        raise RequestError.of_field("seconds", f"{extra.action_mode} is as long as its action_chunk_size.")
    if body.generate_sound:
        raise RequestError.of_field("generate_sound", f"{extra.action_mode} has no sound.")
    if extra.use_system_prompt:
        raise RequestError.of_field("extra_params.use_system_prompt", "prompts of actions have none.")


def _size(body: VideosRequest) -> tuple[int | None, int | None]:
    """Width and height; `size` outweighs the two fields."""
    if body.size is None:
        return body.width, body.height
    width, height = map(int, body.size.split("x"))
    return width, height


def _size_notes(body: VideosRequest, frames: Frames) -> tuple[str, ...]:
    """What is said of a size that the picture does not have: actions are imagined on a canvas that follows from it."""
    width, height = _size(body)
    if width is None or height is None or (height, width) == frames.shape[1:3]:
        return ()
    return (f"the size {width}x{height} is not looked at: with actions the canvas follows from the picture's own.",)


def _domain(extra: VideosExtra) -> Domain:
    """The robot that is named, or that alone has an id."""
    if extra.domain_name is not None:
        domain = known_domain(extra.domain_name, "extra_params.domain_name")
    elif extra.domain_id is not None:
        found = [domain for domain in list_domains() if domain.domain_id == extra.domain_id]
        if len(found) != 1:
            names = " or ".join(domain.name for domain in found) or "none"
            raise RequestError.of_field(
                "extra_params.domain_id", f"the domain {extra.domain_id} is {names}; name it with domain_name."
            )
        domain = found[0]
    else:
        raise RequestError.of_field("extra_params.domain_name", f"{extra.action_mode} needs it.")
    for name, is_so in (("domain_id", domain.domain_id), ("raw_action_dim", domain.raw_action_dim)):
        if getattr(extra, name) not in (None, is_so):
            raise RequestError.of_field(f"extra_params.{name}", f"that of domain {domain.name} is {is_so}.")
    return domain


def _chunk(body: VideosRequest, extra: VideosExtra, domain: Domain) -> int:
    """How many transitions: the chunk that is named, or the frame count's, the actions', the domain's."""
    chunk = extra.action_chunk_size
    if chunk is None and body.num_frames is not None:
        chunk = body.num_frames - 1
    if chunk is None:
        chunk = domain.action_chunk_size if extra.action is None else len(extra.action)
    if body.num_frames not in (None, chunk, chunk + 1):
        raise RequestError.of_field("num_frames", f"{chunk} actions make {chunk + 1} frames; got {body.num_frames}.")
    return chunk


def _actions(extra: VideosExtra, chunk: int, domain: Domain) -> Actions | None:
    field = "extra_params.action"
    if extra.action_mode != "forward_dynamics":
        if extra.action is not None:
            raise RequestError.of_field(field, f"{extra.action_mode} gives actions, it takes none.")
        return None
    if extra.action is None:
        raise RequestError.of_field(field, "forward_dynamics needs it.")
    return read_actions(extra.action, field, rows=chunk, domain=domain)
