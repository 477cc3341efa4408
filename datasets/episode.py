"""An episode, and a dataset of them, whatever they are stored as: what every reader of this folder gives.

A reader subclasses `Episode` and `Episodes`. Nothing is decoded or read before it is asked for.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, overload

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.errors import InvalidInputError
from cosmos_robot.types import Actions, Frames

if TYPE_CHECKING:
    from cosmos_robot.domains.domain import Domain


class Episode(ABC):
    """One recorded episode of N time steps: at each one a frame of every camera and a row of every column.

    Attributes:
        index: its number in the dataset, as the dataset counts.
        where: what errors call it: the file and the episode's name in it.
        task: what the robot was told, or "" where nothing is recorded.
        fps: time steps a second.
        cameras: names of the cameras, as the dataset spells them.
        columns: names of the numeric columns, as the dataset spells them.
    """

    index: int
    where: str
    task: str
    fps: float
    cameras: tuple[str, ...]
    columns: tuple[str, ...]

    def __repr__(self) -> str:
        cameras = ", ".join(self.cameras) or "none"
        return f"<{self.where}: {len(self)} time steps at {self.fps:g} fps, cameras: {cameras}>"

    @abstractmethod
    def __len__(self) -> int:
        """Number of time steps."""

    @abstractmethod
    def _column(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Rows `start:stop` of a column that exists: `[stop - start, ...]`, in the dataset's own dtype."""

    @abstractmethod
    def _frames(self, camera: str, start: int, stop: int) -> Frames:
        """Frames `start:stop` of a camera that exists: uint8 RGB `[stop - start, H, W, 3]`."""

    def column(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Rows of a numeric column.

        Args:
            name: one of `columns`.
            start: first row.
            stop: one past the last row; None is the end of the episode.

        Returns:
            `[N, ...]` in the dataset's own dtype and units; a column of single numbers is `[N]`.

        Raises:
            InvalidInputError: if there is no such column (those there are named), or rows outside the episode.
            EpisodeError: if the data cannot be read.
        """
        if name not in self.columns:
            raise InvalidInputError(f"{self.where} has no column {name!r}; it has {_listed(self.columns)}.")
        return self._column(name, *self._range(start, stop))

    def frames(self, camera: str | None = None, start: int = 0, stop: int | None = None) -> Frames:
        """Frames of a camera, addressed by number.

        Args:
            camera: one of `cameras`; None is the first.
            start: first frame.
            stop: one past the last frame; None is the end of the episode.

        Returns:
            uint8 RGB `[N, H, W, 3]`.

        Raises:
            InvalidInputError: if there is no such camera (those there are named), or frames outside the episode.
            EpisodeError: if the frames cannot be read; it names file, episode and frame.
        """
        if camera is None and self.cameras:
            camera = self.cameras[0]
        if camera is None or camera not in self.cameras:
            wanted = "no camera" if camera is None else f"no camera {camera!r}"
            raise InvalidInputError(f"{self.where} has {wanted}; it has {_listed(self.cameras)}.")
        start, stop = self._range(start, stop)
        if start < stop:
            return self._frames(camera, start, stop)
        shown = min(start, len(self) - 1)  # one frame tells the size
        return self._frames(camera, shown, shown + 1)[:0]

    def actions(self, domain: "Domain | str", start: int = 0, stop: int | None = None) -> Actions:
        """The columns as actions of a domain, in robot units: row i leads from time step i to i + 1.

        Args:
            domain: whose actions; a name or a `Domain`.
            start: first time step.
            stop: one past the last time step that the actions lead to; None is the end of the episode.

        Returns:
            `[stop - start - 1, raw_action_dim]`.

        Raises:
            InvalidInputError: if the columns that the domain needs are missing (they are named).
            EpisodeError: if a column holds NaN or infinity; it names column and frame.
        """
        from cosmos_robot.datasets.source_actions import episode_actions

        return episode_actions(self, domain, *self._range(start, stop))

    def _range(self, start: int, stop: int | None) -> tuple[int, int]:
        stop = len(self) if stop is None else stop
        if not 0 <= start <= stop <= len(self):
            raise InvalidInputError(
                f"{self.where} has time steps 0 to {len(self) - 1}; got start={start}, stop={stop}."
            )
        return int(start), int(stop)


class Episodes(Sequence[Episode], ABC):
    """A dataset: a lazy sequence of episodes; `with` closes its files.

    Attributes:
        source: path or Hub id that it was opened from.
        format: what it is stored as (`lerobot v3.0`, `robomimic`, ...).
        fps: time steps a second.
    """

    source: str
    format: str
    fps: float

    def __repr__(self) -> str:
        return f"<{len(self)} episodes of {self.source}, {self.format}, {self.fps:g} fps>"

    @abstractmethod
    def _episode(self, position: int) -> Episode:
        """The episode at `position`, which is in range."""

    @abstractmethod
    def close(self) -> None:
        """Close all files; calling it again does nothing. Episodes open them again when they are asked."""

    def lengths(self) -> NDArray[np.int64]:
        """Time steps of every episode, `[len(self)]`; a reader that has a table of them gives that instead."""
        return np.fromiter((len(episode) for episode in self), dtype=np.int64, count=len(self))

    @overload
    def __getitem__(self, index: int) -> Episode: ...
    @overload
    def __getitem__(self, index: slice) -> "Selection": ...
    def __getitem__(self, index: int | slice) -> "Episode | Selection":
        """One episode, or a lazy selection of them."""
        if isinstance(index, slice):
            return Selection(self, range(len(self))[index])
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(f"{self.source} has {len(self)} episodes; there is no number {index}.")
        return self._episode(int(position))

    def __iter__(self) -> Iterator[Episode]:
        return (self._episode(position) for position in range(len(self)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Selection(Sequence[Episode]):
    """Some episodes of a dataset, opened when they are asked for: what a slice of it is.

    Attributes:
        source: path or Hub id of the dataset.
        format: what it is stored as.
        fps: time steps a second.
        positions: which of the dataset's episodes they are.
    """

    def __init__(self, episodes: Episodes, positions: range) -> None:
        self._episodes, self.positions = episodes, positions
        self.source, self.format, self.fps = episodes.source, episodes.format, episodes.fps

    def __repr__(self) -> str:
        return f"<{len(self)} of the {self._episodes!r}>"

    def __len__(self) -> int:
        return len(self.positions)

    def lengths(self) -> NDArray[np.int64]:
        """Time steps of every episode, `[len(self)]`."""
        return self._episodes.lengths()[np.asarray(self.positions, dtype=np.int64)]

    @overload
    def __getitem__(self, index: int) -> Episode: ...
    @overload
    def __getitem__(self, index: slice) -> "Selection": ...
    def __getitem__(self, index: int | slice) -> "Episode | Selection":
        if isinstance(index, slice):
            return Selection(self._episodes, self.positions[index])
        return self._episodes[self.positions[index]]


def first_task(episode: Episode) -> str:
    """The task as a prompt: the first where the recording has several with " | " between them, as DROID has."""
    return episode.task.partition(" | ")[0]


def require_finite(values: NDArray[Any], where: str, column: str, start: int = 0) -> NDArray[Any]:
    """Check that numbers read from a column are finite and return them.

    Raises:
        EpisodeError: if one is not; it names the episode, the column and the frame.
    """
    from cosmos_robot.errors import EpisodeError

    bad = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
    if bad.any():
        frame = start + int(np.argmax(bad))
        raise EpisodeError(f"{where}, frame {frame}: column {column!r} holds NaN or infinity.")
    return values


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) if names else "none"
