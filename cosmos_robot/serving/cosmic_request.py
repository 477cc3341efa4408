"""The bodies of Cosmic's AI endpoints. The models that they name are not ours: each is a set of limits here."""

import json
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

VideoModel = Literal["veo-3.1-fast-generate-preview", "veo-3.1-generate-preview"]
Voice = Literal["nova", "shimmer", "coral", "sage", "alloy", "echo", "onyx", "fable", "ash"]
ImageName = Literal["gemini-3.1-flash-image-preview", "gemini-3-pro-image-preview", "dall-e-3"]
Size = Literal["512x512", "1024x1024", "2048x2048", "4096x4096", "1792x1024", "1024x1792"]
Ratio = Literal["1:1", "1:4", "1:8", "2:3", "3:2", "3:4", "4:1", "4:3", "4:5", "5:4", "8:1", "9:16", "16:9", "21:9"]

_MOST_METADATA = 65_536
_NAME = re.compile(r"[A-Za-z0-9_-](?:[A-Za-z0-9 ._-]{0,98}[A-Za-z0-9_-])?")


def _is_name(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise ValueError(
            "a folder's name has 1 to 100 letters, digits, '_', '-', spaces and '.', the last two not at its beginning "
            "or end; it is no path."
        )
    return name


def _is_small(metadata: dict[str, Any]) -> dict[str, Any]:
    if len(json.dumps(metadata)) > _MOST_METADATA:
        raise ValueError(f"metadata have at most {_MOST_METADATA} characters as JSON.")
    return metadata


Words = Annotated[str, Field(min_length=1)]
Folder = Annotated[str, AfterValidator(_is_name)]
Metadata = Annotated[dict[str, Any], AfterValidator(_is_small)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class CosmicMessage(_Body):
    """One turn of a chat."""

    role: Literal["user", "assistant"]
    content: Words


class CosmicText(_Body):
    """The body of `ai/text`: a prompt, or a chat. Any text model may be named; Cosmic adds some every month."""

    prompt: Words | None = None
    messages: Annotated[list[CosmicMessage], Field(min_length=1)] | None = None
    model: Annotated[str, Field(min_length=1, max_length=100)] = "claude-opus-4-8"
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    media_url: Words | None = None
    stream: bool = False

    @model_validator(mode="after")
    def _asks_once(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("give a prompt, or messages; one of them.")
        return self


class CosmicStored(_Body):
    """What all bodies have whose answer is kept as media. A folder is there as soon as something lies in it."""

    prompt: Words
    folder: Folder | None = None
    metadata: Metadata = Field(default_factory=dict)


class CosmicImage(CosmicStored):
    """The body of `ai/image`."""

    model: ImageName = "gemini-3.1-flash-image-preview"
    size: Size = "1024x1024"
    aspect_ratio: Ratio | None = None
    quality: Literal["standard", "hd"] = "standard"
    reference_images: list[Words] = Field(default_factory=list)
    alt_text: Annotated[str, Field(max_length=10_000)] | None = None


class CosmicVideo(CosmicStored):
    """The body of `ai/video`."""

    model: VideoModel = "veo-3.1-fast-generate-preview"
    duration: Literal[4, 6, 8] = 8
    resolution: Literal["720p", "1080p"] = "720p"
    reference_images: Annotated[list[Words], Field(max_length=1)] = Field(default_factory=list)


class CosmicExtend(CosmicStored):
    """The body of `ai/video/extend`."""

    media_id: Words
    model: VideoModel = "veo-3.1-fast-generate-preview"


class CosmicAudio(CosmicStored):
    """The body of `ai/audio`."""

    voice: Voice = "nova"
    model: Literal["tts-1", "tts-1-hd"] = "tts-1"


@dataclass(frozen=True)
class ImageLimits:
    """What one image model takes.

    Attributes:
        sizes: width and height.
        ratios: aspect ratios.
        references: most reference images.
        hd: whether it has that quality.
    """

    sizes: tuple[Size, ...]
    ratios: tuple[Ratio, ...]
    references: int
    hd: bool = False


_PRO_RATIOS: tuple[Ratio, ...] = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")

IMAGE_LIMITS: dict[ImageName, ImageLimits] = {
    "gemini-3.1-flash-image-preview": ImageLimits(
        ("512x512", "1024x1024", "2048x2048", "4096x4096"), (*_PRO_RATIOS, "1:4", "1:8", "4:1", "8:1"), 14
    ),
    "gemini-3-pro-image-preview": ImageLimits(("1024x1024", "2048x2048", "4096x4096"), _PRO_RATIOS, 5),
    "dall-e-3": ImageLimits(("1024x1024", "1792x1024", "1024x1792"), (), 0, hd=True),
}
