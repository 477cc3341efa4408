"""`cosmos-robot stats`: the statistics of a dataset's actions, as a domain's normaliser takes them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:  # brings scipy, which `--help` has no use for
    from cosmos_robot.datasets.action_statistics import ActionStatistics


def stats(
    source: Annotated[str, typer.Argument(help="Folder, file or Hub id of a dataset.")],
    domain: Annotated[str, typer.Option(help="Name or alias of a domain, or the path of a domain file.")],
    out: Annotated[
        Path | None, typer.Option(help="The json or toml file to write.", show_default="<domain>_statistics.json")
    ] = None,
    fps: Annotated[
        float | None, typer.Option(help="Frames a second between actions.", show_default="the domain's")
    ] = None,
    skip_damaged: Annotated[
        bool, typer.Option("--skip-damaged", help="Leave out episodes with damaged data, and say which.")
    ] = False,
) -> None:
    """Take quantiles, mean, deviation, least and greatest value of every channel, in one pass."""
    from cosmos_robot.cli.progress import ProgressBars
    from cosmos_robot.datasets.action_statistics import action_statistics, require_statistics_suffix
    from cosmos_robot.datasets.open_episodes import open_episodes
    from cosmos_robot.domains.registry import get_domain

    target = require_statistics_suffix(f"{get_domain(domain).name}_statistics.json" if out is None else out)
    with open_episodes(source) as episodes, ProgressBars(1) as bars:
        bars.start("episodes")
        found = action_statistics(
            episodes, domain, fps=fps, on_error="skip" if skip_damaged else "raise", progress=bars.step
        )
    found.write(target)
    for sentence in found.skipped:
        typer.echo(f"skipped: {sentence}", err=True)
    _show(found)
    typer.echo(f"\nWritten to {target}. A domain file beside it takes it so:")
    typer.echo(f'[normaliser]\nmethod = "quantile"\nfile = "{target.name}"')


def _show(found: "ActionStatistics") -> None:
    figures = found.figures
    error = f", quantiles within {figures.rank_error:g} of their rank" if figures.rank_error else ""
    title = f"{figures.count} actions of {found.episodes} episodes at {found.fps:g} frames a second{error}"
    table = Table(box=None, pad_edge=False, title=title, title_justify="left")
    ends = {"min": figures.minimum, **figures.quantiles, "max": figures.maximum}
    columns = {"mean": figures.mean, "std": figures.std, **ends}
    for header in ("channel", *columns):
        table.add_column(header, justify="left" if header == "channel" else "right", no_wrap=True)
    for index, channel in enumerate(found.channels):
        table.add_row(channel, *(f"{values[index]:.4g}" for values in columns.values()))
    Console(width=120).print(table)
