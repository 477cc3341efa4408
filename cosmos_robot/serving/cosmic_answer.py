"""What Cosmic's media endpoints answer: the record of what was made, and the words beside it."""

import math
import re
import uuid
from typing import Any

from cosmos_robot.serving.answer import Answer
from cosmos_robot.serving.cosmic_media import MediaRecord
from cosmos_robot.serving.cosmic_question import shown_resolution
from cosmos_robot.serving.cosmic_request import CosmicAudio, CosmicExtend, CosmicImage, CosmicStored, CosmicVideo
from cosmos_robot.serving.speech import PROGRAM, Spoken

_SLUG = 40
_SHOWN = 200
"""Characters of a prompt, in names and as the words for a speech."""


def image_record(body: CosmicImage, bucket: str, answer: Answer) -> MediaRecord:
    """The record of an image; its metadata are the caller's alone."""
    slug = re.sub(r"[^a-z0-9]+", "-", body.prompt.lower())[:_SLUG].strip("-") or "image"
    shape = answer.items[0].shape or (1, 0, 0, 3)
    return MediaRecord(
        bucket=bucket,
        name=f"{uuid.uuid4()}-{slug}.png",
        original_name=f"{slug}.png",
        type="image/png",
        folder=body.folder,
        alt_text=body.prompt if body.alt_text is None else body.alt_text,
        metadata=body.metadata,
        width=shape[2],
        height=shape[1],
    )


def video_record(body: CosmicVideo | CosmicExtend, bucket: str, answer: Answer, model: str) -> MediaRecord:
    """The record of a video, with what was made in place of what was asked for."""
    shape = answer.items[0].shape or (0, 0, 0, 3)
    told: dict[str, Any] = {
        "duration": _seconds(answer),
        "resolution": shown_resolution(shape),
        "generation_time_seconds": generation_seconds(answer),
        "prompt": body.prompt,
        "model": model,
    }
    kind = "cosmos"
    if isinstance(body, CosmicExtend):
        kind = "cosmos-ext"
        told |= {"is_extension": True, "source_media_id": body.media_id}
    return _named(kind, body, bucket=bucket, alt_text=body.prompt, told=told)


def audio_record(body: CosmicAudio, bucket: str, spoken: Spoken) -> MediaRecord:
    """The record of a speech."""
    shown = body.prompt if len(body.prompt) <= _SHOWN else f"{body.prompt[:_SHOWN]}..."
    told: dict[str, Any] = {
        "prompt": shown,
        "model": PROGRAM,
        "voice": body.voice,
        "duration_estimate": f"{max(1, math.ceil(spoken.seconds / 60))} min",
        "char_count": len(body.prompt),
        "chunk_count": spoken.chunks,
    }
    return _named("tts", body, bucket=bucket, alt_text=shown, told=told)


def generation_seconds(answer: Answer) -> float:
    """How long generating took."""
    return round(answer.seconds, 3)


def _seconds(answer: Answer) -> float:
    """How long a video lasts; a whole number as such."""
    item = answer.items[0]
    seconds = 0.0 if item.shape is None else round(item.shape[0] / item.fps, 3)
    return int(seconds) if seconds.is_integer() else seconds


def _named(kind: str, body: CosmicStored, *, bucket: str, alt_text: str, told: dict[str, Any]) -> MediaRecord:
    """A record whose name is of its kind, with what the server tells beside the caller's metadata."""
    suffix, media_type = ("mp3", "audio/mpeg") if kind == "tts" else ("mp4", "video/mp4")
    name = f"{kind}-{uuid.uuid4()}.{suffix}"
    return MediaRecord(
        bucket=bucket,
        name=name,
        original_name=name,
        type=media_type,
        folder=body.folder,
        alt_text=alt_text,
        metadata={**body.metadata, **told},
    )
