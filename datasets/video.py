"""Video files as arrays, through PyAV: any codec that it decodes comes in, H.264 in mp4 goes out, AAC beside it."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from cosmos_robot.datasets.atomic_file import replaced_when_complete
from cosmos_robot.datasets.sound_track import SoundTrack, require_aac_rate
from cosmos_robot.errors import InvalidInputError, MediaError
from cosmos_robot.types import Frames, Sound, require_frames

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")

_MAX_PIXELS = 50_000_000
"""Of a frame, as of an image: 8K has 33 million; far more is a mistake or a decompression bomb."""

_BT709 = 1
"""ISO/IEC 23091-2 matrix code, as `av.VideoFrame.colorspace` gives it."""
_BT601 = 6
_LIMITED_RANGE = 1
_FULL_RANGE = 2
REPRODUCIBLE_X264 = {"mbtree": "0"}
"""With it the same frames give the same bytes; libx264's macroblock tree in AVX-512 makes others now and then."""
_X264_OPTIONS = {"crf": "12", "preset": "medium"} | REPRODUCIBLE_X264
"""Visually lossless: metrics and later conditioning read these files again."""


def read_video(path: str | Path, *, max_frames: int | None = None, last: bool = False) -> tuple[Frames, float]:
    """Read a video.

    The rotation in the container's metadata is applied, and the colour matrix that the stream names is used.

    Args:
        path: a video file.
        max_frames: stop after so many frames; None reads all. Damage behind them is then not seen.
        last: whether the last `max_frames` are wanted; the others are decoded and not kept.

    Returns:
        the frames, uint8 RGB `[N, H, W, 3]`, and the frames a second.

    Raises:
        MediaError: if the file is missing, empty, truncated or does not decode, has no video stream or no
            frame rate, if its frames have more than 50 megapixels, or if their size changes within it.
    """
    path = Path(path)
    frames: deque[Frames] = deque(maxlen=max_frames)
    with _opened(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        rate = stream.average_rate or stream.guessed_rate
        for number, frame in enumerate(_pixels(container, path)):
            frames.append(frame)
            if frame.shape != frames[0].shape:
                raise MediaError(
                    f"the video {path} changes its frame size from {_size(frames[0])} to {_size(frame)} "
                    f"(HxW) at frame {number}; expected one size."
                )
            if len(frames) == max_frames and not last:
                break
    if not frames:
        raise MediaError(f"the video {path} is empty: it has no frame.")
    if not rate:
        raise MediaError(f"the video {path} names no frame rate; write it again as mp4 with a fixed rate.")
    return _usable(np.stack(frames), path), float(rate)


def read_first_frame(path: str | Path) -> Frames:
    """Read the first frame of a video.

    Args:
        path: a video file.

    Returns:
        uint8 RGB `[H, W, 3]`.

    Raises:
        MediaError: as `read_video`.
    """
    path = Path(path)
    with _opened(path) as container:
        for frame in _pixels(container, path):
            return np.asarray(_usable(frame[None], path)[0])
    raise MediaError(f"the video {path} is empty: it has no frame.")


@contextmanager
def stream_video(path: str | Path) -> Iterator[tuple[Iterator[Frames], float]]:
    """Open a video whose frames are decoded one by one, when they are asked for.

    Args:
        path: a video file.

    Yields:
        the frames, each uint8 RGB `[H, W, 3]`, and the frames a second.

    Raises:
        MediaError: as `read_video`; of a frame that does not decode, when it is asked for.
    """
    with stream_timed_video(path) as (timed, rate):
        yield (frame for _, frame in timed), rate


@contextmanager
def stream_timed_video(path: str | Path) -> Iterator[tuple[Iterator[tuple[float, Frames]], float]]:
    """Open a video as `stream_video` does, with the time of each frame: a phone's frames do not come evenly.

    Args:
        path: a video file.

    Yields:
        the frames, each with its time in seconds from the first, and the frames a second on average.

    Raises:
        MediaError: as `stream_video`.
    """
    path = Path(path)
    with _opened(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        rate = stream.average_rate or stream.guessed_rate
        if not rate:
            raise MediaError(f"the video {path} names no frame rate; write it again as mp4 with a fixed rate.")
        yield _timed(container, path, float(rate)), float(rate)


def even_sided(frames: Frames) -> Frames:
    """Make odd sides even by repeating the last row or column: yuv420p has one colour sample for 2x2 pixels.

    Args:
        frames: `[N, H, W, 3]`.
    """
    height, width = frames.shape[1:3]
    if height % 2 == width % 2 == 0:
        return frames  # padding by nothing would copy them
    return np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def write_video(path: str | Path, frames: Frames, fps: float, *, sound: Sound | None = None) -> None:
    """Write a video as H.264 (yuv420p, visually lossless), which appears only when it is complete.

    An odd side is made even, see `even_sided`. The colour matrix is written into the stream, so that every reader
    agrees.

    Args:
        path: the mp4 file to write; its folder must exist.
        frames: uint8 RGB `[N, H, W, 3]`.
        fps: frames a second.
        sound: what is heard with it, written as AAC.

    Raises:
        MediaError: if `frames` is not a uint8 RGB clip, or AAC has not the sound's sample rate.
        InvalidInputError: if `fps` is not positive or the file cannot be written.
    """
    frames = require_frames(frames)
    if sound is not None:
        require_aac_rate(sound)
    if not (np.isfinite(fps) and fps > 0):
        raise InvalidInputError(f"fps must be a positive number; got {fps}.")
    even = even_sided(frames)
    # Larger denominators than this overflow the clock of an mp4; 30000/1001 is exact within it.
    rate = Fraction(fps).limit_denominator(1001)
    with (
        replaced_when_complete(Path(path)) as temporary,
        av.open(temporary, "w", format="mp4", options={"movflags": "faststart"}) as container,
    ):
        stream = container.add_stream("libx264", rate=rate, options=_X264_OPTIONS)
        stream.height, stream.width = even.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.colorspace = _BT601  # what swscale makes of RGB
        stream.codec_context.color_range = _LIMITED_RANGE
        heard = None if sound is None else SoundTrack(container, sound)  # all streams, before the first packet
        for number, frame in enumerate(even, start=1):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            if heard is not None:
                heard.write(number / fps)
        container.mux(stream.encode())
        if heard is not None:
            heard.finish()


@contextmanager
def _opened(path: Path) -> Iterator["av.container.InputContainer"]:
    if not path.is_file():
        raise MediaError(f"there is no video {path}; check the path.")
    if path.stat().st_size == 0:
        raise MediaError(f"the video {path} is empty: the file has no bytes.")
    try:
        with av.open(path) as container:
            if not container.streams.video:
                raise MediaError(f"the file {path} has no video stream.")
            _require_size(container.streams.video[0].codec_context, path)
            yield container
    except av.error.FFmpegError as error:
        raise MediaError(f"the video {path} does not decode ({error.strerror}). Is it a whole video file?") from error


def _require_size(coded: "av.VideoCodecContext", path: Path) -> None:
    if coded.width * coded.height > _MAX_PIXELS:  # known from the header, before anything is decoded
        raise MediaError(
            f"the video {path} is too large ({coded.height}x{coded.width} pixels); expected frames of at most "
            f"{_MAX_PIXELS // 1_000_000} megapixels. Scale it down first."
        )


def _timed(container: "av.container.InputContainer", path: Path, rate: float) -> Iterator[tuple[float, Frames]]:
    reformatter = VideoReformatter()
    has_times = container.format.name != "avi"  # avi has a rate alone; what is read as times follows the coding order
    first: float | None = None
    for number, frame in enumerate(_decoded(container, path)):
        time = frame.time if has_times and frame.time is not None else number / rate
        first = time if first is None else first
        yield time - first, _usable(rgb_pixels(frame, reformatter)[None], path)[0]


def _pixels(container: "av.container.InputContainer", path: Path) -> Iterator[Frames]:
    reformatter = VideoReformatter()
    return (rgb_pixels(frame, reformatter) for frame in _decoded(container, path))


def _decoded(container: "av.container.InputContainer", path: Path) -> Iterator["av.VideoFrame"]:
    for packet in container.demux(container.streams.video[0]):
        if packet.is_corrupt:  # the file ends within this packet; the decoder would paint over the hole
            raise MediaError(f"the video {path} is truncated: the file ends within a frame. Copy it again.")
        yield from packet.decode()


def rgb_pixels(frame: "av.VideoFrame", reformatter: VideoReformatter) -> Frames:
    """The pixels of a decoded frame, by the colour matrix that it names, turned as the container says.

    Args:
        frame: as the decoder gives it.
        reformatter: kept for all frames of a file, because setting one up takes as long as a small frame.

    Returns:
        uint8 RGB `[H, W, 3]`.
    """
    if frame.colorspace == _BT709:
        # PyAV sets swscale's matrix only where source and destination differ, so a destination must be named,
        # although RGB has none; and the range must then be named, too.
        full = frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")
        rgb = reformatter.reformat(
            frame,
            format="rgb24",
            src_colorspace=Colorspace.ITU709,
            dst_colorspace=Colorspace.ITU601,
            src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        )
    else:
        rgb = reformatter.reformat(frame, format="rgb24")
    return np.ascontiguousarray(np.rot90(rgb.to_ndarray(), k=round(frame.rotation / 90)))


def _usable(frames: Frames, path: Path) -> Frames:
    try:
        return require_frames(frames)
    except MediaError as error:
        raise MediaError(f"the video {path} cannot be used: {error}") from error


def _size(frame: Frames) -> str:
    return f"{frame.shape[0]}x{frame.shape[1]}"
