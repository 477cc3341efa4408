"""`cosmos-robot train`: post-trains a checkpoint on recorded episodes of a robot."""

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from cosmos_robot.cli.boundary import INTERRUPTED
from cosmos_robot.cli.settings import DeviceOption
from cosmos_robot.errors import MissingDependencyError


def train(
    *,
    checkpoint: Annotated[str, typer.Option(help="Folder or Hub id of the checkpoint to start from.")],
    data: Annotated[
        list[str], typer.Option(help="Recorded data: what `open_episodes` reads, or Push-T shards; may be repeated.")
    ],
    domain: Annotated[str, typer.Option(help="Name or alias of a domain, or the path of a domain file.")],
    out: Annotated[Path, typer.Option(help="Folder for the state, the metrics and the result.")],
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps in all, those before a stop included.")] = 2_000,
    batch: Annotated[int, typer.Option(min=1, help="Windows in a step of forward dynamics; the others follow.")] = 24,
    micro_batch: Annotated[
        int | None, typer.Option(min=1, help="Windows in memory at once.", show_default="the whole batch of a mode")
    ] = None,
    learning_rate: Annotated[float, typer.Option(min=1e-9, help="Its peak.")] = 2e-4,
    lora_rank: Annotated[
        int | None, typer.Option(min=1, help="Train adapters of this rank.", show_default="the weights themselves")
    ] = None,
    action_chunk_size: Annotated[
        int | None, typer.Option(min=4, help="Actions of a window.", show_default="the domain's")
    ] = None,
    camera: Annotated[
        list[str] | None,
        typer.Option(help="Camera of the recordings; may be repeated.", show_default="by the names the domain knows"),
    ] = None,
    stride: Annotated[int, typer.Option(min=1, help="Actions between the starts of two windows.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Of every batch.")] = 0,
    device: DeviceOption = None,
) -> None:
    """Post-train a checkpoint on recorded episodes; run it again to go on after a stop.

    All modes are trained at once. `metrics.jsonl` in the folder grows as it goes. The result is a whole checkpoint, or
    with --lora-rank the adapters alone; --checkpoint of the other commands takes either.
    """
    if lora_rank is not None and importlib.util.find_spec("peft") is None:
        raise MissingDependencyError(
            "--lora-rank needs peft, which is not installed; get it with pip install 'cosmos-robot[train]'."
        )
    from cosmos_robot.domains.registry import get_domain

    robot = get_domain(domain)
    from cosmos_robot.training.fine_tuning import FineTuning, Lora, published_training
    from cosmos_robot.training.from_folders import train_from_folders
    from cosmos_robot.training.schedule import Budget, LearningRate
    from cosmos_robot.training.stop_request import TrainingStopped

    training = published_training(
        Budget(steps=steps),
        learning_rate=LearningRate(learning_rate, warmup_steps=min(200, steps // 10)),
        seed=seed,
        items_at_once=micro_batch,
    )
    config = FineTuning(
        training=training.with_batch(batch),
        lora=None if lora_rank is None else Lora(rank=lora_rank, alpha=2 * lora_rank),
        chunk=action_chunk_size,
        stride=stride,
    )
    try:
        result = train_from_folders(
            checkpoint, data, domain=robot, out=out, config=config, cameras=camera or None, device=device
        )
    except TrainingStopped as stopped:
        typer.echo(str(stopped), err=True)
        raise typer.Exit(INTERRUPTED) from stopped
    typer.echo(f"wrote {result}; use it as --checkpoint {result}")
