"""LPIPS and FVD: learned figures of likeness, where the weights of their networks are at hand.

Nothing is downloaded: a run overnight must not fail, or change its figures, with somebody's server.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.benchmarks.metrics_frames import Curve
from cosmos_robot.benchmarks.needed_packages import needed
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.types import Frames

ALEXNET = "alexnet-owt-7be5be79.pth"
"""The file of torchvision's AlexNet in torch's cache, on which LPIPS stands."""

_LEAST = 64  # pixels; AlexNet's strides leave nothing of a smaller picture


def lpips_absent(height: int, width: int) -> str | None:
    """Why LPIPS of frames of a size cannot be measured here, or None."""
    import torch

    if min(height, width) < _LEAST:
        return f"LPIPS needs pictures of at least {_LEAST} pixels; these are {height}x{width} (HxW)."

    path = Path(torch.hub.get_dir()) / "checkpoints" / ALEXNET
    if path.is_file():
        return None
    how = "torchvision.models.alexnet(weights='DEFAULT') puts them there"
    return f"AlexNet's weights ({ALEXNET}) are not in torch's cache; {how}."


def lpips(frames: Frames, truth: Frames) -> Curve:
    """LPIPS (AlexNet, Zhang et al. 2018; torchmetrics) of steps 1..T of clips uint8 `[T + 1, H, W, 3]`; 0 is alike."""
    import torch

    functional = needed("torchmetrics.functional.image")
    pairs = [torch.from_numpy(clip[1:]).permute(0, 3, 1, 2).float() / 127.5 - 1.0 for clip in (frames, truth)]
    figures = functional.learned_perceptual_image_patch_similarity(*pairs, net_type="alex", reduction="none")
    return [float(value) for value in figures.reshape(-1)]


class VideoFeatures:
    """The features of FVD: an I3D network of Kinetics-400 as TorchScript, as StyleGAN-V publishes it.

    Args:
        weights: `i3d_torchscript.pt`.

    Raises:
        InvalidInputError: if there is no such file.
    """

    def __init__(self, weights: str | Path) -> None:
        import torch

        if not Path(weights).is_file():
            raise InvalidInputError(f"there is no file {weights} with the I3D network that FVD needs.")
        self._network: Any = torch.jit.load(str(weights)).eval()  # type: ignore[no-untyped-call]

    def __call__(self, frames: Frames) -> list[float]:
        """Features of one clip uint8 `[N, H, W, 3]`; I3D wants ten frames at least."""
        import torch

        clip = torch.from_numpy(frames).permute(3, 0, 1, 2)[None].float()
        with torch.no_grad():
            found = self._network(clip, rescale=True, resize=True, return_features=True)
        return [float(value) for value in found.reshape(-1)]


def frechet_distance(given: NDArray[np.floating], truth: NDArray[np.floating]) -> float:
    """Fréchet distance of two sets of features `[n, F]`, which is FVD where they are I3D's.

    `|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))` of means and covariances, Heusel et al. 2017. The last trace is the
    sum of the singular values of `A1' A2` where `S = A A'`: exact, and quick where there are fewer clips than features.

    Raises:
        InvalidInputError: if a set has less than two.
    """
    if min(len(given), len(truth)) < 2:
        raise InvalidInputError(f"FVD compares at least two clips; got {len(given)} and {len(truth)}.")
    one, other = (np.asarray(features, dtype=np.float64) for features in (given, truth))
    roots = [_covariance_root(features) for features in (one, other)]
    shared = np.linalg.svd(roots[0].T @ roots[1], compute_uv=False).sum()
    means = np.square(one.mean(axis=0) - other.mean(axis=0)).sum()
    return float(max(means + sum(np.square(root).sum() for root in roots) - 2.0 * shared, 0.0))


def _covariance_root(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """A matrix `[F, min(n, F)]` whose product with its transpose is the covariance of features `[n, F]`."""
    apart = (features - features.mean(axis=0)) / np.sqrt(len(features) - 1)
    root: Any = np.linalg.qr(apart, mode="r")
    return np.asarray(root, dtype=np.float64).T
