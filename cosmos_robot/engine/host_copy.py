"""Frames from the device to the host, while the device goes on decoding.

A copy of a few frames is queued on a stream of its own, into memory that the device can write to by itself (pinned), as
soon as they are decoded. The host waits once, at the end.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from cosmos_robot.types import FloatArray, Frames


def to_uint8(frames: Tensor) -> Tensor:
    """Round frames in [0, 1] to uint8, on their device."""
    return (frames * 255).round_().to(torch.uint8)


def collect(pieces: Iterable[Tensor], *, as_float: bool, overlap: bool = True) -> list[Frames | FloatArray]:
    """Bring a batch of streamed frames to the host.

    Args:
        pieces: float32 `[B, t, H, W, 3]` in [0, 1], one after another in time.
        as_float: keep float32 instead of rounding to uint8.
        overlap: copy while the next piece is computed; without it the host waits for each.

    Returns:
        For each of the B items `[T, H, W, 3]`.
    """
    copies: list[Tensor] = []
    stream: torch.cuda.Stream | None = None
    for piece in pieces:
        frames = piece if as_float else to_uint8(piece)
        if frames.device.type != "cuda" or not overlap:
            copies.append(frames.cpu())
            continue
        if stream is None:
            stream = torch.cuda.Stream(frames.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(frames.device))
        copy = torch.empty(frames.shape, dtype=frames.dtype, pin_memory=True)
        with torch.cuda.stream(stream):
            copy.copy_(frames, non_blocking=True)
        frames.record_stream(stream)  # its memory is not given to another tensor before the copy is done
        copies.append(copy)
    if stream is not None:
        stream.synchronize()
    whole = np.concatenate([copy.numpy() for copy in copies], axis=1)
    return list(whole)
