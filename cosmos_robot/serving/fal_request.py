"""The bodies of fal's two endpoints of Cosmos 3 Super, and the questions that they ask."""

import secrets
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from cosmos_robot.interface.media_request import MediaMode, MediaRequest
from cosmos_robot.interface.media_size import size_table
from cosmos_robot.serving.capabilities import Capabilities
from cosmos_robot.serving.media_input import MediaReader
from cosmos_robot.serving.question import Question
from cosmos_robot.serving.sampling_words import guidance_of, safety_notes
from cosmos_robot.types import Frames

Preset = Literal["square_hd", "square", "portrait_4_3", "portrait_16_9", "landscape_4_3", "landscape_16_9"]

PRESETS: dict[str, tuple[int, int]] = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
}
"""Width and height."""

VIDEO_NEGATIVE_PROMPT = (
    "The video captures a series of frames showing macroblocking artifacts, chromatic aberration, high-frequency "
    "noise, and rolling shutter distortion. It includes static with no motion, motion blur, over-saturation, shaky "
    "footage, low resolution, grainy texture, pixelated images, poorly lit areas, underexposed and overexposed scenes, "
    "poor color balance, washed out colors, choppy sequences, jerky movements, low frame rate, bit-depth compression "
    "artifacts, color banding, unnatural transitions, outdated special effects, fake elements, unconvincing visuals, "
    "poorly edited content, jump cuts, hard cut, visual noise, and flickering. It features moiré patterns, edge halos, "
    "and temporal aliasing. Furthermore, the content defies common sense, generating illogical scenarios, nonsensical "
    "entities, absurd character behaviors, and conceptual paradoxes that violate basic human reasoning and everyday "
    "reality. The video looks like a surreal or glitchy hallucination. Overall, the video is of poor quality."
)

Rounds = Annotated[int, Field(ge=1, le=3)]


class ImageSize(BaseModel):
    """A size in pixels."""

    model_config = ConfigDict(extra="forbid", strict=True)

    width: Annotated[int, Field(ge=1, le=14142)] = 512
    height: Annotated[int, Field(ge=1, le=14142)] = 512


class FalRequest(BaseModel):
    """What both endpoints take."""

    model_config = ConfigDict(extra="forbid", strict=True)

    prompt: Annotated[str, Field(min_length=1)]
    num_inference_steps: Annotated[int, Field(ge=1, le=50)] = 28
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    enable_agentic_generation: bool = False
    agentic_max_iterations: Rounds = 2
    agentic_samples_per_iteration: Rounds = 2
    agentic_early_stop: bool = True
    enable_safety_checker: bool = True
    sync_mode: bool = False


class FalImageToVideo(FalRequest):
    """The body of `image-to-video`."""

    image_url: Annotated[str, Field(min_length=1)]
    negative_prompt: str = VIDEO_NEGATIVE_PROMPT
    enable_prompt_expansion: bool = True
    image_size: ImageSize | Preset = ImageSize(height=480, width=832)
    num_frames: Annotated[int, Field(ge=5, le=189)] = 189
    fps: Annotated[int, Field(ge=4, le=60)] = 24
    guidance_scale: Annotated[float, Field(ge=0, le=20, allow_inf_nan=False)] = 6.0


class FalTextToImage(FalRequest):
    """The body of `text-to-image`."""

    negative_prompt: str = ""
    enable_prompt_expansion: bool = False
    image_size: ImageSize | Preset = "square_hd"
    guidance_scale: Annotated[float, Field(ge=0, le=20, allow_inf_nan=False)] = 4.0
    num_images: Annotated[int, Field(ge=1, le=4)] = 1
    output_format: Literal["jpg", "jpeg", "png"] = "jpeg"


@dataclass(frozen=True)
class FalReader:
    """Reads requests for one server.

    Attributes:
        media: of images.
        capabilities: of the checkpoint.
        safety: name of the safety checker that the operator chose.
    """

    media: MediaReader
    capabilities: Capabilities
    safety: str

    def question(self, body: FalImageToVideo | FalTextToImage) -> Question:
        """Make a question of a request; it decodes media, so it belongs into a thread.

        Raises:
            RequestError: if something does not fit.
        """
        seed = secrets.randbelow(2**31) if body.seed is None else body.seed
        if isinstance(body, FalImageToVideo):
            picture = self.media.image(self.media.load(body.image_url, "image_url"))[None]
            more: dict[str, Any] = {"num_frames": body.num_frames, "fps": float(body.fps)}
            return Question((self._request(body, "image2video", seed, picture, **more),))
        requests = tuple(
            self._request(body, "text2image", (seed + index) % 2**63, None) for index in range(body.num_images)
        )
        return Question(requests, image_format="png" if body.output_format == "png" else "jpg")

    def _request(
        self, body: FalImageToVideo | FalTextToImage, mode: MediaMode, seed: int, picture: Frames | None, **more: Any
    ) -> MediaRequest:
        guidance, notes = guidance_of(self._default(body, "guidance_scale"))
        named = "image_size" in body.model_fields_set
        # The default size is no wish: a checkpoint with a canvas of its own is not told of it.
        size = clamped(body.image_size, image=mode == "text2image") if named or not self._has_canvas else None
        request = MediaRequest(
            mode=mode,
            prompt=body.prompt,
            frames=picture,
            negative_prompt=body.negative_prompt,
            width=None if size is None else size[0],
            height=None if size is None else size[1],
            num_steps=self._default(body, "num_inference_steps"),
            guidance=guidance,
            seed=seed,
            upsample=body.enable_prompt_expansion,
            agentic=body.enable_agentic_generation,
            agentic_max_iterations=body.agentic_max_iterations,
            agentic_samples_per_iteration=body.agentic_samples_per_iteration,
            agentic_early_stop=body.agentic_early_stop,
            notes=(*notes, *safety_notes("enable_safety_checker", body.enable_safety_checker, self.safety)),
            **more,
        )
        return self.capabilities.fit_media(request, frames_given="num_frames" in body.model_fields_set)

    @property
    def _has_canvas(self) -> bool:
        return self.capabilities.native_canvas is not None

    def _default(self, body: FalRequest, name: str) -> Any:
        """A field's value; its default alone where the checkpoint has none of its own."""
        value = getattr(body, name)
        return value if name in body.model_fields_set else self.capabilities.default(None, value)


def clamped(size: ImageSize | str, *, image: bool) -> tuple[int, int]:
    """Width and height of a size or a preset, scaled down until its longer side is within the tables."""
    width, height = (size.width, size.height) if isinstance(size, ImageSize) else PRESETS[size]
    longest = max(side for canvases in size_table(image=image).values() for canvas in canvases for side in canvas)
    scale = min(1.0, longest / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))
