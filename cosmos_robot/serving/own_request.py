"""The body of this server's own interface: requests in the library's own words, which lose nothing on the way."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from cosmos_robot.interface.media_request import MediaMode, MediaRequest
from cosmos_robot.interface.media_size import conditioning_frames
from cosmos_robot.interface.request import ActionRequest
from cosmos_robot.serving.capabilities import Capabilities
from cosmos_robot.serving.media_input import MediaReader
from cosmos_robot.serving.nim_question import known_domain, read_actions
from cosmos_robot.serving.problems import RequestError
from cosmos_robot.serving.question import Question, Request
from cosmos_robot.types import HIGHEST_FPS, LOWEST_FPS, ActionMode, ActionSpace, Frames

Number = Annotated[float, Field(allow_inf_nan=False)]
Fps = Annotated[float, Field(ge=LOWEST_FPS, le=HIGHEST_FPS)]
Steps = Annotated[int, Field(ge=1, le=1000)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Rounds = Annotated[int, Field(ge=1, le=3)]


class OwnActionRequest(BaseModel):
    """One `ActionRequest`; actions and state are in model space, frames a picture or a video in base64."""

    model_config = ConfigDict(extra="forbid", strict=True)

    mode: ActionMode
    domain: str
    frames: str
    action_chunk_size: Annotated[int, Field(ge=4, multiple_of=4, le=10_000)]
    actions: list[list[Number]] | None = None
    state: list[Number] | None = None
    return_frames: bool = True
    prompt: str = ""
    negative_prompt: str = ""
    image_size: int | str | None = None
    fps: Fps | None = None
    view_point: str | None = None
    num_steps: Steps | None = None
    guidance: Number | None = None
    shift: Number | None = None
    seed: Seed = 0


class OwnMediaRequest(BaseModel):
    """One `MediaRequest`; frames are a picture or a video in base64."""

    model_config = ConfigDict(extra="forbid", strict=True)

    mode: MediaMode
    prompt: str = ""
    frames: str | None = None
    condition_frame_indexes_vision: list[Annotated[int, Field(ge=0, le=100)]] = [0, 1]
    condition_video_keep: Literal["first", "last"] = "first"
    negative_prompt: str | None = None
    resolution: int | str | None = None
    aspect_ratio: str | None = None
    height: Annotated[int, Field(ge=1)] | None = None
    width: Annotated[int, Field(ge=1)] | None = None
    num_frames: Annotated[int, Field(ge=1, le=400)] | None = None
    fps: Fps | None = None
    enable_sound: bool = False
    num_steps: Steps | None = None
    guidance: Number | None = None
    guidance_interval: Annotated[list[Number], Field(min_length=2, max_length=2)] | None = None
    shift: Number | None = None
    use_system_prompt: bool | None = None
    upsample: bool = False
    agentic: bool = False
    agentic_max_iterations: Rounds = 2
    agentic_samples_per_iteration: Rounds = 2
    agentic_early_stop: bool = True
    seed: Seed = 0


class OwnJob(BaseModel):
    """Requests of one mode, which are answered together."""

    model_config = ConfigDict(extra="forbid", strict=True)

    requests: Annotated[
        list[Annotated[OwnActionRequest | OwnMediaRequest, Field(discriminator="mode")]],
        Field(min_length=1, max_length=256),
    ]
    lossless: bool = False


def own_question(body: OwnJob, media: MediaReader, capabilities: Capabilities) -> Question:
    """Make a question of a request; it decodes media, so it belongs into a thread.

    Raises:
        RequestError: if something does not fit.
        InvalidInputError: likewise.
    """
    if len({item.mode for item in body.requests}) != 1:
        raise RequestError.of_field("requests", "the requests of one job are of one mode.")
    requests: list[Request] = []
    for index, item in enumerate(body.requests):
        place = f"requests.{index}"
        if isinstance(item, OwnActionRequest):
            capabilities.require_chunk(item.mode, item.action_chunk_size)
            requests.append(capabilities.fit_actions(_action_request(item, media, place)))
        else:
            asked = _media_request(item, media, place)
            requests.append(capabilities.fit_media(asked, frames_given=item.num_frames is not None))
    if body.lossless:
        return Question(tuple(requests), image_format="png", video_format="mkv")
    return Question(tuple(requests))


def _action_request(item: OwnActionRequest, media: MediaReader, place: str) -> ActionRequest:
    domain = known_domain(item.domain, f"{place}.domain")
    if (item.actions is None) == (item.mode == "forward_dynamics"):
        raise RequestError.of_field(f"{place}.actions", "forward_dynamics takes actions, the other modes take none.")
    if (item.state is not None) != (item.mode == "policy" and domain.state_row):
        raise RequestError.of_field(
            f"{place}.state", "a policy of a domain that starts from the robot's state takes one, all else takes none."
        )
    words: dict[str, Any] = item.model_dump(exclude={"domain", "frames", "actions", "state"})
    chunk, field = item.action_chunk_size, f"{place}.actions"
    count = chunk + 1 if item.mode == "inverse_dynamics" else 1
    frames = _frames(item.frames, media, f"{place}.frames", most=count)
    if len(frames) < count:
        raise RequestError.of_field(
            f"{place}.frames", f"{chunk} actions lie between {count} frames; the video has {len(frames)}."
        )
    given = None if item.actions is None else read_actions(item.actions, field, rows=chunk, domain=domain)
    state = None
    if item.state is not None:
        state = read_actions([item.state], f"{place}.state", rows=1, domain=domain).values[0]
    return ActionRequest(
        **words, domain=domain, frames=frames, actions=given, state=state, action_space=ActionSpace.MODEL
    )


def _media_request(item: OwnMediaRequest, media: MediaReader, place: str) -> MediaRequest:
    words: dict[str, Any] = item.model_dump(exclude={"frames"})
    indexes = tuple(sorted(set(item.condition_frame_indexes_vision)))
    words["condition_frame_indexes_vision"] = indexes
    words["guidance_interval"] = None if item.guidance_interval is None else tuple(item.guidance_interval)
    frames = None
    if item.frames is not None:
        clip = item.mode == "video2video"
        most = conditioning_frames(indexes) if clip and indexes else 1
        last = clip and item.condition_video_keep == "last"
        frames = _frames(item.frames, media, f"{place}.frames", most=most, last=last)
    return MediaRequest(**words, frames=frames)


def _frames(text: str, media: MediaReader, field: str, *, most: int, last: bool = False) -> Frames:
    """A clip `[N, H, W, 3]` of a video, or of a picture one frame."""
    given = media.load(text, field)
    return media.clip(given, most=most, last=last)[0] if given.is_video else media.image(given)[None]
