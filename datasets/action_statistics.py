"""Statistics of a dataset's actions in one domain, in the form that a domain's normaliser takes.

They are of what the normaliser gets: robot units with translations scaled by the domain's factor, at the domain's frame
rate. A file of them is named in a domain file:

    [normaliser]
    method = "quantile"
    file = "my_statistics.json"

and read by cosmos-framework's `load_action_stats`, too.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.datasets.atomic_file import replaced_when_complete
from cosmos_robot.datasets.episode import Episode, Episodes
from cosmos_robot.datasets.running_statistics import KEPT_ROWS, RunningStatistics, Statistics
from cosmos_robot.datasets.source_actions import actions_at
from cosmos_robot.datasets.windows import OnError, require_on_error, require_rate, resampled_steps
from cosmos_robot.domains.channels import PoseConvention
from cosmos_robot.domains.domain import Domain
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.errors import EpisodeError, InvalidInputError

SUFFIXES = (".json", ".toml")


@dataclass(frozen=True, eq=False)
class ActionStatistics:
    """Statistics of a dataset's actions.

    Attributes:
        source: the dataset.
        domain: name of the domain.
        channels: names of the domain's channels.
        fps: frames a second that the actions are between.
        episodes: how many were read.
        skipped: the errors of those that could not be.
        figures: the statistics, by channel.
    """

    source: str
    domain: str
    channels: tuple[str, ...]
    fps: float
    episodes: int
    skipped: tuple[str, ...]
    figures: Statistics

    def as_table(self) -> dict[str, Any]:
        """As it is written: facts, then one list of figures for each statistic."""
        figures = self.figures
        lists = {"mean": figures.mean, "std": figures.std, "min": figures.minimum, "max": figures.maximum}
        return {
            "source": self.source,
            "domain": self.domain,
            "fps": self.fps,
            "episodes": self.episodes,
            "episodes_skipped": len(self.skipped),
            "actions": figures.count,
            "quantile_rank_error": figures.rank_error,
            "channels": list(self.channels),
            **{name: values.tolist() for name, values in (lists | figures.quantiles).items()},
        }

    def write(self, path: str | Path) -> None:
        """Write them as json or toml, by the file's name; the file appears only when it is complete.

        Raises:
            InvalidInputError: if the name ends otherwise, or the file cannot be written.
        """
        path = require_statistics_suffix(path)
        table = self.as_table()
        # A json value is a toml value here: texts, finite numbers, and lists of them.
        lines = [f"{key} = {json.dumps(value)}" for key, value in table.items()]
        text = json.dumps(table, indent=2) if path.suffix == ".json" else "\n".join(lines)
        with replaced_when_complete(path) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")


def action_statistics(
    episodes: Episodes | Sequence[Episode],
    domain: Domain | str | PathLike[str],
    *,
    fps: float | None = None,
    on_error: OnError = "raise",
    kept: int = KEPT_ROWS,
    progress: Callable[[int, int], None] | None = None,
) -> ActionStatistics:
    """Take statistics of all actions of a dataset, in one pass; no picture is read.

    Args:
        episodes: what `open_episodes` gives.
        domain: whose actions. Poses relative to the first of a chunk are taken in chunks that follow each other.
        fps: frames a second that the actions are between; None is the domain's own, or the recording's where none is
            published.
        on_error: `skip` leaves out episodes with damaged data and lists them.
        kept: rows kept for the quantiles, which are exact up to so many; see `RunningStatistics`.
        progress: called with (episodes done, episodes in all).

    Raises:
        InvalidInputError: if the columns that the domain needs are missing, there is no action at all, or `fps` or
            `on_error` is none.
        EpisodeError: if data are damaged.
    """
    require_on_error(on_error)
    domain = get_domain(domain)
    running = RunningStatistics(kept=kept)
    rate, skipped, done = domain.published.fps if fps is None else require_rate(fps), [], 0
    for number, episode in enumerate(episodes):
        try:
            for block in _blocks(episode, domain, rate):
                running.add(block)
        except EpisodeError as error:
            if on_error == "raise":
                raise
            skipped.append(str(error))
        else:
            done += 1
        if progress is not None:
            progress(number + 1, len(episodes))
    if running.count == 0:
        raise InvalidInputError(f"no episode of {_name(episodes)} has two frames to take an action between.")
    return ActionStatistics(
        source=_name(episodes),
        domain=domain.name,
        channels=domain.channel_names,
        fps=float(rate or episodes[0].fps),
        episodes=done,
        skipped=tuple(skipped),
        figures=running.result(),
    )


def require_statistics_suffix(path: str | Path) -> Path:
    """Check that a file's name says which of the formats it is.

    Raises:
        InvalidInputError: if it does not.
    """
    if Path(path).suffix not in SUFFIXES:
        raise InvalidInputError(f"statistics are written to a {' or '.join(SUFFIXES)} file; got {path}.")
    return Path(path)


def _blocks(episode: Episode, domain: Domain, fps: float | None) -> Iterator[NDArray[np.float64]]:
    """The episode's actions, scaled, whole or chunk by chunk; nothing of an episode that turns out to be damaged."""
    rate = episode.fps if fps is None else fps
    steps = resampled_steps(int(len(episode) * rate / episode.fps) + 2, episode.fps, rate)
    steps = steps[steps < len(episode)]
    if (np.diff(steps) < 1).any():
        raise InvalidInputError(
            f"{episode.where} has {episode.fps:g} frames a second, so that frames would repeat at {rate:g}; "
            f"ask for fps={episode.fps:g} or less."
        )
    blocks = []
    for first in range(0, len(steps) - 1, _chunk(domain, len(steps) - 1)):
        chunk = steps[first : first + _chunk(domain, len(steps) - 1) + 1]
        values = actions_at(episode, domain, chunk).actions.values.astype(np.float64)
        for block in domain.pose_blocks:
            values[:, block.translation] *= domain.translation_scale
        blocks.append(values)
    yield from blocks


def _chunk(domain: Domain, whole: int) -> int:
    anchored = any(block.convention is PoseConvention.BACKWARD_ANCHORED for block in domain.pose_blocks)
    return domain.action_chunk_size if anchored else max(whole, 1)


def _name(episodes: Episodes | Sequence[Episode]) -> str:
    return str(getattr(episodes, "source", f"{len(episodes)} episodes"))
