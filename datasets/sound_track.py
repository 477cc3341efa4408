"""The sound of an mp4: samples as AAC beside the pictures, through PyAV."""

import math
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np

from cosmos_robot.errors import MediaError
from cosmos_robot.types import Sound

AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
"""Sample rates that AAC has (ISO/IEC 14496-3, table of sampling frequencies)."""

_LAYOUTS = {1: "mono", 2: "stereo"}
_BITS_A_SECOND = 192_000
"""Transparent for stereo at 48 kHz; the encoder lowers it for lower rates."""


def require_aac_rate(sound: Sound) -> None:
    """Check that AAC has a sound's sample rate.

    Raises:
        MediaError: naming those that it has.
    """
    if sound.sample_rate not in AAC_RATES:
        raise MediaError(
            f"AAC has no sample rate of {sound.sample_rate}; it has {', '.join(map(str, AAC_RATES))}. Resample first."
        )


class SoundTrack:
    """An AAC stream of a container that is being written.

    Args:
        container: before its first packet.
        sound: the samples.
    """

    def __init__(self, container: "av.container.OutputContainer", sound: Sound) -> None:
        self._container = container
        self._sound = sound
        self._stream = container.add_stream("aac", rate=sound.sample_rate)
        self._stream.layout = _LAYOUTS[len(sound.samples)]
        self._stream.bit_rate = _BITS_A_SECOND
        self._written = 0

    def write(self, until: float) -> None:
        """Encode and write the samples up to a time in seconds.

        Called along with the pictures: in the file the sound then lies beside them, as a player wants that reads it
        from the front, over a network.
        """
        rate = self._sound.sample_rate
        size = self._stream.codec_context.frame_size or 1024
        end = min(self._sound.samples.shape[1], until * rate)
        while self._written < end:
            samples = np.ascontiguousarray(self._sound.samples[:, self._written : self._written + size])
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=self._stream.layout.name)
            frame.sample_rate, frame.pts, frame.time_base = rate, self._written, Fraction(1, rate)
            self._container.mux(self._stream.encode(frame))
            self._written += size

    def finish(self) -> None:
        """Write what is left."""
        self.write(math.inf)
        self._container.mux(self._stream.encode())


def has_sound(path: str | Path) -> bool:
    """Whether a media file has a sound stream.

    Raises:
        MediaError: if it cannot be opened.
    """
    try:
        with av.open(Path(path)) as container:
            return bool(container.streams.audio)
    except av.error.FFmpegError as error:
        raise MediaError(f"the file {path} cannot be opened ({error.strerror}). Is it a whole media file?") from error


def read_sound(path: str | Path) -> Sound | None:
    """Read the sound of a video file.

    Args:
        path: a media file.

    Returns:
        The first sound stream's samples, one or two channels, or None where the file has no sound.

    Raises:
        MediaError: if the file is missing or its sound does not decode.
    """
    path = Path(path)
    if not path.is_file():
        raise MediaError(f"there is no file {path}; check the path.")
    try:
        with av.open(path) as container:
            if not container.streams.audio:
                return None
            stream = container.streams.audio[0]
            layout = _LAYOUTS[min(stream.codec_context.channels, 2)]
            resampler = av.AudioResampler(format="fltp", layout=layout, rate=stream.rate)
            decoded = [out for frame in container.decode(stream) for out in resampler.resample(frame)]
            parts = [frame.to_ndarray() for frame in [*decoded, *resampler.resample(None)]]
            return Sound(np.concatenate(parts, axis=1), stream.rate)
    except (av.error.FFmpegError, ValueError) as error:
        raise MediaError(f"the sound of {path} does not decode ({error}). Is it a whole file?") from error
