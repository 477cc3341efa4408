"""How well a world model plays Push-T: forward dynamics, its control, inverse dynamics, and chained rollouts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.benchmarks.block_position import block_errors
from cosmos_robot.benchmarks.metrics_actions import r_squared
from cosmos_robot.benchmarks.metrics_frames import psnr_of_frames
from cosmos_robot.benchmarks.pusher_position import NOT_FOUND_ERROR, PositionError, position_errors
from cosmos_robot.benchmarks.pusht_windows import HeldOutWindow
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.types import Rollout


@dataclass(frozen=True)
class ForwardScores:
    """Forward dynamics against the simulator; PSNR in dB, frames 1..T.

    Attributes:
        psnr: with the true actions, averaged over steps and windows.
        psnr_copied: of repeating the first frame.
        psnr_shuffled: with the actions of another episode.
        psnr_by_step: with the true actions, for each step.
        psnr_copied_by_step: of repeating the first frame, for each step.
        psnr_shuffled_by_step: with another episode's actions, for each step.
        position: of the pusher in the generated frames, in pixels of 96.
        position_by_step: its median for each step.
        block: of the T's centre in the generated frames, likewise.
        block_by_step: its median for each step.
        block_copied: of the T where the first frame is repeated.
    """

    psnr: float
    psnr_copied: float
    psnr_shuffled: float
    psnr_by_step: list[float]
    psnr_copied_by_step: list[float]
    psnr_shuffled_by_step: list[float]
    position: PositionError
    position_by_step: list[float]
    block: PositionError
    block_by_step: list[float]
    block_copied: PositionError


@dataclass(frozen=True)
class InverseScores:
    """Inverse dynamics against the actions that were taken.

    Attributes:
        r2: coefficient of determination of each channel.
        r2_of_place: what taking the pusher's true place after each action for the action gives: no model at all.
        mean_error: mean distance between the read and the true target, in table pixels (512).
    """

    r2: list[float]
    r2_of_place: list[float]
    mean_error: float


@dataclass(frozen=True)
class RolloutScores:
    """Chained rollouts: means over windows for each step, PSNR in dB and median position errors in pixels of 96.

    Attributes:
        psnr_by_step: of the generated frames.
        psnr_copied_by_step: of repeating the first frame.
        position_by_step: of the pusher.
        block_by_step: of the T.
        block_found_by_step: share of the windows in which there is a T.
    """

    psnr_by_step: list[float]
    psnr_copied_by_step: list[float]
    position_by_step: list[float]
    block_by_step: list[float]
    block_found_by_step: list[float]


def forward_scores(
    model: WorldModel, windows: Sequence[HeldOutWindow], *, num_steps: int | None = None
) -> ForwardScores:
    """Play every window with its own actions and with those of the next one."""
    made = _play(model, windows, [window.actions for window in windows], num_steps)
    others = [windows[(i + 1) % len(windows)].actions for i in range(len(windows))]
    shuffled = _play(model, windows, others, num_steps)
    truth = np.stack([window.frames for window in windows])
    copied = np.broadcast_to(truth[:, :1], truth.shape)
    psnr, control, copy = (_psnr(frames, truth) for frames in (made, shuffled, copied))
    errors, blocks = _positions(made, windows), _blocks(made, windows)
    return ForwardScores(
        psnr=float(psnr.mean()),
        psnr_copied=float(copy.mean()),
        psnr_shuffled=float(control.mean()),
        psnr_by_step=_rounded(psnr.mean(0)),
        psnr_copied_by_step=_rounded(copy.mean(0)),
        psnr_shuffled_by_step=_rounded(control.mean(0)),
        position=PositionError.of(errors),
        position_by_step=_rounded(np.median(errors, axis=0)),
        block=PositionError.of(blocks),
        block_by_step=_rounded(np.median(blocks, axis=0)),
        block_copied=PositionError.of(_blocks(copied, windows)),
    )


def inverse_scores(
    model: WorldModel, windows: Sequence[HeldOutWindow], *, num_steps: int | None = None
) -> InverseScores:
    """Read the actions of every window off its frames."""
    answers = model.inverse_dynamics([window.frames for window in windows], domain="pusht", num_steps=num_steps)
    read = np.stack([answer.actions for answer in answers])
    true = np.stack([window.actions for window in windows])
    place = np.stack([window.agent[1:] for window in windows])
    r2, of_place = (
        np.array(r_squared(one.reshape(-1, 2), true.reshape(-1, 2)), dtype=np.float64) for one in (read, place)
    )
    return InverseScores(
        r2=_rounded(r2), r2_of_place=_rounded(of_place), mean_error=float(np.linalg.norm(read - true, axis=-1).mean())
    )


def rollout_scores(
    model: WorldModel, windows: Sequence[HeldOutWindow], *, num_steps: int | None = None
) -> RolloutScores:
    """Play long windows, chunk after chunk on the last generated frame."""
    answers = model.rollout(
        [window.frames[0] for window in windows],
        [window.actions for window in windows],
        domain="pusht",
        num_steps=num_steps,
    )
    made, truth = _frames(answers), np.stack([window.frames for window in windows])
    copied, blocks = np.broadcast_to(truth[:, :1], truth.shape), _blocks(made, windows)
    return RolloutScores(
        psnr_by_step=_rounded(_psnr(made, truth).mean(0)),
        psnr_copied_by_step=_rounded(_psnr(copied, truth).mean(0)),
        position_by_step=_rounded(np.median(_positions(made, windows), axis=0)),
        block_by_step=_rounded(np.median(blocks, axis=0)),
        block_found_by_step=_rounded((blocks < NOT_FOUND_ERROR).mean(axis=0)),
    )


def _play(
    model: WorldModel,
    windows: Sequence[HeldOutWindow],
    actions: Sequence[NDArray[np.float32]],
    num_steps: int | None,
) -> NDArray[np.uint8]:
    observations = [window.frames[0] for window in windows]
    return _frames(model.forward_dynamics(observations, list(actions), domain="pusht", num_steps=num_steps))


def _frames(answers: Sequence[Rollout]) -> NDArray[np.uint8]:
    return np.stack([answer.frames for answer in answers if answer.frames is not None])


def _psnr(made: NDArray[np.uint8], truth: NDArray[np.uint8]) -> NDArray[np.float64]:
    """PSNR `[B, T]` in dB of steps 1..T of clips `[B, T + 1, H, W, 3]`."""
    return np.array([psnr_of_frames(one[1:], other[1:]) for one, other in zip(made, truth, strict=True)])


def _positions(made: NDArray[np.uint8], windows: Sequence[HeldOutWindow]) -> NDArray[np.float64]:
    return np.stack(
        [position_errors(frames[1:], window.agent[1:]) for frames, window in zip(made, windows, strict=True)]
    )


def _blocks(made: NDArray[np.uint8], windows: Sequence[HeldOutWindow]) -> NDArray[np.float64]:
    return np.stack([block_errors(frames[1:], window.block[1:]) for frames, window in zip(made, windows, strict=True)])


def _rounded(values: NDArray[np.floating]) -> list[float]:
    return [round(float(value), 4) for value in values]
