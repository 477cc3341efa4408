"""How far the learned table is from the real one, in figures that a player understands."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from cosmos_robot.envs.pusht_block import find_block
from cosmos_robot.envs.pusht_state import agent_position
from cosmos_robot.serving.play_tables import RealSteps
from cosmos_robot.types import FloatArray, Frames

_LEAST_ERROR = 1e-6
"""Squared error, of 1, that equal frames count as having: 60 dB."""


@dataclass(frozen=True)
class Agreement:
    """The learned table against the real one, after each of T steps.

    Attributes:
        psnr: dB, at most 60.
        pusher: table pixels between the learned pusher and the real one; None where no pusher is to be seen.
    """

    psnr: list[float]
    pusher: list[float | None]


def agreement(learned: Frames, real: RealSteps) -> Agreement:
    """Compare T frames uint8 `[T, H, W, 3]` with what happened; they are scaled to the simulator's size."""
    return Agreement(
        psnr=[_psnr(seen, true) for seen, true in zip(learned, real.frames, strict=True)],
        pusher=[_apart(seen, at) for seen, at in zip(learned, real.pusher, strict=True)],
    )


def seen_coverage(frame: Frames) -> float | None:
    """Share of the goal that the T covers, 0 to 1, as a frame uint8 `[H, W, 3]` shows it; None where there is no T."""
    found = find_block(frame)
    return None if found is None else float(found.coverage)


def _psnr(seen: Frames, true: Frames) -> float:
    if seen.shape != true.shape:
        seen = np.asarray(Image.fromarray(seen).resize((true.shape[1], true.shape[0]), Image.Resampling.BOX))
    error = float(np.square((seen.astype(np.float32) - true) / 255.0).mean())
    return float(-10.0 * np.log10(max(error, _LEAST_ERROR)))


def _apart(seen: Frames, at: FloatArray) -> float | None:
    found = agent_position(seen)
    return None if found is None else float(np.linalg.norm(found - at))
