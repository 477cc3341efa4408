"""What each preset changes: its answers beside the exact ones, of the same requests and seeds.

    python -m cosmos_robot.benchmarks.preset_error [--checkpoint DIR] [--out presets.json]

Without a checkpoint it is the embedded Push-T model, on starts of the simulator. Beside the error stands what the
preset saves, measured turn by turn; "fp8" is emulated where the device has no 8-bit products, and then has no time. A
checkpoint without a preview decoder is given one for the run, fitted on other starts.
"""

import json
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from cosmos_robot.benchmarks import fit_preview
from cosmos_robot.benchmarks.fit_preview import FIRST_SEED
from cosmos_robot.benchmarks.float8_emulation import emulate_float8
from cosmos_robot.benchmarks.metrics_frames import psnr_of_frames
from cosmos_robot.benchmarks.speed import machine
from cosmos_robot.benchmarks.speed_measure import seconds
from cosmos_robot.engine.checkpoint import load_checkpoint
from cosmos_robot.engine.presets import PRESETS
from cosmos_robot.engine.preview_decoder import FILE
from cosmos_robot.training.pusht_recording import PushTRecording, open_simulator, record_episode
from cosmos_robot.types import FloatArray, Frames
from cosmos_robot.world_model import EMBEDDED, LocalWorldModel

LOSSY = tuple(name for name, preset in PRESETS.items() if not preset.exact)
CHUNK = 16


@dataclass(frozen=True)
class Row:
    """A preset beside the exact answer.

    Attributes:
        preset: its name.
        num_steps: denoising steps that were asked for.
        psnr: dB of its frames beside the exact ones: mean over clips and over their generated frames.
        psnr_worst: of the worst frame.
        psnr_truth: dB beside the simulator's frames.
        psnr_truth_exact: that of the exact answer.
        policy_rms: root mean square of the difference of a policy's actions, in pixels of the table of 512.
        drift: dB of the last frame of each chunk of a chained rollout; empty for previews: nothing goes on from one.
        ratio: exact seconds / its seconds, the median of the rounds; None where it is emulated.
        emulated: whether it ran by emulation.
    """

    preset: str
    num_steps: int
    psnr: float
    psnr_worst: float
    psnr_truth: float
    psnr_truth_exact: float
    policy_rms: float
    drift: list[float]
    ratio: float | None
    emulated: bool


def main(
    *,
    checkpoint: Annotated[Path | None, typer.Option(help="A folder; the embedded model without it.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the rows as JSON.")] = None,
    clips: Annotated[int, typer.Option(min=1, help="Starts that are compared.")] = 8,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of timing.")] = 3,
    num_steps: Annotated[int, typer.Option(min=2, help="Denoising steps of the exact answer.")] = 4,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
    presets: Annotated[str, typer.Option(help="Names, with commas.")] = ",".join(LOSSY),
    fit_clips: Annotated[int, typer.Option(min=2, help="Clips that a preview decoder is fitted on.")] = 64,
) -> None:
    """Compare each preset with the exact answer."""
    torch.set_num_threads(threads)
    names = presets.split(",")
    simulator = open_simulator()
    episodes = [record_episode(simulator, FIRST_SEED + 500 + index, 3 * CHUNK) for index in range(clips)]
    with tempfile.TemporaryDirectory() as scratch:
        folder = checkpoint or EMBEDDED
        if any(PRESETS[name].preview for name in names):
            folder = with_preview(folder, Path(scratch), clips=fit_clips)
        exact = open_preset(folder, "exact")[0]
        measured = [compare(name, folder, exact, episodes, num_steps=num_steps, rounds=rounds) for name in names]
    where = machine(threads)
    Console(width=140).print(as_table(measured, where))
    if out is not None:
        out.write_text(json.dumps({"machine": where, "rows": [asdict(row) for row in measured]}, indent=1))


def with_preview(folder: Path, scratch: Path, *, clips: int) -> Path:
    """A checkpoint that has a preview decoder: itself, or one of links to it with a decoder fitted for the run."""
    if (folder / FILE).is_file():
        return folder
    for part in folder.iterdir():
        (scratch / part.name).symlink_to(part.resolve())
    fit_preview.main(str(folder), "pusht", clips=clips, out=scratch)
    return scratch


