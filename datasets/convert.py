"""Any dataset that can be read, written as LeRobot v3.0.

All columns and cameras go over with their own numbers, the task's text and the frame rate. Names become LeRobot's:
a camera `top` is `observation.images.top`, a column `obs/gripper` is `observation.gripper`, `actions` is `action`.
With a domain there is one more column, `<domain>.action`: the domain's actions in robot units, row i leading from time
step i to i + 1, and on the last row, from which nothing leads on, that of the row before.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.datasets.episode import Episode, Episodes, Selection
from cosmos_robot.datasets.recorded_actions import recorded_name
from cosmos_robot.datasets.recorded_features import GENERATED, CameraStorage, Column, RecordedFeatures
from cosmos_robot.datasets.recorder import EpisodeRecorder, finish_interrupted
from cosmos_robot.datasets.recording_job import RecordingJob
from cosmos_robot.datasets.windows import OnError, require_on_error
from cosmos_robot.domains.domain import Domain
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.errors import EpisodeError, InvalidInputError, MediaError, RecordingError
from cosmos_robot.types import FloatArray, Frames

NOTES = "meta/conversion.json"
_FRAMES_AT_ONCE = 64
_NAMES = {"actions": "action", "state": "observation.state"}

type ConversionProgress = Callable[[int, int], None]
"""Called with (source episodes done, source episodes in all)."""


@dataclass(frozen=True)
class Conversion:
    """What came of a conversion.

    Attributes:
        folder: of the dataset.
        episodes: how many it has.
        resumed_at: position of the source's episode with which this call began.
        skipped: sentences about episodes that were left out, by their position in the source.
    """

    folder: Path
    episodes: int
    resumed_at: int
    skipped: Mapping[int, str]


def convert(
    episodes: Episodes | Selection,
    folder: str | Path,
    *,
    domain: Domain | str | Path | None = None,
    cameras: Sequence[str] | None = None,
    fps: float | None = None,
    storage: CameraStorage = "video",
    codec: str = "libsvtav1",
    on_error: OnError = "raise",
    progress: ConversionProgress | None = None,
) -> Conversion:
    """Write a dataset as LeRobot v3.0; stopped, it goes on behind the last finished episode when it is called again.

    Args:
        episodes: the source, or a slice of it.
        folder: where the dataset shall be.
        domain: whose actions are added as a column.
        cameras: those that go over, as the source spells them; None is all.
        fps: what the dataset says, where LeRobot, which has whole numbers, cannot say what the source does. No frame
            is dropped or doubled.
        storage: mp4 files, or PNG images that are exactly the source's.
        codec: of the videos; see `EpisodeRecorder`.
        on_error: "skip" leaves out episodes that cannot be read and says which.
        progress: told of each episode.

    Raises:
        InvalidInputError: if something is not there, two columns or cameras would get one name, or the folder holds
            another dataset.
        EpisodeError: if an episode cannot be read and none is to be skipped.
        RecordingError: if the disk is full.
    """
    require_on_error(on_error)
    target = Path(folder)
    whose = None if domain is None else get_domain(domain)
    rate = _rate(episodes, fps)
    settings = {
        "source": Path(episodes.source).name,
        "format": episodes.format,
        "episodes": len(episodes),
        "chosen": _chosen(episodes),
        "domain": None if whose is None else whose.name,
        "cameras": None if cameras is None else list(cameras),
        "fps": rate,
        "storage": storage,
        "codec": codec,
        "on_error": on_error,
    }
    finish_interrupted(target)
    job = RecordingJob.begin_or_go_on(target, NOTES, settings)
    begin, total = job.next, len(episodes)
    source = _Source(episodes, cameras, whose, storage)
    recorder: EpisodeRecorder | None = None
    try:
        for position in range(begin, total):
            if progress is not None:
                progress(position, total)
            try:
                episode = source.episode(position)
                features = source.features(episode)
            except (EpisodeError, MediaError) as error:
                job = _left_out(job, position, error, on_error)
                continue
            if recorder is None:
                robot = None if whose is None else whose.name
                recorder = EpisodeRecorder(target, fps=rate, features=features, robot_type=robot, codec=codec)
            try:
                for frames, values in source.rows(episode):
                    _add(recorder, episode, frames, values)
            except EpisodeError as error:
                recorder.discard_episode()
                job = _left_out(job, position, error, on_error)
                continue
            job = job.done(position)
            recorder.finish_episode(episode.task, notes=job.notes())
        if progress is not None:
            progress(total, total)
        return Conversion(target, total - len(job.skipped), begin, job.skipped)
    finally:
        if recorder is not None:
            recorder.close()


class _Source:
    """Episodes as rows for a recorder; what these are is fixed by the first one that can be read."""

    def __init__(
        self,
        episodes: Episodes | Selection,
        cameras: Sequence[str] | None,
        domain: Domain | None,
        storage: CameraStorage,
    ) -> None:
        self._episodes, self._wanted, self._domain, self._storage = episodes, cameras, domain, storage
        self._features: RecordedFeatures | None = None
        self._cameras: dict[str, str] = {}
        self._columns: dict[str, str] = {}

    def episode(self, position: int) -> Episode:
        return self._episodes[position]

    def features(self, episode: Episode) -> RecordedFeatures:
        if self._features is None:
            self._cameras, self._columns = _camera_names(episode, self._wanted), _column_names(episode)
            columns = {new: _column(episode, old) for old, new in self._columns.items()}
            if self._domain is not None:
                self._domain_actions(episode)  # found out now, not behind all the frames
                columns[recorded_name(self._domain)] = Column(
                    (self._domain.raw_action_dim,), names=self._domain.channel_names
                )
            sizes = {new: episode.frames(old, 0, 1).shape[1:3] for old, new in self._cameras.items()}
            self._features = RecordedFeatures(
                cameras={name: (int(height), int(width)) for name, (height, width) in sizes.items()},
                columns=columns,
                storage=self._storage,
            )
        return self._features

    def rows(self, episode: Episode) -> Iterator[tuple[dict[str, Frames], dict[str, NDArray[Any]]]]:
        """Each time step: frames and values.

        Raises:
            EpisodeError: if it cannot be read, or has not what the first had.
        """
        lacking = [f"column {name}" for name in self._columns if name not in episode.columns]
        lacking += [f"camera {name}" for name in self._cameras if name not in episode.cameras]
        if lacking:
            raise EpisodeError(f"{episode.where} lacks {', '.join(lacking)}, which the dataset's first episode has.")
        values = {new: episode.column(old) for old, new in self._columns.items()}
        if self._domain is not None:
            values[recorded_name(self._domain)] = self._domain_actions(episode)
        for start in range(0, len(episode), _FRAMES_AT_ONCE):
            stop = min(start + _FRAMES_AT_ONCE, len(episode))
            frames = {new: episode.frames(old, start, stop) for old, new in self._cameras.items()}
            for step in range(start, stop):
                yield (
                    {name: clip[step - start] for name, clip in frames.items()},
                    {name: column[step] for name, column in values.items()},
                )

    def _domain_actions(self, episode: Episode) -> FloatArray:
        if self._domain is None or len(episode) < 2:
            raise EpisodeError(f"{episode.where} has one time step, between which no action lies.")
        actions = episode.actions(self._domain).values
        return np.concatenate([actions, actions[-1:]])


def _add(
    recorder: EpisodeRecorder, episode: Episode, frames: Mapping[str, Frames], values: Mapping[str, NDArray[Any]]
) -> None:
    try:
        recorder.add_frame(frames, values)
    except RecordingError:
        raise
    except InvalidInputError as error:
        raise EpisodeError(f"{episode.where}: {error}") from error


def _left_out(job: RecordingJob, position: int, error: InvalidInputError, on_error: OnError) -> RecordingJob:
    if on_error == "raise":
        raise error
    return job.skip(position, str(error))


def _chosen(episodes: Episodes | Selection) -> list[int] | None:
    """Which of the source's episodes they are: start, stop and step; None is all."""
    if not isinstance(episodes, Selection):
        return None
    return [episodes.positions.start, episodes.positions.stop, episodes.positions.step]


