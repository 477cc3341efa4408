"""The modes without actions as commands: one sample each, from flags, into one folder."""

from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cosmos_robot.cli.settings import MediaSettings, VideoSettings, with_settings

PromptOption = Annotated[str, typer.Option(help="What is to be seen.")]
ClipOption = Annotated[str, typer.Option(help="Path or URL of the video that it starts from.")]


class ImageFormat(StrEnum):
    """How an image is written."""

    JPG = "jpg"
    PNG = "png"
    WEBP = "webp"


class Keep(StrEnum):
    """An end of a video."""

    FIRST = "first"
    LAST = "last"


@with_settings
def text2image(
    prompt: PromptOption,
    settings: MediaSettings,
    image_format: Annotated[ImageFormat, typer.Option("--format", help="How it is written.")] = ImageFormat.JPG,
) -> None:
    """Draw an image of what the prompt says."""
    _generate_one("text2image", settings, prompt=prompt, image_format=image_format.value)


@with_settings
def text2video(prompt: PromptOption, settings: VideoSettings) -> None:
    """Make a video of what the prompt says."""
    _generate_one("text2video", settings, prompt=prompt)


@with_settings
def image2video(
    image: Annotated[
        str, typer.Option(help="Path or URL of what it starts from: a png, jpg or webp, or a video's first frame.")
    ],
    settings: VideoSettings,
    prompt: PromptOption = "",
) -> None:
    """Make a video that starts from a picture."""
    _generate_one("image2video", settings, prompt=prompt, vision_path=image)


@with_settings
def video2video(
    video: ClipOption,
    settings: VideoSettings,
    prompt: PromptOption = "",
    latent_frames: Annotated[int, typer.Option(min=1, help="Latent frames that the video gives: 2 are 5 frames.")] = 2,
    keep: Annotated[Keep, typer.Option(help="Which end of the video gives them.")] = Keep.FIRST,
) -> None:
    """Make a video that starts with frames of another."""
    _generate_one(
        "video2video",
        settings,
        prompt=prompt,
        vision_path=video,
        condition_frame_indexes_vision=list(range(latent_frames)),
        condition_video_keep=keep.value,
    )


@with_settings
def extend_video(
    video: ClipOption,
    settings: VideoSettings,
    prompt: PromptOption = "",
    extra_frames: Annotated[
        int | None, typer.Option(min=1, help="How many frames to add.", show_default="one generation's")
    ] = None,
    latent_frames: Annotated[int, typer.Option(min=1, help="Latent frames that it goes on from: 2 are 5 frames.")] = 2,
) -> None:
    """Continue a video from its last frames, as far as is wanted."""
    _generate_one(
        "extend_video",
        settings,
        prompt=prompt,
        vision_path=video,
        extra_frames=extra_frames,
        condition_frame_indexes_vision=list(range(latent_frames)),
    )


def _generate_one(mode: str, settings: MediaSettings, **own: object) -> None:
    from cosmos_robot.cli.media_samples import MediaSample, parse_any_sample
    from cosmos_robot.cli.model_choice import ModelChoice
    from cosmos_robot.cli.one_sample import generate_one

    folder = settings.out or Path("outputs") / mode
    shared = {key: value for key, value in vars(settings).items() if key in MediaSample.model_fields}
    interval = settings.guidance_interval
    raw = {"name": folder.resolve().name, "model_mode": mode, **shared, **own}
    raw["guidance_interval"] = None if interval is None else list(interval)
    sample = parse_any_sample(raw, place=mode, folder=Path.cwd())
    generate_one(
        sample,
        folder,
        ModelChoice(**{item.name: getattr(settings, item.name) for item in fields(ModelChoice)}),
        overwrite=settings.overwrite,
    )
