"""`cosmos-robot convert`: any dataset that can be read, as LeRobot v3.0."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cosmos_robot.cli.encoder_log import quiet_encoders


class OnErrorChoice(StrEnum):
    """What to do with what cannot be read."""

    RAISE = "raise"
    SKIP = "skip"


OnErrorOption = Annotated[
    OnErrorChoice, typer.Option("--on-error", help="Stop at what cannot be read, or leave it out and say so.")
]
CodecOption = Annotated[str, typer.Option(help="Of the videos: libsvtav1, h264 or hevc.")]


def convert(
    source: Annotated[str, typer.Argument(help="Folder, file or Hub id of a dataset.", show_default=False)],
    destination: Annotated[Path, typer.Argument(help="Folder of the new dataset.", show_default=False)],
    *,
    domain: Annotated[
        str | None, typer.Option(help="Add this domain's actions, in robot units, as the column <domain>.action.")
    ] = None,
    camera: Annotated[
        list[str] | None, typer.Option(help="A camera that goes over; may be given again.", show_default="all")
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(help="Time steps a second, a whole number.", show_default="what the source says"),
    ] = None,
    images: Annotated[bool, typer.Option("--images", help="Store PNG images, without loss, and not videos.")] = False,
    codec: CodecOption = "libsvtav1",
    on_error: OnErrorOption = OnErrorChoice.RAISE,
) -> None:
    """Write a dataset as LeRobot v3.0. Stopped and started again, it goes on behind the last finished episode."""
    from cosmos_robot.cli.progress import ProgressBars
    from cosmos_robot.datasets.convert import convert as convert_episodes
    from cosmos_robot.datasets.open_episodes import open_episodes

    quiet_encoders()
    with open_episodes(source) as episodes, ProgressBars(max(2, len(episodes)), noun="episodes") as bars:
        bars.start("converting")
        shown = 0

        def show(done: int, total: int) -> None:
            nonlocal shown
            bars.finish(done - shown)
            shown = done
            bars.step(done, total)

        made = convert_episodes(
            episodes,
            destination,
            domain=domain,
            cameras=camera,
            fps=fps,
            storage="image" if images else "video",
            codec=codec,
            on_error="skip" if on_error is OnErrorChoice.SKIP else "raise",
            progress=show,
        )
        began = f", of which {made.resumed_at} sources were done before" if made.resumed_at else ""
    say_skipped(made.skipped, "episode")
    typer.echo(f"{destination}: {made.episodes} episodes as LeRobot v3.0{began}")


def say_skipped(skipped: Mapping[int, str], noun: str) -> None:
    """Show what was left out, a line each on standard error."""
    for number, why in skipped.items():
        typer.echo(f"skipped {noun} {number}: {why}", err=True)
