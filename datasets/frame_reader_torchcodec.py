"""A video file held open by torchcodec, in its exact seek mode."""

from importlib import import_module
from pathlib import Path

import numpy as np

from cosmos_robot.datasets.frame_reader import FrameError, ReadCounts
from cosmos_robot.errors import MediaError, MissingDependencyError
from cosmos_robot.types import Frames


def require_torchcodec() -> None:
    """Check that torchcodec is there and loads.

    Raises:
        MissingDependencyError: if not.
    """
    try:
        import_module("torchcodec.decoders")
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "backend='torchcodec' needs torchcodec: `pip install 'cosmos-robot[lerobot]'`. Or read with backend='pyav'."
        ) from error
    except (ImportError, OSError, RuntimeError) as error:  # torchcodec raises RuntimeError where FFmpeg is not found
        raise MissingDependencyError(
            "torchcodec is installed but does not load: it needs FFmpeg's shared libraries (4 to 8) and the torch that "
            "it was built for. Install FFmpeg, or read with backend='pyav'."
        ) from error


class TorchcodecVideo:
    """One open video file; arguments and attributes as `PyavVideo`.

    Raises:
        MediaError: if it is no video file, or its codec is not there.
    """

    def __init__(self, path: Path, fps: float, counts: ReadCounts, threads: int) -> None:
        from torchcodec.decoders import VideoDecoder

        self._path, self._fps, self._counts = path, fps, counts
        try:
            self._decoder = VideoDecoder(path, dimension_order="NHWC", num_ffmpeg_threads=threads, seek_mode="exact")
        except (RuntimeError, ValueError) as error:
            raise MediaError(f"torchcodec does not open the video {path}: {_first_line(error)}.") from error
        frames, rate = self._decoder.metadata.num_frames, self._decoder.metadata.average_fps
        # The average counts on the last frame's duration, which not all files have; near to fps is fps.
        same = rate is not None and abs(rate / fps - 1) < 0.1
        self.frame_count = frames if same else round(frames * fps / rate) if frames and rate else None
        self._begin = float(self._decoder.metadata.begin_stream_seconds or 0.0)

    def read(self, start: int, stop: int) -> Frames:
        """Frames `start:stop`, uint8 RGB `[stop - start, H, W, 3]`.

        Raises:
            FrameError: naming the first that is not there or does not decode.
        """
        if self.frame_count is not None and stop > self.frame_count:
            number = max(start, self.frame_count)
            raise FrameError(f"the video {self._path} ends before frame {number}.", number)
        try:
            batch = self._decoder.get_frames_in_range(start, stop)
        except (RuntimeError, IndexError, ValueError) as error:
            raise FrameError(
                f"frames {start} to {stop - 1} of the video {self._path} do not decode: {_first_line(error)}.", start
            ) from error
        self._counts.decoded += stop - start
        position = (batch.pts_seconds.numpy() - self._begin) * self._fps
        off = np.abs(position - np.arange(start, stop))
        if (off >= 0.5).any():
            number = start + int(np.argmax(off >= 0.5))
            raise FrameError(
                f"the frames of the video {self._path} are not at multiples of the dataset's frame time: frame "
                f"{number} is {off.max():.2f} frames beside it. Read with backend='pyav', which takes the nearest.",
                number,
            )
        frames: Frames = batch.data.numpy()
        return frames

    def close(self) -> None:
        """Close the file."""
        del self._decoder


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
