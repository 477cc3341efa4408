"""The demo: a learned simulator plays the same actions as the real one, from a start that it was never trained on.

Four stages: 64 actions in the real simulator, the same in the learned one, the actions read back off the real frames,
and one policy run that follows a sentence. The pictures are in `demo_pictures` and `demo_plots`.
"""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.benchmarks.block_position import block_errors
from cosmos_robot.benchmarks.demo_episode import demo_window
from cosmos_robot.benchmarks.demo_pictures import Strip, contact_sheet, difference, side_by_side, write_gif
from cosmos_robot.benchmarks.demo_plots import plot_actions, plot_errors
from cosmos_robot.benchmarks.demo_policy import PolicyRun, run_policy
from cosmos_robot.benchmarks.pusher_position import NOT_FOUND_ERROR, PositionError, position_errors
from cosmos_robot.benchmarks.pusht_windows import HeldOutWindow
from cosmos_robot.datasets.video import write_video
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.training.autoencoder_check import frame_psnr
from cosmos_robot.training.pusht_recording import FPS, FRAME_SIZE
from cosmos_robot.types import FloatArray, Frames, Progress

CHUNK = 16
STAGES = 5
_POLICY_SEEDS = 10_000
"""How far the policy's starts are from those of the rollouts."""
_TABLE_TO_FRAME = FRAME_SIZE / 512.0


class Reporter(Protocol):
    """Told how far the demo is."""

    def start(self, description: str) -> None:
        """A stage begins."""

    def step(self, done: int, total: int) -> None:
        """So many of its denoising steps are done."""

    def finish(self, stages: int) -> None:
        """So many more stages are over."""


@dataclass(frozen=True)
class RolloutFigures:
    """The learned frames 1..64 against the simulator's.

    Attributes:
        psnr: mean over the frames, dB; equal frames count as 60.
        psnr_copied: of repeating the first frame.
        psnr_by_step: for each frame.
        psnr_copied_by_step: for each frame.
        position: of the pusher, in pixels of a 96 px frame.
        position_by_step: for each frame; 96 where no pusher is found.
        block: of the T's centre, likewise.
        block_by_step: for each frame; 96 where no T is found.
    """

    psnr: float
    psnr_copied: float
    psnr_by_step: list[float]
    psnr_copied_by_step: list[float]
    position: PositionError
    position_by_step: list[float]
    block: PositionError
    block_by_step: list[float]


@dataclass(frozen=True)
class InverseFigures:
    """The actions read off the simulator's frames.

    Attributes:
        r2: coefficient of determination of each channel; None where the true channel does not vary.
        mean_error: mean distance between the read and the true target, in table pixels (512).
    """

    r2: list[float | None]
    mean_error: float


@dataclass(frozen=True)
class PolicyFigures:
    """What the policy reached in the real simulator.

    Attributes:
        environment_seed: of its start.
        prompt: what it was told.
        way: how far the T went in the direction, in pixels of a 96 px frame.
        reached: at least 10 px, within 45 degrees.
    """

    environment_seed: int
    prompt: str
    way: float
    reached: bool


@dataclass(frozen=True)
class DemoFigures:
    """All figures, as `metrics.json` holds them.

    Attributes:
        checkpoint: what was asked for.
        environment_seed: of the rollout's start; from 1,000,000 up no model is trained on it.
        seed: of the demo and of the model's noise.
        num_steps: denoising steps; None is the checkpoint's default.
        rollout: 64 actions.
        inverse: the same actions, read.
        policy: one run.
        seconds: by stage.
    """

    checkpoint: str
    environment_seed: int
    seed: int
    num_steps: int | None
    rollout: RolloutFigures
    inverse: InverseFigures
    policy: PolicyFigures
    seconds: dict[str, float]


@dataclass(frozen=True)
class DemoRun:
    """What the world model and the simulator gave, before anything is drawn.

    Attributes:
        window: what the simulator did.
        learned: uint8 `[65, 96, 96, 3]`: what the model made of the same actions.
        read: float32 `[64, 2]`: what it read off the simulator's frames, in table pixels.
        policy: the run after a sentence.
    """

    window: HeldOutWindow
    learned: Frames
    read: FloatArray
    policy: PolicyRun


