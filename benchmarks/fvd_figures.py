"""FVD of a run: each row keeps the features of its clips, and all rows together give the figure."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from cosmos_robot.benchmarks.bootstrap_interval import Statistic
from cosmos_robot.benchmarks.metrics_perceptual import VideoFeatures, frechet_distance
from cosmos_robot.benchmarks.suite import Pooled, Row, key_of
from cosmos_robot.types import Frames

TRUE = "true frames"
FEATURES = "fvd_features"
LEAST_FRAMES = 10
"""Of a clip: fewer are gone before I3D's last pooling, which fails then."""


def clip_features(weights: str | None, shown: Mapping[str, Frames], absent: dict[str, str]) -> dict[str, Any]:
    """The features of a row's clips as figures of it, by variant, `TRUE` among them.

    Args:
        weights: of the I3D network; None gives no features.
        shown: clips uint8 `[N, H, W, 3]`.
        absent: is told why there are none.
    """
    if weights is None:
        absent["fvd"] = "the I3D network was not named (--fvd-weights i3d_torchscript.pt)."
        return {FEATURES: None}
    least = min(len(frames) for frames in shown.values())
    if least < LEAST_FRAMES:
        absent["fvd"] = f"I3D needs clips of at least {LEAST_FRAMES} frames; these have {least}."
        return {FEATURES: None}
    return {FEATURES: {name: _network(weights)(frames) for name, frames in shown.items()}}


def fvd_pooled(rows: Sequence[Row]) -> list[Pooled]:
    """FVD of each variant that is beside the true clips, where there are features."""
    there = {key_of(row): row["figures"][FEATURES] for row in rows if row["figures"].get(FEATURES)}
    if len(there) < 2:
        return []
    variants = next(iter(there.values()))
    return [Pooled("fvd", "", name, False, there, _fvd_of(name)) for name in variants if name != TRUE]


@cache
def _network(weights: str) -> VideoFeatures:
    return VideoFeatures(weights)


def _fvd_of(variant: str) -> Statistic:
    def measure(rows: Sequence[Mapping[str, list[float]]]) -> float | None:
        given, truth = (np.array([row[name] for row in rows]) for name in (variant, TRUE))
        return frechet_distance(given, truth) if len(rows) > 1 else None

    return measure
