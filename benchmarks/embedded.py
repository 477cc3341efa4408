"""The embedded Push-T model against the real simulator, on episodes that it was never trained on.

    python -m cosmos_robot.benchmarks.embedded [--checkpoint PATH] [--out outputs/embedded]

Writes `embedded.json` and `embedded.md` (the table), and curves over the steps where matplotlib is there. Nothing is
left out where a figure falls short: the table has a column that says so.
"""

import importlib.util
import json
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from cosmos_robot.benchmarks.block_position import block_errors
from cosmos_robot.benchmarks.metrics_frames import psnr_of_frames
from cosmos_robot.benchmarks.pusher_position import PositionError, position_errors
from cosmos_robot.benchmarks.pusht_forward import (
    ForwardScores,
    InverseScores,
    RolloutScores,
    forward_scores,
    inverse_scores,
    rollout_scores,
)
from cosmos_robot.benchmarks.pusht_policy import (
    PolicyScore,
    policy_score,
    prompted,
    push_tasks,
    random_targets,
    unprompted,
)
from cosmos_robot.benchmarks.pusht_windows import HeldOutWindow, held_out_episodes, held_out_windows
from cosmos_robot.benchmarks.weights_digest import weights_digest
from cosmos_robot.engine.checkpoint import CheckpointFacts, ModeSampling
from cosmos_robot.training.autoencoder_check import reconstruct
from cosmos_robot.world_model import EMBEDDED, load_world_model


@dataclass(frozen=True)
class EmbeddedReport:
    """All figures of one checkpoint.

    Attributes:
        checkpoint: where it lies.
        windows: held-out windows, one of each episode.
        weights: digest of the weights.
        num_steps: denoising steps that were asked for; None is the checkpoint's own.
        sampling: the checkpoint's own denoising steps and guidance, by mode.
        detector: the detector of the pusher on the simulator's own frames.
        block_detector: the detector of the T, likewise.
        autoencoder_psnr: of reconstructed 17-frame clips, mean per frame, dB.
        forward: one chunk of 16 actions.
        inverse: the same windows read backwards.
        rollout: 64 chained actions, or None where it was left out.
        policies: by name, or None where they were left out.
        seconds: that the whole took.
    """

    checkpoint: str
    windows: int
    weights: str | None
    num_steps: int | None
    sampling: dict[str, ModeSampling]
    detector: PositionError
    block_detector: PositionError
    autoencoder_psnr: float
    forward: ForwardScores
    inverse: InverseScores
    rollout: RolloutScores | None
    policies: dict[str, PolicyScore] | None
    seconds: float


def measure(
    checkpoint: Path,
    episodes_folder: Path,
    *,
    windows: int = 64,
    tasks: int = 100,
    chunks: int = 8,
    replan_every: int = 8,
    long: bool = True,
    num_steps: int | None = None,
) -> EmbeddedReport:
    """Take all figures of one checkpoint.

    Args:
        checkpoint: folder in the diffusers layout.
        episodes_folder: where held-out recordings are, or are put.
        windows: how many held-out episodes.
        tasks: of the policy; 0 leaves it out.
        chunks: how often the policy looks in each of them, and answers with a chunk of actions.
        replan_every: how many of these are taken.
        long: whether 64-action rollouts are played.
        num_steps: denoising steps; None takes the checkpoint's default.
    """
    began = time.monotonic()
    model = load_world_model(str(checkpoint), device="cpu")
    episodes = held_out_episodes(episodes_folder, windows)
    short, facts = held_out_windows(episodes, 16), CheckpointFacts.read(checkpoint)
    return EmbeddedReport(
        checkpoint=checkpoint.name,
        windows=len(short),
        weights=weights_digest(str(checkpoint)),
        num_steps=num_steps,
        sampling={mode: facts.sampling_of(mode) for mode in ("forward_dynamics", "inverse_dynamics", "policy")},
        detector=PositionError.of(np.stack([position_errors(window.frames, window.agent) for window in short])),
        block_detector=PositionError.of(np.stack([block_errors(window.frames, window.block) for window in short])),
        autoencoder_psnr=autoencoder_psnr(checkpoint, short),
        forward=forward_scores(model, short, num_steps=num_steps),
        inverse=inverse_scores(model, short, num_steps=num_steps),
        rollout=rollout_scores(model, held_out_windows(episodes, 64), num_steps=num_steps) if long else None,
        policies=_policies(model, tasks, chunks, replan_every, num_steps) if tasks else None,
        seconds=round(time.monotonic() - began, 1),
    )


def autoencoder_psnr(checkpoint: Path, windows: list[HeldOutWindow]) -> float:
    """Mean PSNR per frame, in dB, of the windows through the autoencoder and back."""
    import torch
    from diffusers import AutoencoderKLWan

    vae = AutoencoderKLWan.from_pretrained(checkpoint / "vae")
    figures = []
    for window in windows:
        made = reconstruct(vae, torch.from_numpy(window.frames[None]))
        figures.append(psnr_of_frames(made.numpy()[0], window.frames))
    return float(np.mean(figures))


