"""Images and videos that come with a request, as base64, as a data URI or by URL: fetched, measured, decoded."""

import base64
import binascii
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
import numpy as np

from cosmos_robot.datasets.images import read_image
from cosmos_robot.datasets.media_kind import media_suffix
from cosmos_robot.datasets.video import stream_video
from cosmos_robot.errors import MediaError
from cosmos_robot.serving.fetch import Fetcher
from cosmos_robot.serving.problems import Kind, RequestError
from cosmos_robot.serving.settings import Limits
from cosmos_robot.types import Frames


@dataclass(frozen=True)
class GivenMedia:
    """Bytes of an image or a video.

    Attributes:
        content: the file.
        suffix: of its name, by what it begins with; it decides how the file is read.
        field: of the request that gave it.
    """

    content: bytes
    suffix: str
    field: str

    @property
    def is_video(self) -> bool:
        """Whether it is a video."""
        return self.suffix not in (".png", ".jpg", ".webp")


@dataclass(frozen=True)
class MediaReader:
    """Reads media under the server's limits.

    Attributes:
        limits: sizes that are taken.
        fetcher: of URLs.
    """

    limits: Limits
    fetcher: Fetcher

    def load(self, text: str, field: str) -> GivenMedia:
        """Take the bytes that a field names: a URL's, a data URI's, or base64 as it is.

        Raises:
            RequestError: if they cannot be taken, are too large, or neither an image nor a video.
        """
        most = max(self.limits.image_bytes, self.limits.video_bytes)
        if "://" in text[:16]:
            return self.sort(self.fetcher.fetch(text, field=field, most=most), field)
        return self.sort(decode_base64(text, field), field)

    def sort(self, content: bytes, field: str) -> GivenMedia:
        """Find what kind of file bytes are.

        Raises:
            RequestError: if they are too large, or of no kind that is read.
        """
        suffix = media_suffix(content)
        if suffix is None:
            raise RequestError.of_field(
                field, "neither an image (png, jpg, webp) nor a video (mp4, mov, mkv, webm, avi)."
            )
        given = GivenMedia(content, suffix, field)
        most = self.limits.video_bytes if given.is_video else self.limits.image_bytes
        if len(content) > most:
            raise RequestError.of_field(field, f"{len(content)} bytes; at most {most} are taken.", Kind.TOO_LARGE)
        return given

    def image(self, given: GivenMedia, *, first_frame: bool = False) -> Frames:
        """Decode an image: uint8 `[H, W, 3]`.

        Args:
            given: an image.
            first_frame: whether a video is taken too, by its first frame.

        Raises:
            RequestError: if it is no image, or does not decode.
        """
        if not given.is_video:
            with _file(given) as path:
                return read_image(path)
        if not first_frame:
            raise RequestError.of_field(given.field, "an image is wanted here, not a video.")
        return np.asarray(self.clip(given, most=1)[0][0])

    def clip(self, given: GivenMedia, *, most: int | None = None, last: bool = False) -> tuple[Frames, float]:
        """Decode a video: uint8 `[N, H, W, 3]` and its frames a second.

        Args:
            given: a video.
            most: frames that are wanted; None is all.
            last: whether they are the last ones.

        Raises:
            RequestError: if it is no video, does not decode, or is too long or too large.
        """
        if not given.is_video:
            raise RequestError.of_field(given.field, "a video is wanted here, not an image.")
        with _file(given) as path:
            _require_frame_size(path, self.limits.video_pixels, given.field)
            kept = bytearray()  # it grows in place, and its beginning is dropped without a copy
            shape: tuple[int, ...] | None = None
            pixels = 0
            with stream_video(path) as (frames, fps):
                for index, frame in enumerate(frames):
                    pixels += frame.shape[0] * frame.shape[1]
                    if index >= self.limits.video_frames or pixels > self.limits.video_pixels:
                        raise RequestError.of_field(
                            given.field,
                            f"the video is too long: at most {self.limits.video_frames} frames and "
                            f"{self.limits.video_pixels} pixels in all are decoded.",
                            Kind.TOO_LARGE,
                        )
                    shape = shape or frame.shape
                    if frame.shape != shape:
                        raise RequestError.of_field(given.field, "the video changes its frame size; one size is read.")
                    kept += frame.tobytes()
                    if last and most is not None:
                        del kept[: max(0, len(kept) - most * frame.nbytes)]
                    elif index + 1 == most:
                        break
        if shape is None:
            raise RequestError.of_field(given.field, "the video is empty: it has no frame.")
        return np.frombuffer(kept, np.uint8).reshape(-1, *shape), fps

    def chunk_clip(self, given: GivenMedia, chunk: int) -> Frames:
        """Decode the beginning of a video that `chunk` actions lie in: uint8 `[chunk + 1, H, W, 3]`.

        Raises:
            RequestError: as for `clip`, and if the video is shorter.
        """
        frames, _ = self.clip(given, most=chunk + 1)
        if len(frames) < chunk + 1:
            raise RequestError.of_field(
                given.field, f"{chunk} actions lie between {chunk + 1} frames; the video has {len(frames)}."
            )
        return frames


def decode_base64(text: str, field: str) -> bytes:
    """Decode base64, bare or in a data URI; spaces and line ends within it are passed over.

    Raises:
        RequestError: if it is malformed or empty.
    """
    start = 0
    if text[:5].lower() == "data:":
        head, comma, _ = text[:300].partition(",")
        if not comma or not head.lower().endswith(";base64"):
            raise RequestError.of_field(field, "a data URI of media holds base64, as in data:image/png;base64,...")
        start = len(head) + 1
    try:
        compact = "".join(text[start:].split())
        content = base64.b64decode(compact.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise RequestError.of_field(field, "neither base64, nor a data URI, nor a URL.") from error
    if not content:
        raise RequestError.of_field(field, "there is no media in it.")
    return content


@contextmanager
def _file(given: GivenMedia) -> Iterator[Path]:
    """A file of the bytes, for the time of a block; errors about it speak of the request's field instead."""
    with tempfile.TemporaryDirectory(prefix="cosmos-robot-") as folder:
        path = Path(folder) / f"media{given.suffix}"
        path.write_bytes(given.content)
        try:
            yield path
        except MediaError as error:
            message = str(error).replace(str(path), f"in {given.field!r}")
            kind = Kind.TOO_LARGE if "too large" in message else Kind.BAD_VALUE
            raise RequestError.of_field(given.field, message, kind) from error


def _require_frame_size(path: Path, most: int, field: str) -> None:
    """Look at the size that the file's header names, before anything is decoded."""
    try:
        with av.open(path) as container:
            sizes = [stream.width * stream.height for stream in container.streams.video]
    except av.error.FFmpegError as error:
        raise RequestError.of_field(field, "the video does not decode. Is it a whole video file?") from error
    if sizes and sizes[0] > min(most, 50_000_000):
        raise RequestError.of_field(field, f"a frame of {sizes[0]} pixels is too large.", Kind.TOO_LARGE)
