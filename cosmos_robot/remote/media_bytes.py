"""Pictures and videos as the bytes that travel: encoded for a service, decoded from its answer."""

import base64
import binascii
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cosmos_robot.datasets.images import read_image, write_image
from cosmos_robot.datasets.lossless_video import write_lossless_video
from cosmos_robot.datasets.media_kind import media_suffix
from cosmos_robot.datasets.sound_track import read_sound
from cosmos_robot.datasets.video import read_video, write_video
from cosmos_robot.errors import AnswerError, MediaError
from cosmos_robot.types import Frames, Sound


@dataclass(frozen=True, eq=False)
class Media:
    """A decoded answer.

    Attributes:
        frames: uint8 `[N, H, W, 3]`; N is 1 for a picture.
        fps: frames a second, or None for a picture.
        sound: what is heard with it, or None.
    """

    frames: Frames
    fps: float | None
    sound: Sound | None


@dataclass(frozen=True)
class File:
    """An encoded picture or video.

    Attributes:
        content: its bytes.
        media_type: as "image/png".
    """

    content: bytes
    media_type: str

    @property
    def base64(self) -> str:
        """The bytes in base64."""
        return base64.b64encode(self.content).decode()

    @property
    def data_uri(self) -> str:
        """The bytes in an address of their own."""
        return f"data:{self.media_type};base64,{self.base64}"


def picture_file(frame: Frames) -> File:
    """Encode a picture uint8 `[H, W, 3]` as png, which loses nothing."""
    return File(_written("picture.png", lambda path: write_image(path, frame)), "image/png")


def jpeg_file(frame: Frames) -> File:
    """Encode a picture uint8 `[H, W, 3]` as jpeg, which is small, and enough for a look at it."""
    return File(_written("picture.jpg", lambda path: write_image(path, frame)), "image/jpeg")


def video_file(frames: Frames, fps: float) -> File:
    """Encode a video uint8 `[N, H, W, 3]` as H.264 in mp4, which every service decodes."""
    return File(_written("video.mp4", lambda path: write_video(path, frames, fps)), "video/mp4")


def lossless_video_file(frames: Frames, fps: float) -> File:
    """Encode a video uint8 `[N, H, W, 3]` as H.264 without loss in Matroska."""
    return File(_written("video.mkv", lambda path: write_lossless_video(path, frames, fps)), "video/x-matroska")


def decode_media(content: bytes, service: str) -> Media:
    """Decode a service's picture or video.

    Args:
        content: the file.
        service: what to call it in a sentence.

    Raises:
        AnswerError: if it is neither, or does not decode.
    """
    suffix = media_suffix(content)
    if suffix is None:
        raise AnswerError(f"{service} gave neither a picture nor a video, but {len(content)} bytes of something else.")
    with tempfile.TemporaryDirectory(prefix="cosmos-robot-") as folder:
        path = Path(folder) / f"answer{suffix}"
        path.write_bytes(content)
        try:
            if suffix in (".png", ".jpg", ".webp"):
                return Media(read_image(path)[None], None, None)
            frames, fps = read_video(path)
            return Media(frames, fps, read_sound(path))
        except MediaError as error:
            raise AnswerError(f"{service} gave a file that cannot be used: {_without(folder, error)}") from error


def decode_base64(text: object, service: str) -> bytes:
    """Decode base64, bare or in a data URI.

    Raises:
        AnswerError: if it is none.
    """
    if isinstance(text, str):
        _, comma, rest = text.partition(",") if text.startswith("data:") else ("", "", text)
        try:
            return base64.b64decode(rest if comma else text, validate=True)
        except (binascii.Error, ValueError):
            pass
    raise AnswerError(f"{service} gave media that are not base64.")


def _written(name: str, write: Callable[[Path], None]) -> bytes:
    with tempfile.TemporaryDirectory(prefix="cosmos-robot-") as folder:
        path = Path(folder) / name
        write(path)
        return path.read_bytes()


def _without(folder: str, error: MediaError) -> str:
    return str(error).replace(f"{folder}/", "")
