"""The bodies of Pixazo's two endpoints of Cosmos 3 Super: fal's fields with names, defaults and limits of its own."""

from typing import Annotated, Literal

from pydantic import Field

from cosmos_robot.serving.fal_request import FalImageToVideo, FalTextToImage, ImageSize, Preset

VIDEO_NEGATIVE_PROMPT = (
    "blurry, low quality, distorted, unnatural motion, flickering, stuttering, deformed limbs, extra limbs, bad anatomy"
)

Prompt = Annotated[str, Field(min_length=1, max_length=4096)]


class PixazoSize(ImageSize):
    """A size in pixels; neither side has a default."""

    width: Annotated[int, Field(ge=1, le=14142)]
    height: Annotated[int, Field(ge=1, le=14142)]


class PixazoTextToImage(FalTextToImage):
    """The body of `cosmos-3-super-text-to-image-request`."""

    prompt: Prompt
    negative_prompt: Annotated[str, Field(max_length=1024)] = ""
    image_size: PixazoSize | Preset = "square_hd"
    output_format: Literal["jpeg", "png"] = "jpeg"


class PixazoImageToVideo(FalImageToVideo):
    """The body of `cosmos-3-super-image-to-video-request`."""

    prompt: Prompt
    negative_prompt: Annotated[str, Field(max_length=2048)] = VIDEO_NEGATIVE_PROMPT
    image_size: PixazoSize | Preset = PixazoSize(width=832, height=480)
    fps: Annotated[int, Field(alias="frames_per_second", ge=4, le=60)] = 24
