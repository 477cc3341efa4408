"""The program and its commands."""

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from cosmos_robot.cli.actions import actions_app
from cosmos_robot.cli.bench import bench_app
from cosmos_robot.cli.boundary import SentenceGroup
from cosmos_robot.cli.convert import convert
from cosmos_robot.cli.demo import demo
from cosmos_robot.cli.domains import domains_app
from cosmos_robot.cli.label import label
from cosmos_robot.cli.media_modes import extend_video, image2video, text2image, text2video, video2video
from cosmos_robot.cli.modes import forward_dynamics, inverse_dynamics, policy, rollout
from cosmos_robot.cli.reason import reason
from cosmos_robot.cli.report import report
from cosmos_robot.cli.run import run
from cosmos_robot.cli.serve import serve
from cosmos_robot.cli.stats import stats
from cosmos_robot.cli.train import train
from cosmos_robot.cli.view import view

app = typer.Typer(
    name="cosmos-robot",
    cls=SentenceGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a bug's traceback is for us, plain and whole
    help="World models as robot simulators: what will the camera see, what did the robot do, what should it?",
)
app.command("forward-dynamics")(forward_dynamics)
app.command("inverse-dynamics")(inverse_dynamics)
app.command("policy")(policy)
app.command("rollout")(rollout)
app.command("text2image")(text2image)
app.command("text2video")(text2video)
app.command("image2video")(image2video)
app.command("video2video")(video2video)
app.command("extend-video")(extend_video)
app.command("reason")(reason)
app.command("run")(run)
app.command("demo")(demo)
app.command("report")(report)
app.command("train")(train)
app.command("convert")(convert)
app.command("label")(label)
app.command("view")(view)
app.command("stats")(stats)
app.command("serve")(serve)
app.add_typer(actions_app, name="actions")
app.add_typer(bench_app, name="bench")
app.add_typer(domains_app, name="domains")


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    try:
        typer.echo(f"cosmos-robot {version('cosmos-robot')}")
    except PackageNotFoundError:
        typer.echo("cosmos-robot, run from its source without being installed")
    raise typer.Exit


@app.callback()
def _program(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Options of the program itself."""
