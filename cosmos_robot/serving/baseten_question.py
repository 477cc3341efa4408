"""From Baseten's words to a question to the world model."""

from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from cosmos_robot.domains.domain import Domain
from cosmos_robot.interface.media_request import MediaRequest
from cosmos_robot.interface.media_size import MAX_FRAMES
from cosmos_robot.interface.request import ActionRequest
from cosmos_robot.serving.baseten_request import ACTION_FIELDS, ACTION_MODES, MEDIA_FIELDS, BasetenRequest
from cosmos_robot.serving.capabilities import Capabilities
from cosmos_robot.serving.json_body import parse_json
from cosmos_robot.serving.media_input import GivenMedia
from cosmos_robot.serving.named_media import NamedMedia
from cosmos_robot.serving.nim_question import known_domain, read_actions
from cosmos_robot.serving.problems import Kind, RequestError
from cosmos_robot.serving.question import Question
from cosmos_robot.serving.sampling_words import guidance_of
from cosmos_robot.types import Actions, ActionSpace, Frames


@dataclass(frozen=True, eq=False)
class BasetenQuestion:
    """A question, and the media that were given for it.

    Attributes:
        question: to the world model.
        given: what `vision_path` named, or None.
    """

    question: Question
    given: GivenMedia | None


@dataclass(frozen=True)
class BasetenReader:
    """Reads requests for one server.

    Attributes:
        named: of what requests name.
        capabilities: of the checkpoint.
    """

    named: NamedMedia
    capabilities: Capabilities

    def question(self, body: BasetenRequest) -> BasetenQuestion:
        """Make a question of a request; it decodes media, so it belongs into a thread.

        Raises:
            RequestError: if something does not fit.
        """
        given = None if body.vision_path is None else self.named.load(body.vision_path, "vision_path")
        if body.model_mode in ACTION_MODES:
            return BasetenQuestion(Question((self._action_request(body, given),)), given)
        return BasetenQuestion(Question((self._media_request(body, given),)), given)

    def _media_request(self, body: BasetenRequest, given: GivenMedia | None) -> MediaRequest:
        mode = body.model_mode
        _require_absent(body, ACTION_FIELDS)
        if (given is None) == (mode == "image2video"):
            raise RequestError.of_field("vision_path", "image2video needs it, text2image and text2video take none.")
        tier = int(body.resolution or 720)
        if mode != "text2image" and body.num_frames is not None and not 2 <= body.num_frames <= MAX_FRAMES[tier]:
            raise RequestError.of_field(
                "num_frames", f"a video at resolution {tier} has 2 to {MAX_FRAMES[tier]} frames; got {body.num_frames}."
            )
        guidance, notes = guidance_of(body.guidance)
        request = MediaRequest(
            mode=mode,  # type: ignore[arg-type]  # the other modes have gone another way
            prompt=body.prompt,
            frames=None if given is None else self.named.media.image(given, first_frame=True)[None],
            negative_prompt=body.negative_prompt,
            resolution=body.resolution,
            aspect_ratio=body.aspect_ratio,
            num_frames=body.num_frames,
            fps=body.fps,
            num_steps=body.num_steps,
            guidance=guidance,
            shift=body.shift,
            seed=body.seed,
            notes=notes,
        )
        return self.capabilities.fit_media(request, frames_given=body.num_frames is not None)

    def _action_request(self, body: BasetenRequest, given: GivenMedia | None) -> ActionRequest:
        mode = body.model_mode
        _require_absent(body, MEDIA_FIELDS)
        if body.domain_name is None:
            raise RequestError.of_field("domain_name", f"{mode} needs it.")
        if given is None:
            raise RequestError.of_field("vision_path", f"{mode} needs it.")
        domain = known_domain(body.domain_name, "domain_name")
        if body.raw_action_dim not in (None, domain.raw_action_dim):
            raise RequestError.of_field(
                "raw_action_dim",
                f"domain {domain.name} has {domain.raw_action_dim} channels, not {body.raw_action_dim}.",
            )
        chunk = body.action_chunk_size or domain.action_chunk_size
        self.capabilities.require_chunk(mode, chunk)
        guidance, notes = guidance_of(body.guidance)
        request = ActionRequest(
            mode=mode,  # type: ignore[arg-type]  # the other modes have gone another way
            domain=domain,
            frames=self._frames(given, mode, chunk),
            action_chunk_size=chunk,
            actions=self._actions(body, domain, chunk),
            action_space=ActionSpace.MODEL,
            prompt=body.prompt,
            image_size=body.image_size,
            fps=body.fps,
            view_point=body.view_point,
            num_steps=body.num_steps,
            guidance=guidance,
            shift=body.shift,
            seed=body.seed,
            notes=notes,
        )
        return self.capabilities.fit_actions(request)

    def _frames(self, given: GivenMedia, mode: str, chunk: int) -> Frames:
        if mode != "inverse_dynamics":
            return self.named.media.image(given, first_frame=True)[None]
        return self.named.media.chunk_clip(given, chunk)

    def _actions(self, body: BasetenRequest, domain: Domain, chunk: int) -> Actions | None:
        if body.model_mode != "forward_dynamics":
            return None  # the published policy samples name the recorded actions there; they are not looked at
        if body.action_path is None:
            raise RequestError.of_field("action_path", "forward_dynamics needs it.")
        limits = self.named.media.limits
        found = parse_json(self.named.text(body.action_path, "action_path"), depth=limits.json_depth)
        rows = _rows(found.get("action", found.get("actions")) if isinstance(found, dict) else found)
        if len(rows) > limits.action_rows:
            raise RequestError.of_field("action_path", f"more than {limits.action_rows} rows.", Kind.TOO_LARGE)
        if len(rows) < chunk:
            raise RequestError.of_field("action_path", f"{len(rows)} rows for a chunk of {chunk}.")
        return read_actions(rows[:chunk], "action_path", rows=chunk, domain=domain)


_ROWS = TypeAdapter(list[list[float]], config=ConfigDict(strict=True))


def _rows(found: Any) -> list[list[float]]:
    try:
        return _ROWS.validate_python(found)
    except ValidationError as error:
        raise RequestError.of_field("action_path", "expected json with rows of numbers.") from error


def _require_absent(body: BasetenRequest, names: tuple[str, ...]) -> None:
    for name in names:
        if name in body.model_fields_set and getattr(body, name) is not None:
            raise RequestError.of_field(name, f"{body.model_mode} does not take it.")
