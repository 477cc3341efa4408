"""`cosmos-robot bench agreement`: what a learned world says of policies beside what gym-pusht says of them."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cosmos_robot.cli.bench_runs import RunSettings, run_one
from cosmos_robot.cli.settings import with_settings


@dataclass(frozen=True, kw_only=True)
class AgreementSettings(RunSettings):
    """The options of every suite; many episodes are imagined at once."""

    batch: Annotated[int, typer.Option(min=1, help="Episodes imagined at once.")] = 10


@with_settings
def agreement(
    *,
    settings: AgreementSettings,
    env: Annotated[str, typer.Option(help="Which environment; pusht is the one there is.")] = "pusht",
    config: Annotated[
        Path | None, typer.Option(help="A file like the committed one.", show_default="the committed one")
    ] = None,
    starts: Annotated[
        int | None, typer.Option(min=2, help="Only the first so many starts.", show_default="all of the file")
    ] = None,
) -> None:
    """Play policies of graded quality in the real simulator and in the learned one, and compare their mean results."""
    from cosmos_robot.benchmarks.agreement_config import COMMITTED, AgreementConfig

    own = replace(AgreementConfig.read(config or COMMITTED), env=env)
    own = own if starts is None else replace(own, starts=min(starts, own.starts))
    _show(run_one(settings, "agreement", domain="pusht", own=own))


def _show(folder: Path) -> None:
    from cosmos_robot.benchmarks.agreement_report import agreement_table, policies_table
    from cosmos_robot.benchmarks.report_figures import read_figures

    found = read_figures(folder)
    for table in (policies_table(found.rows), agreement_table(found)):
        Console().print(table)
