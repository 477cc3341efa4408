"""Frames of video files by number, with an exact seek, from a bounded number of open files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cosmos_robot.datasets.open_episodes import VideoBackend
from cosmos_robot.datasets.open_files import OpenFiles
from cosmos_robot.errors import InvalidInputError, MediaError
from cosmos_robot.types import Frames


class FrameError(MediaError):
    """A frame of a video that cannot be read.

    Attributes:
        number: which frame of the file; the first that is missing or damaged.
    """

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number

    def __reduce__(self) -> tuple[type["FrameError"], tuple[str, int]]:
        return FrameError, (str(self), self.number)


@dataclass
class ReadCounts:
    """What reading took so far.

    Attributes:
        decoded: frames that came out of a decoder, those before the wanted ones included.
        seeks: jumps to a keyframe.
        opened: files that were opened.
    """

    decoded: int = 0
    seeks: int = 0
    opened: int = 0


class OpenVideo(Protocol):
    """A video file that a backend holds open.

    Attributes:
        frame_count: number of frames by the file's header, on the grid of the reader's frame rate; None where the
            header does not say.
    """

    frame_count: int | None

    def read(self, start: int, stop: int) -> Frames:
        """Frames `start:stop`, uint8 RGB `[stop - start, H, W, 3]`; raises `FrameError`."""

    def close(self) -> None:
        """Close the file."""


class FrameReader:
    """Reads frames of video files by number.

    Frame n is the one whose time, counted from the file's first frame, is nearest to n / fps and less than half a frame
    away. It is found by seeking to the keyframe before it and decoding forward; where the reader already stands
    before it, it goes on without a seek. A reader can be pickled and survives a fork: each process opens its own files.

    Args:
        fps: frames a second of the dataset, which numbers the frames.
        backend: "pyav", or "torchcodec", which needs that package and FFmpeg's shared libraries.
        max_open: how many files are open at once; the least recently used is closed.
        threads: decoder threads for each open file. One decodes nothing beyond what is asked for, and is the most
            windows a second where several workers read.

    Attributes:
        fps: frames a second.
        counts: what reading took so far, in this process.

    Raises:
        InvalidInputError: if there is no such backend.
        MissingDependencyError: if the backend is not installed or does not load.
    """

    def __init__(self, fps: float, *, backend: VideoBackend = "pyav", max_open: int = 32, threads: int = 1) -> None:
        if backend not in ("pyav", "torchcodec"):
            raise InvalidInputError(f"videos are decoded by 'pyav' or 'torchcodec'; there is no backend {backend!r}.")
        if backend == "torchcodec":
            from cosmos_robot.datasets.frame_reader_torchcodec import require_torchcodec

            require_torchcodec()
        self.fps = fps
        self.counts = ReadCounts()
        self._backend, self._threads = backend, threads
        self._videos: OpenFiles[OpenVideo] = OpenFiles(self._open, _close, max_open)

    @property
    def open_files(self) -> int:
        """How many files are open now."""
        return len(self._videos)

    def read(self, path: Path, start: int, stop: int) -> Frames:
        """Read consecutive frames.

        Args:
            path: a video file.
            start: number of the first frame, counted from the file's first.
            stop: one past the last; larger than `start`.

        Returns:
            uint8 RGB `[stop - start, H, W, 3]`.

        Raises:
            FrameError: if a frame is not there or does not decode.
            MediaError: if the file cannot be opened.
        """
        with self._videos.using(path) as video:
            try:
                return video.read(start, stop)
            except FrameError:
                self._videos.forget(path)  # its decoder's state is not to be trusted
                raise

    def frame_count(self, path: Path) -> int | None:
        """Number of frames by the file's header; None where the header does not say.

        Raises:
            MediaError: if the file cannot be opened.
        """
        with self._videos.using(path) as video:
            return video.frame_count

    def close(self) -> None:
        """Close all files; reading opens them again."""
        self._videos.close()

    def _open(self, path: Path) -> OpenVideo:
        if not path.is_file():
            raise MediaError(f"there is no video {path}.")
        self.counts.opened += 1
        if self._backend == "torchcodec":
            from cosmos_robot.datasets.frame_reader_torchcodec import TorchcodecVideo

            return TorchcodecVideo(path, self.fps, self.counts, self._threads)
        from cosmos_robot.datasets.frame_reader_pyav import PyavVideo

        return PyavVideo(path, self.fps, self.counts, self._threads)


def _close(video: OpenVideo) -> None:
    video.close()
