"""Videos whose frames carry their number as black and white blocks, so that a frame can be told after lossy coding."""

from fractions import Fraction

import av
import numpy as np

from cosmos_robot.datasets.encoder_priority import kept_priority

BITS = 10
HEIGHT, WIDTH = 32, 16 * BITS


def numbered_frame(number, height=HEIGHT):
    bits = [(number >> bit) & 1 for bit in range(BITS)]
    row = np.repeat(np.array(bits, dtype=np.uint8) * 215 + 20, 16)
    return np.repeat(np.broadcast_to(row, (height, WIDTH))[..., None], 3, axis=-1).copy()


def number_of(frame):
    return sum(1 << bit for bit in range(BITS) if frame[8:-8, 16 * bit + 4 : 16 * bit + 12].mean() > 128)


def numbers_of(frames):
    return [number_of(frame) for frame in frames]


def write_numbered(path, numbers, *, fps=10, codec="libx264", options=None, times=None, format=None):
    """Write frames with these numbers on them; `times` are their times in frames, if not 0, 1, 2 ..."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options_of_file = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    with kept_priority(), av.open(path, "w", format=format, options=options_of_file) as container:
        stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001), options=options or {"g": "10"})
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000 * fps)
        for position, number in enumerate(numbers):
            frame = av.VideoFrame.from_ndarray(numbered_frame(number), format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = round(times[position] * 1000), Fraction(1, 1000 * fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def read_elsewhere(reader, path, start, stop, queue):
    """What another process runs: a module of its own, because a new process imports it by name."""
    queue.put(numbers_of(reader.read(path, start, stop)))