def run_demo(
    model: WorldModel, out: Path, reporter: Reporter, *, checkpoint: str, seed: int = 0, num_steps: int | None = None
) -> DemoFigures:
    """Run all stages and write everything into `out`.

    Args:
        model: any that knows Push-T at 96x96.
        out: folder; made if it is not there.
        reporter: told of the progress.
        checkpoint: the model's name, for the record.
        seed: which demo, and the model's noise.
        num_steps: denoising steps; None takes the checkpoint's default.

    Raises:
        InvalidInputError: if the model answers with frames of another size than the simulator's, or the seed is
            negative.
        MissingDependencyError: where an extra is not installed; see `cosmos_robot.cli.demo`.
    """
    out.mkdir(parents=True, exist_ok=True)
    clock = _Clock(reporter)
    window = clock.stage("playing 64 actions in the simulator", lambda _: demo_window(seed))
    learned = clock.stage("the same in the learned model", lambda bar: _play(model, window, seed, num_steps, bar))
    read = clock.stage("reading the actions back", lambda bar: _read(model, window, seed, num_steps, bar))
    start = window.seed + _POLICY_SEEDS
    policy = clock.stage(
        "following a sentence",
        lambda bar: run_policy(model, start, seed=seed, num_steps=num_steps, progress=bar),
    )
    run = DemoRun(window, learned, read, policy)
    rollout = _rollout_figures(run)
    clock.stage("drawing", lambda _: draw(run, rollout, out))
    figures = DemoFigures(
        checkpoint=checkpoint,
        environment_seed=window.seed,
        seed=seed,
        num_steps=num_steps,
        rollout=rollout,
        inverse=_inverse_figures(read, window.actions),
        policy=PolicyFigures(
            policy.environment_seed, policy.prompt, round(float(policy.way[-1]) * _TABLE_TO_FRAME, 2), policy.reached
        ),
        seconds=clock.seconds,
    )
    (out / "metrics.json").write_text(json.dumps(asdict(figures), indent=2) + "\n")
    return figures


def draw(run: DemoRun, figures: RolloutFigures, out: Path) -> None:
    """Write every picture of a run into `out`; see `FILES`."""
    window, policy = run.window, run.policy
    real, learned = Strip("simulator", window.frames), Strip("learned model", run.learned)
    pair = side_by_side(
        real,
        learned,
        targets=window.actions,
        notes=["the same first frame", *_error_notes(figures)],
        chunk=CHUNK,
        cross="where both pushers are sent",
        gap="gap: the model goes on from its own frame",
    )
    write_video(out / "side_by_side.mp4", pair, FPS)
    write_gif(out / "side_by_side.gif", pair, FPS)
    apart = Strip("difference\n(white: none)", difference(window.frames, run.learned))
    title = f"64 actions in the simulator and in the learned model, in chunks of {CHUNK}; held-out start {window.seed}"
    contact_sheet([real, learned, apart], every=8, chunk=CHUNK, title=title).save(out / "contact_sheet.png")
    plot_errors(
        out / "errors.png",
        psnr=np.array(figures.psnr_by_step),
        copied=np.array(figures.psnr_copied_by_step),
        positions={"pusher": np.array(figures.position_by_step), "T": np.array(figures.block_by_step)},
        chunk=CHUNK,
    )
    plot_actions(out / "actions.png", frame=window.frames[0], true=window.actions, read=run.read, chunk=CHUNK)
    _draw_policy(policy, out)


FILES = {
    "side_by_side.mp4": "the simulator and the learned model",
    "side_by_side.gif": "the same for a page",
    "contact_sheet.png": "the same as single frames, with their difference",
    "errors.png": "PSNR, and how far the pusher and the T are off, over the actions",
    "actions.png": "actions read back, over the true ones",
    "policy.mp4": "the policy in the simulator, and what it imagined",
    "policy.png": "the same as single frames",
    "metrics.json": "all figures",
}
"""What lies in the folder."""


def table(figures: DemoFigures) -> list[tuple[str, str]]:
    """Rows of (what, figure)."""
    rollout, inverse, policy = figures.rollout, figures.inverse, figures.policy
    position = rollout.position
    r2 = ", ".join(
        f"{axis} {'undefined' if value is None else f'{value:.3f}'}"
        for axis, value in zip("xy", inverse.r2, strict=True)
    )
    return [
        ("64 chained actions, mean PSNR", f"{rollout.psnr:.2f} dB"),
        ("first frame copied, mean PSNR", f"{rollout.psnr_copied:.2f} dB"),
        ("at the last action", f"{rollout.psnr_by_step[-1]:.2f} dB (copied {rollout.psnr_copied_by_step[-1]:.2f})"),
        ("pusher's position error, median", _off(position.median, "px of 96")),
        ("pusher found in", f"{100 * position.found:.0f} % of the frames"),
        ("T's position error, median", _off(rollout.block.median, "px of 96")),
        ("T found in", f"{100 * rollout.block.found:.0f} % of the frames"),
        ("actions read back, R2", r2),
        ("actions read back, mean error", f"{inverse.mean_error:.1f} px of 512"),
        (f'policy, "{policy.prompt}"', f"T moved {policy.way:+.1f} px of 96, {_reached(policy.reached)}"),
    ]


