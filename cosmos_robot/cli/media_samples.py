"""One sample of a mode without actions, in the field's own JSON words, and the parser for samples of all modes.

The files are those of the published examples (`inputs/omni/{t2i,t2v,i2v,v2v}.json` of cosmos-framework), taken as
they are.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from cosmos_robot.cli.reason_samples import ReasonSample
from cosmos_robot.cli.samples import (
    MEDIA_SAMPLE_MODES,
    REASONER,
    Count,
    FramesASecond,
    Positive,
    Sample,
    absolute_location,
    checked,
    folder_name,
    parse_sample,
)

type MediaSampleMode = Literal["text2image", "text2video", "image2video", "video2video", "extend_video"]
type Rounds = Annotated[int, Field(ge=1, le=3)]
type LatentIndex = Annotated[int, Field(ge=0)]


class MediaSample(BaseModel):
    """One image or video to generate. What is None is the mode's or the checkpoint's to decide.

    Attributes:
        name: of the sample, and of its folder; where there is none, the file's name.
        model_mode: the mode. `extend_video` is ours: video-to-video chained on its own last frames.
        prompt: what is to be seen.
        negative_prompt: prompt of the unconditional pass; "" turns it off.
        vision_path: path or URL of the image or the video that it starts from.
        resolution: tier, also with an aspect ratio as in 480_16_9.
        aspect_ratio: as in "16,9".
        height: in pixels, with `width` in place of the two above. Ours, as `width`.
        width: in pixels.
        num_frames: of the video; of an extension, of one generation.
        extra_frames: how many frames an extension adds. Ours.
        fps: frames a second.
        num_steps: denoising steps.
        guidance: classifier-free guidance scale.
        guidance_interval: timesteps (low, high) between which guidance holds.
        shift: flow shift of the noise schedule.
        seed: of the noise.
        enable_sound: whether sound is generated with the video.
        condition_frame_indexes_vision: latent frames that a video gives; an extension goes on from as many.
        condition_video_keep: which end of a longer video gives them.
        image_format: how an image is written. Ours.
        upsample: have the prompt rewritten as a structured caption. Ours, as the following.
        agentic: generate candidates in rounds, judge them, and keep the best.
        agentic_max_iterations: at most so many rounds.
        agentic_samples_per_iteration: candidates of a round.
        agentic_early_stop: end when a candidate is very good.
        extra: anything; kept and not looked at.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: str
    model_mode: MediaSampleMode
    prompt: str = ""
    negative_prompt: str | None = None
    vision_path: str | None = None
    resolution: int | str | None = None
    aspect_ratio: str | None = None
    height: Count | None = None
    width: Count | None = None
    num_frames: Count | None = None
    extra_frames: Count | None = None
    fps: FramesASecond | None = None
    num_steps: Count | None = None
    guidance: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = None
    guidance_interval: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    shift: Positive | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    enable_sound: bool = False
    condition_frame_indexes_vision: Annotated[list[LatentIndex], Field(min_length=1)] = [0, 1]
    condition_video_keep: Literal["first", "last"] = "first"
    image_format: Literal["jpg", "png", "webp"] = "jpg"
    upsample: bool = False
    agentic: bool = False
    agentic_max_iterations: Rounds = 2
    agentic_samples_per_iteration: Rounds = 2
    agentic_early_stop: bool = True
    extra: dict[str, Any] = {}

    @field_validator("name")
    @classmethod
    def _is_a_folder_name(cls, name: str) -> str:
        return folder_name(name)

    @model_validator(mode="after")
    def _fits_the_mode(self) -> Self:
        if self.takes_vision and self.vision_path is None:
            what = "image" if self.takes_image else "video"
            raise ValueError(f"{self.model_mode} needs vision_path, the {what} that it starts from")
        if not self.takes_vision and self.vision_path is not None:
            raise ValueError(f"{self.model_mode} takes no vision_path")
        if self.extra_frames is not None and self.model_mode != "extend_video":
            raise ValueError(f"extra_frames is for extend_video, not for {self.model_mode}")
        return self

    @property
    def takes_image(self) -> bool:
        """Whether it starts from a single image."""
        return self.model_mode == "image2video"

    @property
    def asks_reasoner(self) -> bool:
        """Whether a reasoner rewrites its prompt or judges its candidates."""
        return self.upsample or self.agentic

    @property
    def takes_vision(self) -> bool:
        """Whether it starts from an image or a video."""
        return self.model_mode not in ("text2image", "text2video")


type AnySample = Sample | MediaSample | ReasonSample


def parse_any_sample(raw: object, *, place: str, folder: Path, name: str | None = None) -> AnySample:
    """Read one sample of any mode.

    Args:
        raw: what the JSON holds.
        place: where it stands, for messages.
        folder: what relative paths are relative to.
        name: for a sample without actions that names none.

    Raises:
        InvalidInputError: if a key is unknown, missing or of a wrong value; the message names it.
        UnsupportedModeError: if the mode is not one of this command's.
    """
    mode = raw.get("model_mode") if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or mode not in (*MEDIA_SAMPLE_MODES, REASONER):
        return parse_sample(raw, place=place, folder=folder)
    given = {"name": name, **{key: value for key, value in raw.items() if value is not None}}
    kind: type[ReasonSample] | type[MediaSample] = ReasonSample if mode == REASONER else MediaSample
    sample = checked(kind, given, place=place)
    if sample.vision_path is None:
        return sample
    return sample.model_copy(update={"vision_path": absolute_location(sample.vision_path, folder)})
