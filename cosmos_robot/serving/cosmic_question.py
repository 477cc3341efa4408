"""From Cosmic's bodies to questions that a world model answers."""

import math
import secrets
from dataclasses import dataclass
from typing import Any, get_args

from cosmos_robot.domains.canvas import TIERS
from cosmos_robot.interface.chat import ImagePart, Message, Part, Role, VideoPart, read_messages
from cosmos_robot.interface.media_request import MediaMode, MediaRequest
from cosmos_robot.interface.media_size import conditioning_frames
from cosmos_robot.interface.reason import ReasonRequest, ReasonSampling
from cosmos_robot.serving.capabilities import Capabilities
from cosmos_robot.serving.cosmic_media import ADDRESS, MediaLibrary
from cosmos_robot.serving.cosmic_request import (
    IMAGE_LIMITS,
    CosmicExtend,
    CosmicImage,
    CosmicText,
    CosmicVideo,
    Size,
)
from cosmos_robot.serving.fal_request import ImageSize, clamped
from cosmos_robot.serving.media_input import GivenMedia, MediaReader
from cosmos_robot.serving.problems import Kind, RequestError
from cosmos_robot.serving.question import Question
from cosmos_robot.types import Frames

EXTENSION_SECONDS = 8
_FPS = 24.0
"""Veo's, for checkpoints without a rate of their own."""

_TIER = 720
_REFERENCE_FRAMES = 25
"""An image from a reference is the last frame of a clip that begins with the reference: of one second."""

_SEEN = (0, 1)
"""Latent frames of an extension that the end of the source gives."""


@dataclass(frozen=True)
class CosmicReader:
    """Reads requests for one server. All its methods decode media, so they belong into a thread.

    Attributes:
        media: of images and videos.
        library: with what was made here.
        capabilities: of the checkpoint.
    """

    media: MediaReader
    library: MediaLibrary
    capabilities: Capabilities

    def text(self, body: CosmicText, base: str) -> ReasonRequest:
        """Make a chat of a request.

        Args:
            body: of the request.
            base: address by which the client knows this server.

        Raises:
            RequestError: if the media cannot be taken, or are neither an image nor a video.
            InvalidInputError: if the chat does not end with the user.
        """
        turns: list[tuple[Role, str]] = [(turn.role, turn.content) for turn in body.messages or ()]
        if body.prompt is not None:
            turns.append(("user", body.prompt))
        messages = [Message.of(role, content) for role, content in turns]
        if body.media_url is not None and messages[-1].role == "user":
            shown = self._part(self._load(body.media_url, "media_url", base))
            messages[-1] = Message.of("user", shown, messages[-1].text)
        sampling = ReasonSampling() if body.max_tokens is None else ReasonSampling(max_new_tokens=body.max_tokens)
        return ReasonRequest(messages=read_messages(messages), sampling=sampling)

    def image(self, body: CosmicImage, base: str) -> Question:
        """Make a question for one image.

        Raises:
            RequestError: if something does not fit the model that the request names, or cannot be taken.
        """
        _require_image_limits(body)
        urls = body.reference_images
        picture = self._picture(urls[0], "reference_images.0", base) if urls else None
        size, notes = self._image_size(body, reference=picture is not None)
        if body.quality == "hd":
            notes += ("hd was asked for; this server has one quality.",)
        if len(urls) > 1:
            notes += (f"of {len(urls)} reference images the first was looked at: this model starts from one.",)
        if picture is None:
            request = self._request("text2image", body.prompt, None, notes, upsample=True, **size)
            return Question((self.capabilities.fit_media(request, frames_given=False),), image_format="png")
        notes += ("the image is the last frame of a short clip that begins with the reference image.",)
        clip: dict[str, Any] = {"num_frames": _REFERENCE_FRAMES, "fps": self._fps, "upsample": True, **size}
        request = self._request("image2video", body.prompt, picture, notes, **clip)
        fitted = self.capabilities.fit_media(request, frames_given=False)
        return Question((fitted,), image_format="png", still=True)

    def video(self, body: CosmicVideo, base: str) -> Question:
        """Make a question for a video.

        Raises:
            RequestError: if something does not fit, or cannot be taken.
        """
        urls = body.reference_images
        picture = self._picture(urls[0], "reference_images.0", base) if urls else None
        notes: tuple[str, ...] = ()
        if body.resolution == "1080p" and self.capabilities.native_canvas is None:
            if self.capabilities.strict:
                message = "this checkpoint's videos have at most 720p; ask for that."
                raise RequestError.of_field("resolution", message, Kind.UNSUPPORTED)
            notes = ("1080p was asked for; this checkpoint's videos have at most 720p.",)
        request = self._request(
            "text2video" if picture is None else "image2video",
            body.prompt,
            picture,
            notes,
            num_frames=round(body.duration * self._fps),
            **self._video_form(named="resolution" in body.model_fields_set),
        )
        return Question((self.capabilities.fit_media(request, frames_given="duration" in body.model_fields_set),))

    def extension(self, body: CosmicExtend, bucket: str) -> Question:
        """Make a question for a clip that goes on where a video of the library ends; it does not show that end again.

        Raises:
            RequestError: if there is no such media, or it is no video.
        """
        record = self.library.get(body.media_id, bucket=bucket)
        if record.type != "video/mp4":
            raise RequestError.of_field("media_id", f"only a video can be extended; this is {record.type}.")
        seen = conditioning_frames(_SEEN)
        given = self.media.sort(self.library.path(record).read_bytes(), "media_id")
        frames, _ = self.media.clip(given, most=seen, last=True)
        request = self._request(
            "video2video",
            body.prompt,
            frames,
            (),
            num_frames=round(EXTENSION_SECONDS * self._fps) + seen,
            condition_frame_indexes_vision=_SEEN,
            condition_video_keep="last",
            **self._video_form(named=False),
        )
        return Question((self.capabilities.fit_media(request, frames_given=False),), skip=seen)

    @property
    def _fps(self) -> float:
        return self.capabilities.fps or _FPS

    def _request(
        self, mode: MediaMode, prompt: str, frames: Frames | None, notes: tuple[str, ...], **more: Any
    ) -> MediaRequest:
        return MediaRequest(mode=mode, prompt=prompt, frames=frames, seed=secrets.randbelow(2**31), notes=notes, **more)

    def _video_form(self, *, named: bool) -> dict[str, Any]:
        """Size, rate and sound of a video: Veo's have native audio, where the checkpoint makes sound."""
        sized = named or self.capabilities.native_canvas is None
        resolution = _TIER if sized else None  # a default is no wish: a canvas of its own is not told of it
        return {"resolution": resolution, "fps": self._fps, "enable_sound": self.capabilities.sound}

    def _image_size(self, body: CosmicImage, *, reference: bool) -> tuple[dict[str, int], tuple[str, ...]]:
        """Height and width, within the model's tables, and a note where that is not what was asked for.

        Raises:
            RequestError: if it is past the tables, and the server is strict.
        """
        named = {"size", "aspect_ratio"} & body.model_fields_set
        if not named and (reference or self.capabilities.native_canvas is not None):
            return {}, ()
        asked = _pixels(body.size, body.aspect_ratio)
        width, height = clamped(ImageSize(width=asked[0], height=asked[1]), image=not reference)
        notes: tuple[str, ...] = ()
        if (width, height) != asked and self.capabilities.native_canvas is None:
            message = f"{asked[0]}x{asked[1]} pixels are past the sizes of this checkpoint"
            if self.capabilities.strict:
                raise RequestError.of_field("size", f"{message}; ask for less.", Kind.UNSUPPORTED)
            notes = (f"{message}; the size nearest to them is answered.",)
        return {"width": width, "height": height}, notes

    def _picture(self, url: str, field: str, base: str) -> Frames:
        """An image: uint8 `[1, H, W, 3]`."""
        return self.media.image(self._load(url, field, base))[None]

    def _part(self, given: GivenMedia) -> Part:
        if not given.is_video:
            return ImagePart(self.media.image(given))
        return VideoPart(*self.media.clip(given))

    def _load(self, url: str, field: str, base: str) -> GivenMedia:
        """Take media by their address: this server's own from the library, without fetching them."""
        begin = base + ADDRESS.partition("{")[0]
        if not url.startswith(begin):
            return self.media.load(url, field)
        media_id, _, name = url.removeprefix(begin).partition("/")
        record = self.library.get(media_id)
        if name != record.name:
            raise RequestError.of_field(field, "there is no media at this address.")
        return self.media.sort(self.library.path(record).read_bytes(), field)