def open_preset(folder: Path, name: str) -> tuple[LocalWorldModel, bool]:
    """Load a checkpoint with a preset, and tell whether it is emulated."""
    emulated = PRESETS[name].float8 and not torch.cuda.is_available()
    loaded = load_checkpoint(folder, preset="exact" if emulated else name)
    if emulated:
        emulate_float8(loaded.engine.transformer)
    return LocalWorldModel(loaded), emulated


def compare(
    name: str,
    folder: Path,
    exact: LocalWorldModel,
    episodes: Sequence[PushTRecording],
    *,
    num_steps: int,
    rounds: int,
) -> Row:
    """Ask both for the same."""
    model, emulated = open_preset(folder, name)
    steps = PRESETS[name].num_steps(num_steps)
    ours, theirs = predicted(model, episodes, steps), predicted(exact, episodes, num_steps)
    truths = [episode.frames[: CHUNK + 1] for episode in episodes]
    figures = [psnr_of_frames(a[1:], b[1:]) for a, b in zip(ours, theirs, strict=True)]
    ratios = []
    for _ in range(0 if emulated else rounds):
        slow = seconds(lambda: predicted(exact, episodes, num_steps))
        ratios.append(slow / seconds(lambda: predicted(model, episodes, steps)))
    return Row(
        preset=name,
        num_steps=steps,
        psnr=float(np.mean(figures)),
        psnr_worst=float(np.min(figures)),
        psnr_truth=_psnr(ours, truths),
        psnr_truth_exact=_psnr(theirs, truths),
        policy_rms=float(np.sqrt(np.mean((acted(model, episodes, steps) - acted(exact, episodes, num_steps)) ** 2))),
        drift=[] if PRESETS[name].preview else drift(model, exact, episodes, steps, num_steps),
        ratio=statistics.median(ratios) if ratios else None,
        emulated=emulated,
    )


def predicted(model: LocalWorldModel, episodes: Sequence[PushTRecording], num_steps: int) -> list[Frames]:
    """The frames of one chunk of each episode: uint8 `[17, H, W, 3]`."""
    rollouts = model.forward_dynamics(
        [episode.frames[0] for episode in episodes],
        [episode.actions[:CHUNK] for episode in episodes],
        domain="pusht",
        num_steps=num_steps,
    )
    return [rollout.frames for rollout in rollouts if rollout.frames is not None]


def acted(model: LocalWorldModel, episodes: Sequence[PushTRecording], num_steps: int) -> FloatArray:
    """A policy's actions at each episode's start, in table pixels: `[clips, 16, 2]`."""
    rollouts = model.policy([episode.frames[0] for episode in episodes], domain="pusht", num_steps=num_steps)
    return np.stack([rollout.actions for rollout in rollouts])


def drift(
    model: LocalWorldModel, exact: LocalWorldModel, episodes: Sequence[PushTRecording], steps: int, num_steps: int
) -> list[float]:
    """PSNR of the last frame of each chunk of a chained rollout beside that of the exact one."""

    def chained(asked: LocalWorldModel, count: int) -> list[Frames]:
        rollouts = asked.rollout(
            [episode.frames[0] for episode in episodes],
            [episode.actions[: 3 * CHUNK] for episode in episodes],
            domain="pusht",
            num_steps=count,
        )
        return [rollout.frames_to_go_on_from()[CHUNK::CHUNK] for rollout in rollouts]

    figures = [psnr_of_frames(a, b) for a, b in zip(chained(model, steps), chained(exact, num_steps), strict=True)]
    return [float(figure) for figure in np.mean(figures, axis=0)]


def _psnr(ours: list[Frames], theirs: list[Frames]) -> float:
    return float(np.mean([psnr_of_frames(a[1:], b[1:]) for a, b in zip(ours, theirs, strict=True)]))


def as_table(rows: list[Row], where: dict[str, str]) -> Table:
    """Draw the rows for a person."""
    table = Table("preset", "steps", "dB", "worst frame", "dB to truth (exact)", "policy, px", "drift, dB", "quicker")
    table.title = ", ".join(f"{key} {value}" for key, value in where.items())
    for row in rows:
        truth = f"{row.psnr_truth:.1f} ({row.psnr_truth_exact:.1f})"
        quicker = "emulated" if row.ratio is None else f"{row.ratio:.2f}x"
        drifted = " ".join(f"{value:.1f}" for value in row.drift)
        numbers = f"{row.psnr:.1f}", f"{row.psnr_worst:.1f}", truth, f"{row.policy_rms:.2f}", drifted
        table.add_row(row.preset, str(row.num_steps), *numbers, quicker)
    return table


if __name__ == "__main__":
    typer.run(main)
