"""Columns as actions: what a domain's `[source]` table says, applied to an episode.

Poses are read at the frames that are asked for and their differences taken then, so that at a lower frame rate a step
is the whole motion between two frames that are shown. Absolute numbers (joints, targets, grippers) are those that hold
at a frame: of frame i for the step from i to i + 1, or of frame i + 1 where the layout says so. A command to the
robot's own controller moves it for one step of the recording and has no meaning at another rate.
"""

from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.datasets.episode import Episode, require_finite
from cosmos_robot.datasets.recorded_actions import recorded_actions, recorded_name
from cosmos_robot.domains.channels import PoseBlock, PoseConvention
from cosmos_robot.domains.domain import Domain
from cosmos_robot.domains.poses import Float64, pose9_from_matrix, pose_matrix
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.domains.source import ColumnPart, Layout, PoseColumns, SingleColumns
from cosmos_robot.errors import EpisodeError, InvalidInputError
from cosmos_robot.types import Actions, ActionSpace, FloatArray

type Steps = NDArray[np.int64]
"""Numbers of time steps of an episode, not falling."""


@dataclass(frozen=True, eq=False)
class SourceActions:
    """What an episode's columns say about some of its frames.

    Attributes:
        actions: `[T, raw_action_dim]` in robot units.
        state: float32 `[raw_action_dim]`, the state at the first frame, or None where the domain has no state row.
        layout: name of the layout that was used.
    """

    actions: Actions
    state: FloatArray | None
    layout: str


def episode_actions(episode: Episode, domain: Domain | str | PathLike[str], start: int, stop: int) -> Actions:
    """The columns of an episode as actions of a domain, at the recording's own rate.

    Args:
        episode: with the columns of one of the domain's layouts.
        domain: whose actions.
        start: first time step.
        stop: one past the last time step that the actions lead to.

    Returns:
        `[stop - start - 1, raw_action_dim]` in robot units.

    Raises:
        InvalidInputError: if no layout fits (what each lacks is named), or fewer than two time steps are asked for.
        EpisodeError: if a column holds NaN or infinity.
        UnknownFactError: if a pose's frame or convention has not been published.
    """
    if stop - start < 2:
        raise InvalidInputError(
            f"actions lead from one time step to the next and need two; got start={start}, stop={stop} of "
            f"{episode.where}."
        )
    return actions_at(episode, get_domain(domain), np.arange(start, stop)).actions


def actions_at(episode: Episode, domain: Domain, steps: Steps) -> SourceActions:
    """The actions that lead from each of some frames to the next of them.

    Args:
        episode: with the columns of one of the domain's layouts.
        domain: whose actions.
        steps: `[T + 1]` time steps.

    Raises:
        InvalidInputError: if no layout fits, or commands to a controller are asked for at another rate.
        EpisodeError: if a column holds NaN or infinity.
        UnknownFactError: if a pose's frame or convention has not been published.
    """
    own_actions = None if domain.state_row else recorded_actions(episode, domain, steps)
    if own_actions is not None:
        return SourceActions(own_actions, None, f"the column {recorded_name(domain)}")
    layout, columns = _fitting_layout(episode, domain, steps)
    blocks = {block.name: block for block in domain.pose_blocks}
    values = np.empty((len(steps) - 1, domain.raw_action_dim))
    for part in layout.channels:
        if isinstance(part, PoseColumns):
            block = blocks[part.pose]
            values[:, block.columns] = _pose_rows(columns, part, block, steps)
        else:
            own = [domain.channel_names.index(name) for name in part.names]
            values[:, own] = columns.single(part, 1 if part.at == "next" else 0, len(steps) - 1)
    state = _state(columns, domain, layout)
    return SourceActions(Actions(values.astype(np.float32), ActionSpace.ROBOT, domain.name), state, layout.name)


def needed_columns(episode: Episode, domain: Domain) -> tuple[str, ...]:
    """Names of the columns that a domain's actions are made of in an episode, by the first layout that has its names.

    Raises:
        InvalidInputError: if none has.
    """
    if not domain.state_row and recorded_name(domain) in episode.columns:
        return (recorded_name(domain),)
    for layout in domain.recorded.layouts:
        if not _missing(episode, layout):
            return tuple(dict.fromkeys(part.column for part, _ in _parts(layout)))
    raise _no_layout(episode, domain, {layout.name: _missing(episode, layout) for layout in domain.recorded.layouts})


