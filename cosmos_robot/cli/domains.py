"""`cosmos-robot domains`: which robots there are, and what their numbers mean."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:  # the domains bring scipy, which `--help` has no use for
    from cosmos_robot.domains.domain import Domain

domains_app = typer.Typer()


@domains_app.callback(invoke_without_command=True)
def list_all(ctx: typer.Context) -> None:
    """List the robots that are known, or explain one of them."""
    if ctx.invoked_subcommand is not None:
        return
    from cosmos_robot.domains.registry import list_domains

    table = Table(box=None, pad_edge=False, caption="? is not published", caption_justify="left")
    for header in ("name", "id", "channels", "chunk", "fps", "tier"):
        table.add_column(header, no_wrap=True)
    table.add_column("robot")
    for domain in list_domains():
        table.add_row(*_row(domain))
    Console().print(table)


@domains_app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Name or alias of a domain, or the path of a domain file.")],
) -> None:
    """Explain one domain: its channels with their units, its timing, its normaliser, its sources."""
    from cosmos_robot.domains.describe import describe
    from cosmos_robot.domains.registry import get_domain

    typer.echo(describe(get_domain(name)))


def _row(domain: "Domain") -> tuple[str, ...]:
    facts = domain.published
    return (
        domain.name,
        str(domain.domain_id),
        str(domain.raw_action_dim),
        *map(_cell, (facts.action_chunk_size, facts.fps, facts.tier)),
        domain.robot,
    )


def _cell(fact: float | None) -> str:
    return "?" if fact is None else f"{fact:g}"
