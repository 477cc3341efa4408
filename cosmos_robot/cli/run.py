"""`cosmos-robot run`: the field's own JSON samples, each into a folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cosmos_robot.cli.settings import (
    CheckpointOption,
    DeviceOption,
    DtypeOption,
    OverwriteOption,
    ReasonerKeyOption,
    ReasonerModelOption,
    ReasonerUrlOption,
    SafetyOption,
)

if TYPE_CHECKING:
    from cosmos_robot.cli.runner import Result

SOME_FAILED = 1


def run(
    *,
    samples: Annotated[Path, typer.Argument(help="A .jsonl file, or a .json file with one sample or a list.")],
    out: Annotated[Path, typer.Option(help="Folder for the samples' folders.")] = Path("outputs"),
    checkpoint: CheckpointOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    batch_size: Annotated[
        int, typer.Option(min=1, help="How many consecutive samples of one kind share a generation.")
    ] = 1,
    reasoner_url: ReasonerUrlOption = None,
    reasoner_model: ReasonerModelOption = None,
    reasoner_key_env: ReasonerKeyOption = None,
    safety: SafetyOption = "off",
    overwrite: OverwriteOption = False,
) -> None:
    """Generate every sample of a file in the field's own JSON.

    Relative paths in it are relative to the file; actions are in model space unless a sample says otherwise.
    All samples are checked before anything is generated. What is finished is skipped when the command is run
    again.

    Exit status: 0; 1 if samples failed while they were generated; 2 if the input cannot be used; 130 after
    Ctrl-C.
    """
    from cosmos_robot.cli.model_choice import ModelChoice
    from cosmos_robot.cli.runner import Job, generate
    from cosmos_robot.cli.sample_files import read_samples

    jobs = [Job(sample, out / sample.name) for sample in read_samples(samples)]
    model = ModelChoice(checkpoint, device, dtype, safety, reasoner_url, reasoner_model, reasoner_key_env)
    results = generate(jobs, model, overwrite=overwrite, batch_size=batch_size)
    Console().print(_table(results))
    failed = [result for result in results if result.error is not None]
    for result in failed:
        typer.echo(f"error: {result.job.sample.name}: {result.error}", err=True)
    if failed:
        raise typer.Exit(SOME_FAILED)


def _table(results: "list[Result]") -> Table:
    table = Table("sample", "status", "seconds", "folder", box=None, pad_edge=False)
    for result in results:
        seconds = "" if result.seconds is None else f"{result.seconds:.1f}"
        folder = "" if result.error else str(result.job.folder)
        # Text, because rich would read a bracket in a name as its markup.
        table.add_row(*map(Text, (result.job.sample.name, result.status, seconds, folder)))
    return table