def _rate(episodes: Episodes | Selection, fps: float | None) -> int:
    rate = episodes.fps if fps is None else fps
    if not (rate > 0 and float(rate).is_integer()):
        raise InvalidInputError(
            f"{episodes.source} has {rate:g} time steps a second, LeRobot whole numbers only; "
            f"say which one is to be written, for instance fps={max(1, round(rate))}."
        )
    return int(rate)


def _camera_names(episode: Episode, wanted: Sequence[str] | None) -> dict[str, str]:
    cameras = episode.cameras if wanted is None else tuple(wanted)
    unknown = [name for name in cameras if name not in episode.cameras]
    if unknown:
        has = ", ".join(episode.cameras) or "none"
        raise InvalidInputError(f"{episode.where} has no camera {', '.join(unknown)}; it has {has}.")
    return _distinct("cameras", episode, {name: _camera_name(name) for name in cameras})


def _camera_name(name: str) -> str:
    own = name.replace("/", ".")
    return own if own.startswith(("observation.", "predicted.")) else f"observation.images.{own}"


def _column_names(episode: Episode) -> dict[str, str]:
    names = {name: _column_name(name) for name in episode.columns if name not in GENERATED}
    return _distinct("columns", episode, names)


def _column_name(name: str) -> str:
    own = re.sub(r"^(obs|observations)/", "observation.", name).replace("/", ".")
    return _NAMES.get(own, own)


def _distinct(what: str, episode: Episode, names: dict[str, str]) -> dict[str, str]:
    for new in names.values():
        same = [repr(old) for old, own in names.items() if own == new]
        if len(same) > 1:
            raise InvalidInputError(
                f"the {what} {' and '.join(same)} of {episode.where} would both be called {new!r}; rename one of them "
                f"in the source."
            )
    return names


def _column(episode: Episode, name: str) -> Column:
    row = episode.column(name, 0, 1)[0]
    dtype = "float32" if row.dtype == np.float16 else str(row.dtype)  # LeRobot's statistics know no float16
    return Column(tuple(row.shape) or (1,), dtype)