def shown_resolution(shape: tuple[int, ...]) -> str:
    """How a video's size is called: by its tier, where that is one of Cosmic's, else in pixels.

    Args:
        shape: `[N, H, W, 3]`.
    """
    height, width = shape[1:3]
    return f"{_TIER}p" if (height, width) in TIERS[_TIER] else f"{width}x{height}"


def _require_image_limits(body: CosmicImage) -> None:
    """Check what the model that a request names would refuse."""
    limits = IMAGE_LIMITS[body.model]
    if body.size not in limits.sizes:
        sizes = [size for size in get_args(Size) if size in limits.sizes]
        raise RequestError.of_field("size", f"{body.model} has {', '.join(sizes)}; got {body.size}.")
    if body.aspect_ratio is not None and body.aspect_ratio not in limits.ratios:
        known = ", ".join(limits.ratios) or "no aspect ratios; leave it out"
        raise RequestError.of_field("aspect_ratio", f"{body.model} has {known}; got {body.aspect_ratio}.")
    if len(body.reference_images) > limits.references:
        message = f"{body.model} takes at most {limits.references}; got {len(body.reference_images)}."
        raise RequestError.of_field("reference_images", message)
    if body.quality == "hd" and not limits.hd:
        raise RequestError.of_field("quality", f"{body.model} has standard alone; got hd.")


def _pixels(size: Size, aspect_ratio: str | None) -> tuple[int, int]:
    """Width and height of a size, in another shape where there is one: as many pixels."""
    width, height = map(int, size.split("x"))
    if aspect_ratio is None:
        return width, height
    across, down = map(int, aspect_ratio.split(":"))
    return round(width * math.sqrt(across / down)), round(height * math.sqrt(down / across))
