"""The published golden gates: what a sample of the field's own JSON says its answer must reach.

`extra.golden_psnr_min` (forward dynamics, 14 dB in the published samples) is held against the rest of the video that
the first frame was taken from, `extra.golden_mse_max` (inverse dynamics and policy, 0.05) against the recorded actions
of `action_path`, in model space. The samples and the figures are cosmos-framework's (`inputs/omni/action_*.json`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cosmos_robot.benchmarks.metrics_frames import frame_figures
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.types import Frames

PSNR_KEY, MSE_KEY = "golden_psnr_min", "golden_mse_max"


@dataclass(frozen=True)
class Gate:
    """One gate and what was reached.

    Attributes:
        name: of the sample.
        figure: what is measured.
        wanted: the bound.
        measured: what was reached.
    """

    name: str
    figure: str
    wanted: float
    measured: float

    @property
    def passed(self) -> bool:
        """Whether the bound is kept; one that is just reached is."""
        return self.measured >= self.wanted if self.figure == PSNR_KEY else self.measured <= self.wanted


def gates_of(extra: Mapping[str, Any]) -> dict[str, float]:
    """The gates that a sample defines.

    Raises:
        InvalidInputError: if one is no number.
    """
    found = {key: extra[key] for key in (PSNR_KEY, MSE_KEY) if extra.get(key) is not None}
    for key, value in found.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidInputError(f"{key} must be a number; got {value!r}.")
    return {key: float(value) for key, value in found.items()}


def psnr_gate(name: str, wanted: float, frames: Frames, truth: Frames) -> Gate:
    """Hold imagined frames uint8 `[T + 1, H, W, 3]` against those of the video, at the imagined size.

    Raises:
        InvalidInputError: if the video is shorter, or of another size.
    """
    if len(truth) < len(frames):
        raise InvalidInputError(f"{name}: the video has {len(truth)} frames, the answer {len(frames)}.")
    figures = frame_figures(frames, truth[: len(frames)]).psnr
    return Gate(name, PSNR_KEY, wanted, float(np.mean([value for value in figures if value is not None])))


def mse_gate(name: str, wanted: float, given: ArrayLike, recorded: ArrayLike) -> Gate:
    """Hold actions `[T, D]` against the recorded ones, both in model space; padding beyond D is left out.

    Raises:
        InvalidInputError: if the recording has fewer actions or channels.
    """
    answer, truth = np.asarray(given, dtype=np.float64), np.asarray(recorded, dtype=np.float64)
    if truth.ndim != 2 or truth.shape[0] < answer.shape[0] or truth.shape[1] < answer.shape[1]:
        raise InvalidInputError(
            f"{name}: {answer.shape[0]} actions of {answer.shape[1]} channels were answered; "
            f"recorded are {truth.shape}."
        )
    error = np.square(answer - truth[: answer.shape[0], : answer.shape[1]]).mean()
    return Gate(name, MSE_KEY, wanted, float(error))
