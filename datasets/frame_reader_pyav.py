"""A video file held open by PyAV: numbered frames, exact seeks, no seek where reading goes on."""

import itertools
import math
import warnings
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
import numpy as np
from av.video.reformatter import VideoReformatter

from cosmos_robot.datasets.frame_reader import FrameError, ReadCounts
from cosmos_robot.datasets.video import rgb_pixels
from cosmos_robot.errors import EpisodeWarning, MediaError
from cosmos_robot.types import Frames

_KEPT_BYTES = 4_000_000
"""Of the frames last read, so that windows that overlap decode none twice."""


@dataclass(frozen=True)
class _Numbered:
    """A decoded frame, its number, and how far from the number's time it is, in frames."""

    number: int
    off: float
    frame: "av.VideoFrame"


class PyavVideo:
    """One open video file.

    Args:
        path: the file.
        fps: frames a second of the dataset, which numbers the frames.
        counts: where work is counted.
        threads: of the decoder.

    Attributes:
        frame_count: number of frames by the header, on the grid of `fps`; None where the header does not say.

    Raises:
        MediaError: if it is no video file, or its codec is not there.
    """

    def __init__(self, path: Path, fps: float, counts: ReadCounts, threads: int) -> None:
        self._path, self._counts = path, counts
        try:
            self._container = av.open(path)
        except av.error.FFmpegError as error:
            raise MediaError(
                f"the video {path} does not open ({error.strerror}): it is truncated or no video file. Copy it again."
            ) from error
        if not self._container.streams.video:
            raise MediaError(f"the file {path} has no video stream: it is truncated or no video file.")
        self._stream = self._container.streams.video[0]
        if self._stream.codec_context is None:
            raise MediaError(
                f"the video {path} is of a codec that the installed PyAV does not decode. Install PyAV's own wheel "
                f"(`pip install --force-reinstall av`), or read with backend='torchcodec' and an FFmpeg that has it "
                f"(`pip install 'cosmos-robot[lerobot]'`)."
            )
        self._stream.codec_context.thread_count = threads
        self._begin = self._stream.start_time or 0
        self._frames_a_tick = float(self._stream.time_base) * fps
        self.frame_count = _frame_count(self._stream, fps)
        self._reformatter = VideoReformatter()
        self._coming: Iterator[_Numbered] = iter(())
        self._next: int | None = None  # the number that comes next; None before the first seek
        self._last_key: int | None = None
        self._longest_gop = 0
        self._kept: deque[Frames] = deque()
        self._kept_stop = 0
        self._warned = False

    def read(self, start: int, stop: int) -> Frames:
        """Frames `start:stop`, uint8 RGB `[stop - start, H, W, 3]`.

        Raises:
            FrameError: naming the first that is not there or does not decode.
        """
        frames, number = self._begun(start, stop)
        while number < stop:
            pixels = self._pixels(number)
            if number == start:
                frames = np.empty((stop - start, *pixels.shape), dtype=np.uint8)
            elif pixels.shape != frames.shape[1:]:
                raise FrameError(f"the video {self._path} changes its frame size at frame {number}.", number)
            frames[number - start] = pixels
            self._keep(number, pixels)
            number += 1
        return frames

    def close(self) -> None:
        """Close the file."""
        self._coming = iter(())
        self._container.close()

    def _begun(self, start: int, stop: int) -> tuple[Frames, int]:
        """The frames wanted, with those filled in that are kept from the last read, and the number that comes next."""
        first = start - (self._kept_stop - len(self._kept))
        if not 0 <= first < len(self._kept):
            return np.empty((0, 0, 0, 3), dtype=np.uint8), start
        kept = list(itertools.islice(self._kept, first, first + stop - start))
        frames = np.empty((stop - start, *kept[0].shape), dtype=np.uint8)
        for row, pixels in enumerate(kept):
            frames[row] = pixels
        return frames, start + len(kept)

    def _keep(self, number: int, pixels: Frames) -> None:
        if number != self._kept_stop:
            self._kept.clear()
        self._kept.append(pixels)
        self._kept_stop = number + 1
        while len(self._kept) > max(1, _KEPT_BYTES // pixels.nbytes):
            self._kept.popleft()

    def _pixels(self, number: int) -> Frames:
        try:
            return rgb_pixels(self._take(number), self._reformatter)
        except av.error.FFmpegError as error:
            raise FrameError(
                f"frame {number} of the video {self._path} does not decode ({error.strerror}). Is the file whole?",
                number,
            ) from error

    def _take(self, number: int) -> "av.VideoFrame":
        """The frame of that number; the decoder then stands behind it."""
        ahead = -1 if self._next is None else number - self._next
        if not 0 <= ahead <= self._longest_gop:
            self._seek(number)
        for numbered in self._coming:
            self._next = numbered.number + 1
            if numbered.number < number:
                continue
            if numbered.number > number:
                raise FrameError(f"the video {self._path} has no frame {number}: there is a gap in its times.", number)
            if numbered.off > self._frames_a_tick + 1e-3:
                self._warn(numbered)
            if numbered.frame.is_corrupt:
                raise FrameError(f"frame {number} of the video {self._path} is damaged. Copy the file again.", number)
            return numbered.frame
        raise FrameError(
            f"the video {self._path} ends before frame {number}"
            + (f"; its header promises {self.frame_count} frames." if self.frame_count else "."),
            number,
        )

    def _seek(self, number: int) -> None:
        """Go to a keyframe at or before `number`; farther back where reordered frames make the first one too late."""
        back = 0
        while True:
            target = max(0, number - back)
            self._container.seek(self._begin + round(target / self._frames_a_tick), stream=self._stream, backward=True)
            self._counts.seeks += 1
            self._last_key = None
            coming = self._numbered()
            first = next(coming, None)
            if target == 0 or (first is not None and first.number <= number):
                break
            back = 2 * back + max(self._longest_gop, 4)
        self._coming = coming if first is None else itertools.chain((first,), coming)

    def _numbered(self) -> Iterator[_Numbered]:
        """Decoded frames, of those that share a number only the nearest.

        A frame on the grid is given at once; for one beside it the next is decoded first, since it may be nearer.
        """
        held: _Numbered | None = None
        for frame in self._decoded():
            position = (frame.pts - self._begin) * self._frames_a_tick
            number = math.floor(position + 0.5)
            current = _Numbered(number, abs(position - number), frame)
            self._note_keyframe(current)
            if held is not None and held.number != number:
                yield held
            elif held is not None and held.off <= current.off:
                continue
            held = current
            if current.off <= self._frames_a_tick:
                yield current
                held = None
        if held is not None:
            yield held

    def _note_keyframe(self, current: _Numbered) -> None:
        if self._last_key is not None:
            self._longest_gop = max(self._longest_gop, current.number - self._last_key)
        if current.frame.key_frame:
            self._last_key = current.number

    def _decoded(self) -> Iterator["av.VideoFrame"]:
        for packet in self._container.demux(self._stream):
            if packet.is_corrupt:  # the file ends within this packet; the decoder would paint over the hole
                number = 0 if packet.pts is None else round((packet.pts - self._begin) * self._frames_a_tick)
                raise FrameError(
                    f"the video {self._path} is truncated: the file ends within frame {number}. Copy it again.", number
                )
            for frame in packet.decode():
                self._counts.decoded += 1
                if frame.pts is not None:
                    yield frame

    def _warn(self, numbered: _Numbered) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"frames of the video {self._path} are not at multiples of the dataset's frame time: frame "
                f"{numbered.number} is {numbered.off:.2f} frames beside it. The nearest are taken.",
                EpisodeWarning,
                stacklevel=2,
            )


def _frame_count(stream: "av.video.stream.VideoStream", fps: float) -> int | None:
    rates = [float(rate) for rate in (stream.average_rate, stream.base_rate, stream.guessed_rate) if rate]
    frames: int = stream.frames
    if not frames or not rates:
        return None
    # The average counts on the last frame's duration, which not all files have; so any rate near to fps is fps.
    if any(abs(rate / fps - 1) < 0.1 for rate in rates):
        return frames
    return round(frames * fps / rates[0])