class _Columns:
    """The rows of an episode's columns at some steps: each column is read once, as float64 `[T + 1, width]`."""

    def __init__(self, episode: Episode, steps: Steps) -> None:
        self._episode, self._steps = episode, steps
        self._read: dict[str, NDArray[Any]] = {}

    def column(self, name: str) -> NDArray[Any]:
        if name not in self._read:
            first, last = int(self._steps[0]), int(self._steps[-1])
            rows = self._episode.column(name, first, last + 1)
            self._read[name] = rows.reshape(len(rows), -1)[self._steps - first]
        return self._read[name]

    def width(self, part: ColumnPart) -> int:
        """How many numbers there are for a part; what is beyond the column's end is missing."""
        columns = self.column(part.column).shape[1]
        return columns if part.start is None or part.stop is None else max(0, min(part.stop, columns) - part.start)

    def numbers(self, part: ColumnPart, first: int = 0, stop: int | None = None) -> Float64:
        rows = self.column(part.column)[first:stop, part.start : part.stop].astype(np.float64)
        bad = ~np.isfinite(rows).all(axis=1)
        if bad.any():
            row = int(np.argmax(bad))
            require_finite(rows[row : row + 1], self._episode.where, part.column, int(self._steps[first + row]))
        return rows

    def rotations(self, pose: PoseColumns) -> Float64:
        numbers = self.numbers(pose.rotation)
        try:
            return pose.form.read(numbers)
        except InvalidInputError as error:
            first, last = int(self._steps[0]), int(self._steps[-1])
            raise EpisodeError(
                f"{self._episode.where}, frames {first} to {last}: column {pose.rotation} as {pose.form}: {error}"
            ) from error

    def single(self, columns: SingleColumns, first: int, count: int) -> Float64:
        return columns.scale * self.numbers(columns.part, first, first + count) + columns.offset

    def require_every_step(self, pose: str) -> None:
        if (np.diff(self._steps) != 1).any():
            raise InvalidInputError(
                f"pose {pose!r} of {self._episode.where} holds commands to the robot's controller, one for each step "
                f"of the recording, and cannot be brought to another frame rate: ask for fps={self._episode.fps:g}."
            )


def _pose_rows(columns: _Columns, part: PoseColumns, block: PoseBlock, steps: Steps) -> Float64:
    poses = pose_matrix(columns.numbers(part.position), columns.rotations(part))
    if block.convention is PoseConvention.CONTROLLER_COMMAND:
        columns.require_every_step(block.name)
        return pose9_from_matrix(poses[:-1])
    own = block if part.frame is None else PoseBlock(block.name, block.start, block.convention, block.unit, part.frame)
    return block.encode(own.into_frame(poses))


def _state(columns: _Columns, domain: Domain, layout: Layout) -> FloatArray | None:
    if not layout.state:
        return None
    state = np.empty(domain.raw_action_dim)
    for part in layout.state:
        own = [domain.channel_names.index(name) for name in part.names]
        state[own] = columns.single(part, 0, 1)[0]
    return state.astype(np.float32)


def _fitting_layout(episode: Episode, domain: Domain, steps: Steps) -> tuple[Layout, _Columns]:
    columns = _Columns(episode, steps)
    lacks: dict[str, list[str]] = {}
    for layout in domain.recorded.layouts:
        lacks[layout.name] = _missing(episode, layout) or _misfits(columns, layout)
        if not lacks[layout.name]:
            return layout, columns
    raise _no_layout(episode, domain, lacks)


def _parts(layout: Layout) -> list[tuple[ColumnPart, int]]:
    return [pair for columns in (*layout.channels, *layout.state) for pair in columns.parts()]


def _missing(episode: Episode, layout: Layout) -> list[str]:
    columns = dict.fromkeys(part.column for part, _ in _parts(layout) if part.column not in episode.columns)
    return [*columns, *(f"camera {camera}" for camera in layout.only_with if camera not in episode.cameras)]


def _misfits(columns: _Columns, layout: Layout) -> list[str]:
    found = [(part, wanted, columns.width(part)) for part, wanted in _parts(layout)]
    return [f"{part} with {wanted} number(s), not {width}" for part, wanted, width in found if width != wanted]


def _no_layout(episode: Episode, domain: Domain, lacks: dict[str, list[str]]) -> InvalidInputError:
    if not lacks:
        return InvalidInputError(
            f"domain {domain.name!r} does not say which columns its actions come from. "
            f"Name them in the [source] table of a TOML of your own."
        )
    each = "; ".join(f"{name} lacks {', '.join(what)}" for name, what in lacks.items())
    has = ", ".join(episode.columns) or "none"
    return InvalidInputError(
        f"{episode.where} has not the columns of domain {domain.name!r}: {each}. It has the columns {has}. "
        f"Columns of your own are named in the [source] table of a TOML."
    )
