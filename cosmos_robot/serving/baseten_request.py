"""The body of Baseten's `predict` for Cosmos 3 Nano."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from cosmos_robot.domains.view_points import require_view_point
from cosmos_robot.interface.media_size import parse_aspect_ratio

BasetenMode = Literal["text2image", "text2video", "image2video", "forward_dynamics", "inverse_dynamics", "policy"]
ACTION_MODES = ("forward_dynamics", "inverse_dynamics", "policy")

ACTION_FIELDS = ("action_path", "action_chunk_size", "raw_action_dim", "domain_name", "image_size", "view_point")
MEDIA_FIELDS = ("resolution", "aspect_ratio", "num_frames", "negative_prompt")

Tier = Literal["256", "480", "704", "720"]


class BasetenRequest(BaseModel):
    """One request. What is None is the mode's, the domain's or the checkpoint's to decide."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model_mode: BasetenMode = "text2video"
    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    prompt: str = ""
    negative_prompt: str | None = None
    vision_path: Annotated[str, Field(min_length=1)] | None = None
    action_path: Annotated[str, Field(min_length=1)] | None = None
    resolution: Tier | None = None
    aspect_ratio: str | None = None
    image_size: Tier | None = None
    num_frames: Annotated[int, Field(ge=1, le=400)] | None = None
    fps: Annotated[float, Field(ge=1, le=60, allow_inf_nan=False)] | None = None
    num_steps: Annotated[int, Field(ge=1, le=1000)] | None = None
    guidance: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None = None
    shift: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    action_chunk_size: Annotated[int, Field(ge=4, multiple_of=4, le=10_000)] | None = None
    raw_action_dim: Annotated[int, Field(ge=1)] | None = None
    domain_name: str | None = None
    view_point: str | None = None

    @field_validator("resolution", "image_size", mode="before")
    @classmethod
    def _as_words(cls, tier: object) -> object:
        return str(tier) if isinstance(tier, int) and not isinstance(tier, bool) else tier

    @field_validator("view_point")
    @classmethod
    def _is_a_view(cls, view_point: str | None) -> str | None:
        return None if view_point is None else require_view_point(view_point)

    @field_validator("aspect_ratio")
    @classmethod
    def _is_known(cls, ratio: str | None) -> str | None:
        return None if ratio is None else parse_aspect_ratio(ratio)
