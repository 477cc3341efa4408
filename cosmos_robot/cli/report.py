"""`cosmos-robot report`: one page of one or more benchmark runs, computed from their rows."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    *,
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs of one suite; the first is compared with.")],
    out: Annotated[Path, typer.Option(help="The page; its tables are put beside it as .md and .json.")] = Path(
        "report.html"
    ),
) -> None:
    """Write a self-contained page with tables, curves, scatter plots, videos and failures of benchmark runs.

    Two or more runs stand side by side, with their differences row by row. Videos are there where the runs kept their
    predictions.
    """
    from cosmos_robot.benchmarks.report import write_report

    for path in write_report(runs, out):
        typer.echo(f"{path} ({path.stat().st_size / 1024:.0f} KiB)")