def table(report: EmbeddedReport) -> list[tuple[str, str, str, bool | None]]:
    """Rows of (what, wanted, measured, reached)."""
    forward, position = report.forward, report.forward.position
    above = forward.psnr_by_step[-1] - forward.psnr_copied_by_step[-1]
    listens = forward.psnr - forward.psnr_shuffled
    rows: list[tuple[str, str, str, bool | None]] = [
        ("position detector on real frames, mean", "<= 0.3 px", _px(report.detector), report.detector.mean <= 0.3),
        ("detector of the T on real frames", "", _px(report.block_detector), None),
        ("autoencoder, 17-frame clips", ">= 33 dB", f"{report.autoencoder_psnr:.2f} dB", report.autoencoder_psnr >= 33),
        ("forward dynamics, mean over 16 actions", ">= 30 dB", f"{forward.psnr:.2f} dB", forward.psnr >= 30),
        ("copying the first frame, mean", "", f"{forward.psnr_copied:.2f} dB", None),
        ("forward at step 16 above copying", ">= +4 dB", f"{above:+.2f} dB", above >= 4),
        ("other episode's actions, mean", "3 dB worse", f"{-listens:+.2f} dB", listens >= 3),
        ("pusher position, median", "<= 2 px of 96", _px(position), position.median <= 2),
        ("T position", "", _px(forward.block), None),
        ("T position, first frame copied", "", _px(forward.block_copied), None),
        (
            "inverse dynamics, R2",
            ">= 0.95",
            ", ".join(f"{r:.3f}" for r in report.inverse.r2),
            min(report.inverse.r2) >= 0.95,
        ),
        (
            "the pusher's true place taken for the action, R2",
            "",
            ", ".join(f"{r:.3f}" for r in report.inverse.r2_of_place),
            None,
        ),
    ]
    for name, score in (report.policies or {}).items():
        wanted, reached = (">= 70 %", score.reached >= 0.7) if name == "prompted" else ("", None)
        measured = (
            f"{100 * score.reached:.0f} % "
            f"(at some moment {100 * score.reached_once:.0f} %; T moved in {100 * score.moved:.0f} %)"
        )
        rows.append((f"policy, {name}", wanted, measured, reached))
    if report.rollout is not None:
        curve = report.rollout
        measured = (
            f"{curve.psnr_by_step[-1]:.2f} dB (copied {curve.psnr_copied_by_step[-1]:.2f}), pusher "
            f"{curve.position_by_step[-1]:.2f} px, T {curve.block_by_step[-1]:.2f} px, "
            f"found in {100 * curve.block_found_by_step[-1]:.0f} %"
        )
        rows.append(("64 chained actions, at the last step, medians", "", measured, None))
    return rows


def _px(error: PositionError) -> str:
    return (
        f"median {error.median:.2f}, mean {error.mean:.2f}, 95 % {error.percentile_95:.2f} px, "
        f"found {100 * error.found:.1f} %"
    )


def _policies(model: Any, tasks: int, chunks: int, replan_every: int, num_steps: int | None) -> dict[str, PolicyScore]:
    score = partial(policy_score, tasks=push_tasks(tasks), chunks=chunks, replan_every=replan_every)
    return {
        "prompted": score(prompted(model, num_steps)),
        "no prompt": score(unprompted(model, num_steps)),
        "random": score(random_targets()),
    }


def write(report: EmbeddedReport, out: Path) -> None:
    """Write the report as JSON, as a Markdown table, and as curves."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "embedded.json").write_text(json.dumps(asdict(report), indent=2) + "\n")
    lines = ["| what | wanted | measured | reached |", "|---|---|---|---|"]
    lines += [f"| {a} | {b} | {c} | {_word(d)} |" for a, b, c, d in table(report)]
    (out / "embedded.md").write_text("\n".join(lines) + "\n")
    if importlib.util.find_spec("matplotlib") is not None:
        plot(report, out / "embedded.png")


def plot(report: EmbeddedReport, path: Path) -> None:
    """Draw PSNR and position errors over the steps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    forward, rollout = report.forward, report.rollout
    for name, curve in (
        ("true actions", forward.psnr_by_step),
        ("another episode's", forward.psnr_shuffled_by_step),
        ("first frame copied", forward.psnr_copied_by_step),
        ("chained", rollout.psnr_by_step if rollout else []),
    ):
        left.plot(range(1, len(curve) + 1), curve, label=name)
    left.set(xlabel="action", ylabel="PSNR, dB")
    left.legend()
    right.plot(range(1, len(forward.position_by_step) + 1), forward.position_by_step, label="pusher, one chunk")
    if rollout:
        right.plot(range(1, len(rollout.position_by_step) + 1), rollout.position_by_step, label="pusher, chained")
    right.plot(range(1, len(forward.block_by_step) + 1), forward.block_by_step, label="T, one chunk")
    if rollout:
        right.plot(range(1, len(rollout.block_by_step) + 1), rollout.block_by_step, label="T, chained")
    right.set(xlabel="action", ylabel="position error (median), px of 96")
    right.legend()
    figure.savefig(path, dpi=120)


def _word(reached: bool | None) -> str:
    return "" if reached is None else ("yes" if reached else "no")


def main(
    *,
    checkpoint: Annotated[Path, typer.Option(help="checkpoint folder in the diffusers layout")] = EMBEDDED,
    episodes: Annotated[Path, typer.Option(help="held-out recordings")] = Path("outputs/pusht/held_out"),
    out: Annotated[Path, typer.Option(help="where the report goes")] = Path("outputs/embedded"),
    windows: Annotated[int, typer.Option(help="held-out windows")] = 64,
    tasks: Annotated[int, typer.Option(help="policy tasks; 0 for none")] = 100,
    steps: Annotated[int | None, typer.Option(help="denoising steps; the checkpoint's default if not given")] = None,
    long: Annotated[bool, typer.Option(help="play 64-action rollouts too")] = True,
) -> None:
    """Measure a checkpoint and write the report."""
    report = measure(checkpoint, episodes, windows=windows, tasks=tasks, long=long, num_steps=steps)
    write(report, out)
    shown = Table("what", "wanted", "measured", "reached", title=f"{report.checkpoint}, {report.windows} windows")
    for what, wanted, measured, reached in table(report):
        shown.add_row(what, wanted, measured, _word(reached))
    Console().print(shown)
    Console().print(f"report in {out}")


if __name__ == "__main__":
    typer.run(main)
