"""`cosmos-robot view`: an episode in rerun."""

from pathlib import Path
from typing import Annotated

import typer

from cosmos_robot.errors import InvalidInputError


def view(
    source: Annotated[str, typer.Argument(help="Folder, file or Hub id of a dataset.", show_default=False)],
    *,
    episode: Annotated[int, typer.Option(help="Number of the episode; -1 is the last.")] = 0,
    save: Annotated[
        Path | None, typer.Option(help="Write a rerun recording (.rrd) and open no window.", show_default=False)
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Time steps a second, where the format does not record it.")] = None,
) -> None:
    """Look at an episode: cameras, columns as curves, and predictions beside what was recorded."""
    from cosmos_robot.datasets.open_episodes import open_episodes
    from cosmos_robot.datasets.viewer import save_episode, show_episode

    with open_episodes(source, fps=fps) as episodes:
        if not -len(episodes) <= episode < len(episodes):
            raise InvalidInputError(f"{source} has {len(episodes)} episodes, numbered from 0; got --episode {episode}.")
        shown = episodes[episode]
        if save is None:
            show_episode(shown)
            return
        save_episode(shown, save)
    typer.echo(f"wrote {save}; open it with: rerun {save}")
