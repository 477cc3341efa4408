"""Videos without loss: H.264 in RGB and samples as they are, in Matroska, for programs that read every pixel again."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from cosmos_robot.datasets.atomic_file import replaced_when_complete
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.types import Frames, Sound, require_frames

_X264_OPTIONS = {"qp": "0", "preset": "ultrafast"}
"""Quantiser 0 loses nothing, whatever the preset; slower ones make files an eighth smaller in ten times the time."""
_LAYOUTS = {1: "mono", 2: "stereo"}


def write_lossless_video(path: str | Path, frames: Frames, fps: float, *, sound: Sound | None = None) -> None:
    """Write a video of which `read_video` gives the same pixels again, and `read_sound` the same samples.

    Args:
        path: the mkv file to write, which appears only when it is complete; its folder must exist.
        frames: uint8 RGB `[N, H, W, 3]`.
        fps: frames a second.
        sound: what is heard with it.

    Raises:
        MediaError: if `frames` is not a uint8 RGB clip.
        InvalidInputError: if `fps` is not positive or the file cannot be written.
    """
    frames = require_frames(frames)
    if not (np.isfinite(fps) and fps > 0):
        raise InvalidInputError(f"fps must be a positive number; got {fps}.")
    with (
        replaced_when_complete(Path(path)) as temporary,
        av.open(temporary, "w", format="matroska") as container,
    ):
        stream = container.add_stream(
            "libx264rgb", rate=Fraction(fps).limit_denominator(1001), options=dict(_X264_OPTIONS)
        )
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "rgb24"
        heard = None if sound is None else container.add_stream("pcm_f32le", rate=sound.sample_rate)
        if heard is not None and sound is not None:
            heard.layout = _LAYOUTS[len(sound.samples)]
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
        if heard is not None and sound is not None:
            interleaved = np.ascontiguousarray(sound.samples.T).reshape(1, -1)
            samples = av.AudioFrame.from_ndarray(interleaved, format="flt", layout=_LAYOUTS[len(sound.samples)])
            samples.sample_rate, samples.pts, samples.time_base = sound.sample_rate, 0, Fraction(1, sound.sample_rate)
            container.mux(heard.encode(samples))
            container.mux(heard.encode())
