"""The body of NIM's `/v1/infer`, in the words of its older and its newer releases."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

NimMode = Literal[
    "text2image", "text2video", "image2video", "video2video", "forward_dynamics", "policy", "inverse_dynamics"
]
ACTION_MODES = ("forward_dynamics", "policy", "inverse_dynamics")
CONTROLS = ("edge", "depth", "vis", "seg", "transfer")

RESOLUTION = re.compile(r"(256|480|720)(?:_(16_9|1_1|9_16|4_3|3_4))?")
MAX_FRAMES = {256: 397, 480: 297, 704: 197, 720: 197}
"""NIM's own limits, which hold here whatever the model could."""
MIN_FRAMES = 25
MAX_IMAGE_CHARACTERS = 20_000_000

Fps = Annotated[float, Field(ge=1, le=60, allow_inf_nan=False)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Side = Annotated[int, Field(ge=8, le=1360, multiple_of=8)]

_SAME = {
    "num_inference_steps": "steps",
    "num_frames": "num_output_frames",
}
"""Newer and older names of one thing; a request has one of them."""


class VideoParams(BaseModel):
    """Size and length of a video, in the oldest words."""

    model_config = ConfigDict(extra="forbid", strict=True)

    height: Side | None = None
    width: Side | None = None
    frames_count: Annotated[int, Field(ge=1)] | None = None
    frames_per_sec: Fps | None = None

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if (self.height is None) != (self.width is None):
            raise ValueError("height and width go together")
        return self


class ActionParams(BaseModel):
    """What the action modes have besides."""

    model_config = ConfigDict(extra="forbid", strict=True)

    domain_name: str
    action_chunk_size: Annotated[int, Field(ge=4, multiple_of=4, le=10_000)]
    action: list[list[Number]] | None = None
    raw_action_dim: Annotated[int, Field(ge=1)] | None = None
    action_space: Literal["joint_pos", "midtrain"] = "joint_pos"
    image_size: Literal["256", "480", "704", "720"] | None = None
    action_fps: Fps | None = None
    history_length: Annotated[int, Field(ge=1)] | None = None
    use_state: bool | None = None
    observation: dict[str, list[Number] | Number] | None = None


class NimRequest(BaseModel):
    """One request. What is None is the interface's, the checkpoint's or the mode's to decide."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model_mode: NimMode | None = None
    prompt: str = ""
    negative_prompt: str | None = None
    prompt_upsampling: bool = False
    input_reference: str | None = None
    image: str | None = None
    video: str | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    guidance_scale: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None = None
    num_inference_steps: Annotated[int, Field(ge=1, le=1000)] | None = None
    steps: Annotated[int, Field(ge=1, le=1000)] | None = None
    flow_shift: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] | None = None
    resolution: Annotated[str, Field(pattern=f"^(?:{RESOLUTION.pattern})$")] | None = None
    num_frames: Annotated[int, Field(ge=1)] | None = None
    num_output_frames: Annotated[int, Field(ge=1)] | None = None
    fps: Fps | None = None
    video_params: VideoParams | None = None
    condition_frame_indexes_vision: list[Annotated[int, Field(ge=0, le=100)]] | None = None
    condition_video_keep: Literal["first", "last"] | None = None
    action_params: ActionParams | None = None
    edge: Any = None
    depth: Any = None
    vis: Any = None
    seg: Any = None
    transfer: Any = None

    @model_validator(mode="after")
    def _says_each_thing_once(self) -> Self:
        given = self.given
        for newer, older in _SAME.items():
            if {newer, older} <= given:
                raise ValueError(f"{newer} and {older} are the same; give one")
        sources = sorted({"input_reference", "image", "video"} & given)
        if len(sources) > 1:
            raise ValueError(f"{' and '.join(sources)} cannot be given together")
        if self.video_params is not None:
            self._require_no_second_size(self.video_params)
        return self

    @property
    def given(self) -> set[str]:
        """Names of the fields that are given; a field that is null is not."""
        return {name for name in self.model_fields_set if getattr(self, name) is not None}

    def _require_no_second_size(self, params: VideoParams) -> None:
        if params.height is not None and self.resolution is not None:
            raise ValueError("resolution and video_params.height are the same; give one")
        if params.frames_count is not None and self.frames_named:
            raise ValueError("num_frames and video_params.frames_count are the same; give one")
        if params.frames_per_sec is not None and self.fps is not None:
            raise ValueError("fps and video_params.frames_per_sec are the same; give one")

    @property
    def frames_named(self) -> bool:
        """Whether a frame count is given outside `video_params`."""
        return self.num_frames is not None or self.num_output_frames is not None

    @property
    def frame_count(self) -> int | None:
        """The frame count, by whatever name."""
        params = self.video_params
        named = self.num_frames if self.num_output_frames is None else self.num_output_frames
        return params.frames_count if named is None and params is not None else named

    @property
    def rate(self) -> float | None:
        """Frames a second, by whatever name."""
        return self.video_params.frames_per_sec if self.fps is None and self.video_params is not None else self.fps

    @property
    def step_count(self) -> int | None:
        """Denoising steps, by whatever name."""
        return self.steps if self.num_inference_steps is None else self.num_inference_steps
