"""One sample that was put together from flags, into its folder."""

from pathlib import Path

import typer

from cosmos_robot.cli.media_samples import AnySample
from cosmos_robot.cli.model_choice import ModelChoice
from cosmos_robot.cli.runner import Job, generate


def generate_one(sample: AnySample, folder: Path, model: ModelChoice, *, overwrite: bool) -> None:
    """Generate a sample and say where it lies.

    Raises:
        CosmosRobotError: why it failed.
    """
    [result] = generate([Job(sample, folder)], model, overwrite=overwrite)
    if result.error is not None:
        raise result.error
    if result.seconds is None:
        typer.echo(f"{folder} is finished already; pass --overwrite to generate it again.")
    else:
        typer.echo(f"wrote {folder} in {result.seconds:.1f} s")