def _off(error: float, unit: str) -> str:
    return "not found in most frames" if error >= NOT_FOUND_ERROR else f"{error:.2f} {unit}"


def _reached(reached: bool) -> str:
    return "reached" if reached else "not reached"


class _Clock:
    """Runs stages, tells of them, and keeps how long each took."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self.seconds: dict[str, float] = {}

    def stage[Result](self, name: str, work: "_Work[Result]") -> Result:
        self.reporter.start(name)
        began = time.monotonic()
        result = work(self.reporter.step)
        self.seconds[name] = round(time.monotonic() - began, 2)
        self.reporter.finish(1)
        return result


class _Work[Result](Protocol):
    def __call__(self, bar: Progress, /) -> Result: ...


def _play(model: WorldModel, window: HeldOutWindow, seed: int, num_steps: int | None, bar: Progress) -> Frames:
    answer = model.rollout(
        window.frames[0], window.actions, domain="pusht", seed=seed, num_steps=num_steps, progress=bar
    )
    frames = answer.frames
    if frames is None or frames.shape != window.frames.shape:
        size = "no frames" if frames is None else f"frames of {frames.shape[1]}x{frames.shape[2]} (HxW)"
        raise InvalidInputError(
            f"the demo compares frames of {FRAME_SIZE}x{FRAME_SIZE}; this checkpoint answers with {size}. "
            f"Take one with that native canvas, such as the embedded one."
        )
    return frames


def _read(model: WorldModel, window: HeldOutWindow, seed: int, num_steps: int | None, bar: Progress) -> FloatArray:
    starts = range(0, len(window.actions), CHUNK)
    clips = [window.frames[start : start + CHUNK + 1] for start in starts]
    answers = model.inverse_dynamics(
        clips, domain="pusht", action_chunk_size=CHUNK, seed=seed, num_steps=num_steps, progress=bar
    )
    return np.concatenate([answer.actions for answer in answers])


def _rollout_figures(run: DemoRun) -> RolloutFigures:
    truth = run.window.frames
    psnr = frame_psnr(run.learned, truth)[1:]
    copied = frame_psnr(np.broadcast_to(truth[:1], truth.shape), truth)[1:]
    position = position_errors(run.learned[1:], run.window.agent[1:])
    block = block_errors(run.learned[1:], run.window.block[1:])
    return RolloutFigures(
        psnr=round(float(psnr.mean()), 4),
        psnr_copied=round(float(copied.mean()), 4),
        psnr_by_step=_rounded(psnr),
        psnr_copied_by_step=_rounded(copied),
        position=PositionError.of(position),
        position_by_step=_rounded(position),
        block=PositionError.of(block),
        block_by_step=_rounded(block),
    )


def _inverse_figures(read: FloatArray, true: FloatArray) -> InverseFigures:
    residual = np.square(read - true).sum(0)
    spread = np.square(true - true.mean(0)).sum(0)
    r2 = [round(float(1.0 - left / of), 4) if of > 0 else None for left, of in zip(residual, spread, strict=True)]
    return InverseFigures(r2=r2, mean_error=round(float(np.linalg.norm(read - true, axis=-1).mean()), 4))


def _error_notes(figures: RolloutFigures) -> list[str]:
    notes = []
    for psnr, *off in zip(figures.psnr_by_step, figures.position_by_step, figures.block_by_step, strict=True):
        where = ", ".join(f"{name} {_px(error)}" for name, error in zip(("pusher", "T"), off, strict=True))
        notes.append(f"{where}; {psnr:.1f} dB")
    return notes


def _px(error: float) -> str:
    return "not found" if error >= NOT_FOUND_ERROR else f"{error:.1f} px off"


def _draw_policy(policy: PolicyRun, out: Path) -> None:
    real, imagined = Strip("simulator", policy.frames), Strip("imagined", policy.imagined)
    notes = [f'"{policy.prompt}": T moved {way * _TABLE_TO_FRAME:+.0f} px' for way in policy.way]
    pair = side_by_side(
        real,
        imagined,
        targets=policy.actions,
        notes=notes,
        chunk=policy.replan_every,
        cross="where the policy sends the pusher",
        gap="gap: it looks at the simulator again",
    )
    write_video(out / "policy.mp4", pair, FPS)
    title = f'Policy, told to "{policy.prompt}"; it looks again after every {policy.replan_every} actions'
    contact_sheet([real, imagined], every=8, chunk=policy.replan_every, title=title).save(out / "policy.png")


def _rounded(values: NDArray[np.floating]) -> list[float]:
    return [round(float(value), 4) for value in values]
