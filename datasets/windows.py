"""Windows of episodes: T + 1 frames, the T actions between them, the prompt and the state, at a domain's frame rate.

Where they lie is arithmetic on arrays; nothing is read before a window is asked for.
"""

import copy
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Literal, Protocol, Self, cast, overload

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.datasets.camera_canvas import canvas_frames, find_cameras
from cosmos_robot.datasets.episode import Episode, Episodes, first_task
from cosmos_robot.datasets.skip_log import SkipLog, Skipped
from cosmos_robot.datasets.source_actions import actions_at
from cosmos_robot.domains.domain import Domain
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.errors import EpisodeError, InvalidInputError, MediaError
from cosmos_robot.short_repr import ShortRepr
from cosmos_robot.types import Actions, FloatArray, Frames, require_chunk_size

type OnError = Literal["raise", "skip"]

AS_FAST = 0.999
"""A recording of this share of the frames a second that are wanted counts as having them: 29.97 for 30."""


@dataclass(frozen=True, eq=False, repr=False)
class Window(ShortRepr):
    """A piece of an episode in the form that a world model takes and gives.

    Attributes:
        frames: uint8 RGB `[T + 1, H, W, 3]`, cameras put together as the domain's training data had them.
        actions: `[T, D]` in robot units: row i leads from frame i to frame i + 1.
        prompt: the task; the first where the recording has several with " | " between them, as DROID has.
        state: float32 `[D]`, the robot's state at frame 0, or None where the domain has no state row.
        episode: position of the episode in the sequence that the windows are of.
        start: time step of the episode that frame 0 is.
        fps: frames a second of this window.
    """

    frames: Frames
    actions: Actions
    prompt: str
    state: FloatArray | None
    episode: int
    start: int
    fps: float


def windows(
    episodes: Episodes | Sequence[Episode],
    domain: Domain | str | PathLike[str],
    chunk: int | None = None,
    stride: int | None = None,
    fps: float | None = None,
    *,
    cameras: Sequence[str] | None = None,
    on_error: OnError = "raise",
) -> "Windows":
    """Cut episodes into windows, lazily.

    Args:
        episodes: what `open_episodes` gives, a slice of it, or a list of episodes of one frame rate.
        domain: whose actions, canvas and frame rate.
        chunk: actions in a window, T; a multiple of 4. None is the domain's own.
        stride: frames, at `fps`, from the start of a window to that of the next. None is 1: every frame starts one;
            with `chunk` the last frame of a window is, to the nearest time step, the first of the next.
        fps: frames a second of the windows; None is the domain's own. Frame k of a window is the recorded one
            that `resampled_steps` says.
        cameras: the episode's cameras to show; None goes by the names in the domain's `[source]` table.
        on_error: `skip` leaves out windows with damaged data and keeps a list of them, `Windows.skipped`. A column or
            a camera that all episodes lack is no damage.

    Returns:
        A lazy sequence; no window reaches beyond its episode.

    Raises:
        InvalidInputError: if a number is out of range, the recording has too few frames a second (frames would
            repeat), or no episode is long enough.
        UnknownFactError: if `chunk` or `fps` is None and the domain's own has not been published.
    """
    require_on_error(on_error)
    shown = None if cameras is None else tuple(cameras)
    return Windows(episodes, get_domain(domain), chunk=chunk, stride=stride, fps=fps, cameras=shown, on_error=on_error)


def require_on_error(on_error: str) -> None:
    """Check what is to be done at damaged data.

    Raises:
        InvalidInputError: if it is neither `raise` nor `skip`.
    """
    if on_error not in ("raise", "skip"):
        raise InvalidInputError(f"on_error is 'raise' or 'skip'; got {on_error!r}.")


def require_rate(fps: float) -> float:
    """Check frames a second and return them.

    Raises:
        InvalidInputError: if it is no positive number.
    """
    if not (np.isfinite(fps) and fps > 0):
        raise InvalidInputError(f"fps must be a positive number; got {fps}.")
    return float(fps)


def resampled_steps(count: int, recorded_fps: float, fps: float) -> NDArray[np.int64]:
    """Time steps of a recording that are nearest to frames at another rate.

    Frame k is at `k * recorded_fps / fps`; of two steps that are equally near it is the earlier. From 15 to 10 frames
    a second it is 0, 1, 3, 4, 6; from 59.94 to 20 every third. A recording that is up to a thousandth slower is taken
    step by step.

    Args:
        count: how many frames.
        recorded_fps: time steps a second of the recording.
        fps: frames a second that are wanted.

    Returns:
        `[count]`, the first of them 0.
    """
    ratio = recorded_fps / fps
    exact = np.arange(count) * (1.0 if AS_FAST <= ratio < 1 else ratio)
    return np.ceil(np.round(exact, 6) - 0.5).astype(np.int64)


