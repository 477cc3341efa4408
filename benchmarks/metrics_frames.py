"""How like two clips are, frame by frame: PSNR and SSIM (scikit-image), over the whole frame and where it moves."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.benchmarks.needed_packages import needed
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.types import Frames

PSNR_LIMIT = 60.0
"""dB that a frame without any error counts as, and the most that any frame does: infinity has no mean."""

MOVING_THRESHOLD = 8
"""Difference to the first frame, of 255 in any channel, above which a true pixel counts as moving.

Above the noise of a compressed video, below any object on its background.
"""

type Curve = list[float | None]
"""A figure for each step 1..T; None where there is nothing to measure."""


@dataclass(frozen=True)
class FrameFigures:
    """Figures of steps 1..T; the conditioning frame is left out, because it would flatter.

    Attributes:
        psnr: dB.
        ssim: Wang et al. 2004: Gaussian window of sigma 1.5, mean over channels.
        psnr_moving: dB over the moving pixels; None where nothing moves.
        ssim_moving: mean of the SSIM map over the same pixels.
    """

    psnr: list[float]
    ssim: Curve
    psnr_moving: Curve
    ssim_moving: Curve


def moving_region(truth: Frames) -> NDArray[np.bool_]:
    """Pixels `[T + 1, H, W]` of a true clip that differ from its first frame: where something came, and where it was.

    Args:
        truth: uint8 `[T + 1, H, W, 3]`.
    """
    apart = np.abs(truth.astype(np.int16) - truth[:1]).max(axis=-1)
    region: NDArray[np.bool_] = apart > MOVING_THRESHOLD
    return region


def frame_figures(frames: Frames, truth: Frames) -> FrameFigures:
    """Compare clips `[T + 1, H, W, 3]`, uint8.

    Raises:
        InvalidInputError: if their shapes differ.
        MissingDependencyError: if scikit-image is not installed.
    """
    if frames.shape != truth.shape:
        raise InvalidInputError(f"clips of one shape are compared; got {frames.shape} and {truth.shape}.")
    region = moving_region(truth)
    steps = range(1, len(truth))
    maps = [_ssim(frames[i], truth[i]) for i in steps]
    return FrameFigures(
        psnr=psnr_of_frames(frames[1:], truth[1:]),
        ssim=[whole for whole, _ in maps],
        psnr_moving=[_psnr(frames[i][region[i]], truth[i][region[i]]) if region[i].any() else None for i in steps],
        ssim_moving=[float(maps[i - 1][1][region[i]].mean()) if region[i].any() else None for i in steps],
    )


def psnr_of_frames(frames: Frames, truth: Frames) -> list[float]:
    """PSNR in dB of each of the frames uint8 `[N, H, W, 3]`."""
    return [_psnr(given.reshape(-1), true.reshape(-1)) for given, true in zip(frames, truth, strict=True)]


def _psnr(given: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    metrics = needed("skimage.metrics")
    with np.errstate(divide="ignore"):
        value = metrics.peak_signal_noise_ratio(truth, given, data_range=255)
    return float(min(value, PSNR_LIMIT))


def _ssim(given: Frames, truth: Frames) -> tuple[float, NDArray[np.float64]]:
    """SSIM of a frame, and its map `[H, W]`, the mean over the channels."""
    whole, full = needed("skimage.metrics").structural_similarity(
        truth,
        given,
        data_range=255,
        channel_axis=-1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    return float(whole), full.mean(axis=-1)
