"""The body of vLLM-Omni's `/v1/videos`: OpenAI's fields, those of vLLM-Omni, and `extra_params` for Cosmos 3."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from cosmos_robot.domains.view_points import require_view_point
from cosmos_robot.serving.baseten_request import Tier
from cosmos_robot.types import ActionMode


def _as_words(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_Tier = Annotated[Tier, BeforeValidator(_as_words)]
_Side = Annotated[int, Field(ge=1, le=14142)]
_Shift = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ImageReference(_Body):
    """A picture by URL or data URI."""

    image_url: Annotated[str, Field(min_length=1)]


class VideoReference(_Body):
    """A video by URL or data URI."""

    video_url: Annotated[str, Field(min_length=1)]


class VideosExtra(_Body):
    """`extra_params`: what Cosmos 3 alone takes. Actions are in model space, as the checkpoint has them."""

    action_mode: ActionMode | None = None
    domain_name: Annotated[str, Field(min_length=1)] | None = None
    domain_id: Annotated[int, Field(ge=0)] | None = None
    raw_action_dim: Annotated[int, Field(ge=1)] | None = None
    action_chunk_size: Annotated[int, Field(ge=4, multiple_of=4, le=10_000)] | None = None
    action: list[list[float]] | None = None
    view_point: str | None = None
    image_size: _Tier | None = None
    resolution: _Tier | None = None
    action_fps: Annotated[float, Field(ge=1, le=60, allow_inf_nan=False)] | None = None

    flow_shift: _Shift | None = None
    guidance_interval: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    use_system_prompt: bool | None = None
    condition_frame_indexes_vision: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] | None = None
    condition_video_keep: Literal["first", "last"] | None = None

    guardrails: bool | None = None
    use_duration_template: bool | None = None
    use_resolution_template: bool | None = None

    @field_validator("view_point")
    @classmethod
    def _is_a_view(cls, view_point: str | None) -> str | None:
        return None if view_point is None else require_view_point(view_point)


class VideosRequest(_Body):
    """One video. What is None is the mode's, the domain's or the checkpoint's to decide.

    Form fields are texts, and files where they were uploaded; the JSON of `extra_params` and of references is read.
    """

    prompt: str
    model: str | None = None
    seconds: Annotated[str, BeforeValidator(_as_words), Field(pattern=r"^[1-9]\d{0,2}$")] | None = None
    size: Annotated[str, Field(pattern=r"^[1-9]\d{0,4}x[1-9]\d{0,4}$")] | None = None
    user: str | None = None

    input_reference: ImageReference | VideoReference | Annotated[str, Field(min_length=1)] | None = None
    image_reference: ImageReference | None = None
    video_reference: VideoReference | None = None
    width: _Side | None = None
    height: _Side | None = None
    num_frames: Annotated[int, Field(ge=1, le=10_001)] | None = None
    fps: Annotated[float, Field(ge=1, le=60, allow_inf_nan=False)] | None = None
    num_inference_steps: Annotated[int, Field(ge=1, le=200)] | None = None
    guidance_scale: Annotated[float, Field(ge=0, le=20, allow_inf_nan=False)] | None = None
    flow_shift: _Shift | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    generate_sound: bool | None = None
    negative_prompt: str | None = None
    quality: Literal["lossless", "high"] | None = None
    extra_params: VideosExtra | None = None

    sound_duration: Any = None
    num_outputs_per_prompt: Any = None
    return_stage_metrics: Any = None
    enable_frame_interpolation: Any = None
    frame_interpolation_exp: Any = None
    frame_interpolation_scale: Any = None
    frame_interpolation_model_path: Any = None
    guidance_scale_2: Any = None
    boundary_ratio: Any = None
    true_cfg_scale: Any = None
    lora: Any = None
    aspect_ratio: Any = None
    short_edge: Any = None
    start_time_seconds: Any = None
    input_references: Any = None
    audio_reference: Any = None
    control_reference: Any = None
    control_type: Any = None
    source_video: Any = None
    source_audio: Any = None
    video_noise_mask: Any = None
    audio_noise_mask: Any = None


OF_OTHERS: dict[str, tuple[Any, ...]] = {
    "sound_duration": (),
    "num_outputs_per_prompt": (1, "1"),
    "return_stage_metrics": (False, "false"),
    "enable_frame_interpolation": (False, "false"),
    "frame_interpolation_exp": (),
    "frame_interpolation_scale": (),
    "frame_interpolation_model_path": (),
    "guidance_scale_2": (),
    "boundary_ratio": (),
    "true_cfg_scale": (),
    "lora": (),
    "aspect_ratio": (),
    "short_edge": (),
    "start_time_seconds": (),
    "input_references": (),
    "audio_reference": (),
    "control_reference": (),
    "control_type": (),
    "source_video": (),
    "source_audio": (),
    "video_noise_mask": (),
    "audio_noise_mask": (),
}
"""Documented fields of other models and of parts that this server has not, and the values that ask for nothing."""

JSON_FIELDS = ("extra_params", "image_reference", "video_reference")
"""Fields that a form holds as JSON."""

FILE_FIELD = "input_reference"
"""The field that a form may hold as a file."""