class Windows(Sequence[Window]):
    """A lazy sequence of windows; see `windows`.

    It can be pickled where its episodes can, and then reads the same windows in another process.

    Attributes:
        domain: whose windows.
        chunk: actions in each.
        fps: frames a second.
        on_error: what happens at damaged data.
    """

    def __init__(
        self,
        episodes: Episodes | Sequence[Episode],
        domain: Domain,
        *,
        chunk: int | None,
        stride: int | None,
        fps: float | None,
        cameras: tuple[str, ...] | None,
        on_error: OnError,
    ) -> None:
        self.domain = domain
        self.chunk = require_chunk_size(domain.action_chunk_size if chunk is None else chunk)
        self.fps = require_rate(domain.fps if fps is None else fps)
        self.on_error = on_error
        self._episodes, self._cameras = episodes, cameras
        stride = 1 if stride is None else stride
        if stride < 1:
            raise InvalidInputError(f"stride must be at least 1; got {stride}.")
        recorded_fps, lengths = _rate_and_lengths(episodes)
        self._steps = resampled_steps(self.chunk + 1, recorded_fps, self.fps)
        if (np.diff(self._steps) < 1).any():
            raise InvalidInputError(
                f"the recording has {recorded_fps:g} frames a second, so that frames would repeat at {self.fps:g}; "
                f"ask for fps={recorded_fps:g} or less."
            )
        self._starts, self._ends = _where(lengths, int(self._steps[-1]), stride, max(recorded_fps / self.fps, 1.0))
        if self._ends[-1:].sum() == 0:
            raise InvalidInputError(
                f"a window of {self.chunk} actions at {self.fps:g} frames a second spans {int(self._steps[-1]) + 1} "
                f"time steps; the longest of {len(lengths)} episodes has {lengths.max(initial=0)}. Ask for a smaller "
                f"chunk."
            )
        self._chosen = range(int(self._ends[-1]))
        self._log = SkipLog() if on_error == "skip" else None

    def __repr__(self) -> str:
        return f"<{len(self)} windows of {self.chunk} actions at {self.fps:g} fps, domain {self.domain.name!r}>"

    def __len__(self) -> int:
        return len(self._chosen)

    @overload
    def __getitem__(self, index: int) -> Window: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Window | Self:
        """One window, or a lazy selection of them.

        With `on_error="skip"` a window that cannot be read is replaced by the next one of another episode that can.

        Raises:
            EpisodeError: if data are damaged; with `on_error="skip"` only if nothing could be read.
            MediaError: if pictures are damaged, likewise.
            InvalidInputError: if the episode lacks columns or cameras; they are named.
        """
        if isinstance(index, slice):
            chosen = copy.copy(self)
            chosen._chosen = self._chosen[index]
            return chosen
        position = operator.index(index)
        position += len(self) if position < 0 else 0
        if not 0 <= position < len(self):
            raise IndexError(f"there are {len(self)} windows; there is no number {index}.")
        return self._read(position) if self._log is None else self._next_readable(position)

    def __iter__(self) -> Iterator[Window]:
        for position in range(len(self)):
            try:
                window = self._read(position)
            except (EpisodeError, MediaError) as error:
                if self._log is None:
                    raise
                self._note(self._log, position, error)
            else:
                yield window

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The windows that could not be read so far, here and in workers that have a copy of this sequence."""
        return () if self._log is None else self._log.read()

    def place(self, index: int) -> tuple[int, int]:
        """Where a window lies: position of its episode, and the time step that it starts at. Nothing is read."""
        number = self._chosen[index]
        episode = int(np.searchsorted(self._ends, number, side="right"))
        before = int(self._ends[episode - 1]) if episode else 0
        return episode, int(self._starts[number - before])

    def _read(self, position: int) -> Window:
        number, start = self.place(position)
        episode = self._episodes[number]
        steps = start + self._steps
        source = actions_at(episode, self.domain, steps)
        frames = canvas_frames(episode, find_cameras(episode, self.domain, self._cameras), steps)
        return Window(frames, source.actions, first_task(episode), source.state, number, start, self.fps)

    def _next_readable(self, position: int) -> Window:
        assert self._log is not None
        first = ""  # not the error itself, whose traceback would hold this sequence in a circle
        tried: set[int] = set()
        for candidate in (*range(position, len(self)), *range(position)):
            episode = self.place(candidate)[0]
            if episode in tried:
                continue
            tried.add(episode)
            try:
                return self._read(candidate)
            except (EpisodeError, MediaError) as error:
                first = first or str(error)
                self._note(self._log, candidate, error)
        raise EpisodeError(f"none of {len(tried)} episodes could be read; the first: {first}")

    def _note(self, log: SkipLog, position: int, error: Exception) -> None:
        log.add(Skipped(*self.place(position), str(error)))


class _Table(Protocol):
    """A dataset, or a slice of one, which knows its lengths without a look at each episode."""

    fps: float

    def lengths(self) -> NDArray[np.int64]: ...


def _rate_and_lengths(episodes: Episodes | Sequence[Episode]) -> tuple[float, NDArray[np.int64]]:
    if hasattr(episodes, "lengths"):
        table = cast(_Table, episodes)
        return float(table.fps), np.asarray(table.lengths(), dtype=np.int64)
    rates = sorted({float(episode.fps) for episode in episodes})
    if len(rates) != 1:
        found = ", ".join(f"{rate:g}" for rate in rates) or "no episode"
        raise InvalidInputError(f"windows are cut from episodes of one frame rate; got {found}. Cut each on its own.")
    return rates[0], np.fromiter((len(episode) for episode in episodes), dtype=np.int64, count=len(episodes))


def _where(
    lengths: NDArray[np.int64], span: int, stride: int, ratio: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The time steps at which windows start in any episode, and how many windows there are up to the end of each."""
    longest = int(lengths.max(initial=0))
    starts = resampled_steps(int(longest / (stride * ratio)) + 2, stride * ratio, 1.0)
    counts = np.searchsorted(starts, lengths - 1 - span, side="right")
    return starts, np.cumsum(counts)
