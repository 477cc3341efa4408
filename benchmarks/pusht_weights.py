"""Makes the embedded Push-T model from nothing, measures it, and writes its card.

    python -m cosmos_robot.benchmarks.pusht_weights [--out outputs/pusht] [--workers N] [--hours H] [--install]

Each stage goes on where it was stopped: recordings, autoencoder, cached windows, transformer, checkpoint, measurement.
"""

import json
import os
import platform
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cosmos_robot.benchmarks.embedded import EmbeddedReport, measure, table, write
from cosmos_robot.errors import CheckpointError
from cosmos_robot.training.pusht_model import make_weights
from cosmos_robot.training.pusht_settings import PushTFolders, PushTTraining
from cosmos_robot.training.stop_request import TrainingStopped
from cosmos_robot.world_model import EMBEDDED

CARD = "README.md"
_SIZE_LIMIT = 40_000_000
"""Bytes that the checkpoint may have in the repository and the wheel."""


def model_card(report: EmbeddedReport, settings: PushTTraining, folders: PushTFolders, size: int) -> str:
    """Write the card: what the weights are, what they were made from, and what they reach.

    Args:
        report: measured on held-out episodes.
        settings: of all stages.
        folders: whose `metrics.jsonl` tell the steps and the seconds that each training took.
        size: of the checkpoint, bytes.
    """
    lines = [
        "# The embedded Push-T world model",
        "",
        f"A small checkpoint of Cosmos 3's form ({size / 1e6:.1f} MB, {settings.dtype}), made by `make weights` from "
        f"gym-pusht alone: no published weights are in it.",
        "",
        f"- **Data**: {settings.recordings.episodes} episodes of {settings.recordings.steps} actions by scripted "
        f"pushers, environment seeds from {settings.recordings.first_seed}; 96x96 px, 10 Hz, prompts by hindsight.",
        f"- **Held out**: environment seeds from {settings.held_out.first_seed}; never trained on.",
    ]
    stages = {
        "autoencoder": folders.autoencoder,
        "transformer": folders.transformer,
        "decoder": folders.decoder,
        "transformer, further, on windows too that begin with frames of its own": replace(
            folders, further=True
        ).transformer,
    }
    for name, folder in stages.items():
        if (folder / "metrics.jsonl").is_file():
            last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
            lines.append(f"- **Training, {name}**: {last['step']} steps in {last['elapsed'] / 60:.0f} minutes.")
    lines += [
        f"- **Machine**: {platform.machine()}, {os.cpu_count()} processor cores, {platform.system()}.",
        "",
        f"Measured on {report.windows} held-out episodes, default number of steps:",
        "",
        "| what | wanted | measured | reached |",
        "|---|---|---|---|",
    ]
    for what, wanted, measured, reached in table(report):
        word = "" if reached is None else ("yes" if reached else "no")
        lines.append(f"| {what} | {wanted} | {measured} | {word} |")
    return "\n".join([*lines, ""])


def install(checkpoint: Path, place: Path) -> None:
    """Put a finished checkpoint in the place of the embedded one, whole or not at all.

    Raises:
        CheckpointError: if it is larger than the repository bears.
    """
    size = folder_size(checkpoint)
    if size > _SIZE_LIMIT:
        raise CheckpointError(f"{checkpoint} has {size / 1e6:.1f} MB; the embedded checkpoint may have at most 40.")
    fresh = place.with_name(f".{place.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(checkpoint, fresh)
    if place.exists():
        shutil.rmtree(place)
    fresh.rename(place)


def folder_size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main(
    *,
    out: Annotated[Path, typer.Option(help="where every stage keeps what it makes")] = Path("outputs/pusht"),
    workers: Annotated[int, typer.Option(min=1, help="processes that record")] = 2,
    hours: Annotated[float | None, typer.Option(help="of training, instead of those of the recipe")] = None,
    install_it: Annotated[bool, typer.Option("--install", help="replace the embedded checkpoint")] = False,
) -> None:
    """Make, measure and describe the embedded Push-T model."""
    # gym-pusht draws with pygame, which asks for a display where it is not told that there is none.
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    began, folders, settings = time.monotonic(), PushTFolders(out), PushTTraining()
    if hours is not None:
        settings = settings.in_hours(hours)
    try:
        checkpoint = make_weights(folders, settings, workers=workers)
    except TrainingStopped as stopped:
        typer.echo(str(stopped), err=True)
        raise typer.Exit(130) from stopped
    report = measure(checkpoint, folders.held_out)
    write(report, out / "report")
    (checkpoint / CARD).write_text(model_card(report, settings, folders, folder_size(checkpoint)))
    if install_it:
        EMBEDDED.parent.mkdir(exist_ok=True)
        install(checkpoint, EMBEDDED)
    minutes = (time.monotonic() - began) / 60
    Console().print(f"{EMBEDDED if install_it else checkpoint}, {minutes:.0f} minutes; its card is {CARD} in it")


if __name__ == "__main__":
    typer.run(main)
