"""A LeRobot v3.0 dataset that grows by one finished episode at a time and can be read at any moment.

The lerobot library keeps its parquet files open, and so unreadable, until a recording is finished. Here it writes each
episode as a dataset of its own, whole and closed. That is then joined to the last files of the dataset: new versions
of these files are prepared beside it, each one the old one and more, so that the dataset is whole with either.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cosmos_robot.errors import EpisodeError, RecordingError

INFO = "meta/info.json"
_STATS = "meta/stats.json"
_TASKS = "meta/tasks.parquet"
_DATA = "data/chunk-{0:03d}/file-{1:03d}.parquet"
_EPISODES = "meta/episodes/chunk-{0:03d}/file-{1:03d}.parquet"
_VIDEO = "videos/{key}/chunk-{0:03d}/file-{1:03d}.mp4"
_PNG_END = b"IEND\xaeB`\x82"
_MB = 1024**2
_EPISODE_ROWS_MB = 1.0
"""The table of episodes is written again with each of them, so its files are kept small."""

type FilePlace = tuple[int, int]
"""Chunk and file number."""


@dataclass(frozen=True)
class _Tail:
    """Where the last episode ended: its number, and the files that the next one is joined to."""

    data: FilePlace
    episodes: FilePlace
    videos: Mapping[str, FilePlace]
    video_frames: Mapping[str, int]


class GrowingDataset:
    """The files of a LeRobot v3.0 dataset, as they are on the disk.

    Args:
        root: the dataset's folder; it may not be there yet.
        data_mb: a data file that has reached this size is followed by a new one.
        video_mb: the same for video files.

    Raises:
        EpisodeError: if the folder holds something that is not a whole dataset.
    """

    def __init__(self, root: Path, *, data_mb: float, video_mb: float) -> None:
        from lerobot.datasets import io_utils

        self._io = io_utils
        self._root, self._data_mb, self._video_mb = root, data_mb, video_mb
        self.info: Any = None
        self._stats: Any = None
        self._tasks: Any = None
        self._tail: _Tail | None = None
        if (root / INFO).is_file():
            try:
                self._load()
            except (OSError, ValueError, KeyError, TypeError) as error:  # ArrowInvalid is a ValueError
                if isinstance(error, EpisodeError):
                    raise
                raise EpisodeError(f"the dataset {root} is damaged and cannot be appended to: {error}") from error

    @property
    def episodes(self) -> int:
        """Number of finished episodes."""
        return 0 if self.info is None else int(self.info.total_episodes)

    def prepare(self, episode: Path, folder: Path, *, task: str) -> list[str]:
        """Prepare the files that join an episode to the dataset; the dataset itself is not touched.

        Args:
            episode: a dataset of one episode, written by the lerobot library.
            folder: where the files go, under the names that they shall have.
            task: what the robot was told.

        Returns:
            their relative paths in the order in which they are to be moved into the dataset, so that it can be read
            after each move: first what nothing refers to yet, last the count of episodes.

        Raises:
            RecordingError: if the episode is not whole, as after a full disk that the library overlooked.
        """
        info = self._io.load_info(episode)
        stats = self._io.load_stats(episode)
        rows = pq.read_table(episode / _EPISODES.format(0, 0))
        data = _without_fingerprint(pq.read_table(episode / _DATA.format(0, 0)))
        cameras = [name for name, feature in info.features.items() if feature["dtype"] == "video"]
        images = [name for name, feature in info.features.items() if feature["dtype"] == "image"]
        _require_whole(episode, rows, data, cameras, images)

        videos = {key: self._join_video(key, info.features[key].get("info"), episode, folder) for key in cameras}
        offsets = {"index": self._total("total_frames"), "episode_index": self.episodes}
        offsets["task_index"], tasks = self._task(task, folder)
        data_place = self._join_data(_shifted(data, offsets), folder)
        length = len(data)
        row = _shifted(rows, {"episode_index": offsets["episode_index"]})
        row = _shifted_stats(row, offsets)
        row = _with(row, "tasks", [task])
        row = _with(row, "dataset_from_index", offsets["index"])
        row = _with(row, "dataset_to_index", offsets["index"] + length)
        row = _with(_with(row, "data/chunk_index", data_place[0]), "data/file_index", data_place[1])
        for key, (place, start) in videos.items():
            row = _with(row, f"videos/{key}/chunk_index", place[0])
            row = _with(row, f"videos/{key}/file_index", place[1])
            row = _with(row, f"videos/{key}/from_timestamp", start / info.fps)
            row = _with(row, f"videos/{key}/to_timestamp", (start + length) / info.fps)
        episodes_place = self._join_row(row, folder)
        self._write_summary(info, _shift_summary(stats, offsets), length, tasks, folder)
        names = [
            *(_VIDEO.format(*place, key=key) for key, (place, _) in videos.items()),
            _DATA.format(*data_place),
            _TASKS,
            _EPISODES.format(*episodes_place),
            _STATS,
            INFO,
        ]
        return [name for name in names if (folder / name).is_file()]

    def _load(self) -> None:
        self.info = self._io.load_info(self._root)
        self._stats = self._io.load_stats(self._root)
        self._tasks = self._io.load_tasks(self._root)
        paths = sorted((self._root / "meta/episodes").glob("*/*.parquet"))
        if not paths or self.info.total_episodes == 0:
            raise EpisodeError(f"{self._root} is a LeRobot dataset without episodes; remove it or choose another.")
        row = _last_row(paths[-1])
        if row["episode_index"] != self.info.total_episodes - 1:
            raise EpisodeError(
                f"{self._root} says that it has {self.info.total_episodes} episodes, but its table of episodes ends "
                f"with number {row['episode_index']}; it cannot be appended to."
            )
        cameras = [name for name, feature in self.info.features.items() if feature["dtype"] == "video"]
        self._tail = _Tail(
            data=_place(row, "data"),
            episodes=_place(row, "meta/episodes"),
            videos={key: _place(row, f"videos/{key}") for key in cameras},
            video_frames={key: round(row[f"videos/{key}/to_timestamp"] * self.info.fps) for key in cameras},
        )

    def _total(self, name: str) -> int:
        return 0 if self.info is None else int(getattr(self.info, name))

    def _next(self, place: FilePlace) -> FilePlace:
        from lerobot.datasets.utils import update_chunk_file_indices

        chunk, file = update_chunk_file_indices(*place, self.info.chunks_size)
        return int(chunk), int(file)

    def _room(self, name: str, place: FilePlace, more: int, limit_mb: float, **key: str) -> Path | None:
        """The file to be joined to, or None where a new one begins."""
        path = self._root / name.format(*place, **key)
        return path if path.stat().st_size + more <= limit_mb * _MB else None

    def _join_video(self, key: str, encoding: Any, episode: Path, folder: Path) -> tuple[FilePlace, int]:
        from lerobot.datasets.video_utils import concatenate_video_files

        new = episode / _VIDEO.format(0, 0, key=key)
        place, start, before = (0, 0), 0, None
        if self._tail is not None:
            place = self._tail.videos[key]
            if self.info.features[key].get("info") == encoding:  # streams encoded otherwise cannot be joined
                before = self._room(_VIDEO, place, new.stat().st_size, self._video_mb, key=key)
            if before is None:
                place = self._next(place)
            else:
                start = self._tail.video_frames[key]
        target = folder / _VIDEO.format(*place, key=key)
        target.parent.mkdir(parents=True, exist_ok=True)
        if before is None:
            new.replace(target)
        else:
            concatenate_video_files([before, new], target)
        return place, start

    def _join_data(self, table: pa.Table, folder: Path) -> FilePlace:
        place, before = (0, 0), None
        if self._tail is not None:
            place = self._tail.data
            before = self._room(_DATA, place, table.nbytes, self._data_mb)
            place = place if before is not None else self._next(place)
        _write_joined(before, table, folder / _DATA.format(*place))
        return place

    def _join_row(self, row: pa.Table, folder: Path) -> FilePlace:
        place, before = (0, 0), None
        if self._tail is not None:
            place = self._tail.episodes
            before = self._room(_EPISODES, place, 0, _EPISODE_ROWS_MB)
            place = place if before is not None else self._next(place)
        row = _with(_with(row, "meta/episodes/chunk_index", place[0]), "meta/episodes/file_index", place[1])
        _write_joined(before, row, folder / _EPISODES.format(*place))
        return place

    def _task(self, task: str, folder: Path) -> tuple[int, int]:
        """Number of the task, and how many tasks there are with it."""
        import pandas as pd

        known = [] if self._tasks is None else list(self._tasks.index)
        if task in known:
            return known.index(task), len(known)
        table = pd.DataFrame({"task_index": range(len(known) + 1)}, index=pd.Index([*known, task], name="task"))
        self._io.write_tasks(table, folder)
        return len(known), len(known) + 1

    def _write_summary(self, info: Any, stats: Any, length: int, tasks: int, folder: Path) -> None:
        from lerobot.datasets.compute_stats import aggregate_stats

        total = self.episodes + 1
        base = info if self.info is None else self.info
        grown = replace(
            base,
            total_episodes=total,
            total_frames=self._total("total_frames") + length,
            total_tasks=tasks,
            splits={"train": f"0:{total}"},
        )
        self._io.write_info(grown, folder)
        joined = stats if self._stats is None else aggregate_stats([self._stats, stats])
        # the library goes through a set, in an order that changes from process to process
        self._io.write_stats({name: joined[name] for name in grown.features if name in joined}, folder)


def _require_whole(
    episode: Path, rows: pa.Table, data: pa.Table, cameras: Iterable[str], images: Iterable[str]
) -> None:
    """Check what the library only logs: that an image could not be written."""
    length = len(data)
    lost = "is the disk full? The recorded episode is not whole:"
    if len(rows) != 1 or rows["length"][0].as_py() != length:
        raise RecordingError(f"{lost} its table has {length} rows.")
    for key in cameras:
        with av.open(episode / _VIDEO.format(0, 0, key=key)) as container:
            count = sum(packet.size > 0 for packet in container.demux(video=0))
        if count != length:
            raise RecordingError(f"{lost} camera {key!r} has {count} of {length} frames.")
    for key in images:
        for number, image in enumerate(data[key]):
            if not image["bytes"].as_py().endswith(_PNG_END):
                raise RecordingError(f"{lost} frame {number} of camera {key!r} is cut off.")


def _without_fingerprint(table: pa.Table) -> pa.Table:
    """Drop the random number by which `datasets` knows its caches, so that the same recording gives the same file."""
    metadata = dict(table.schema.metadata or {})
    features = json.loads(metadata.get(b"huggingface", b"{}"))
    features.pop("fingerprint", None)
    return table.replace_schema_metadata({**metadata, b"huggingface": json.dumps(features).encode()})


def _write_joined(before: Path | None, table: pa.Table, path: Path) -> None:
    """Write a parquet file of all row groups of another and one more."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if before is None:
        with pq.ParquetWriter(path, table.schema, compression="snappy") as writer:
            writer.write_table(table)
        return
    with pq.ParquetFile(before) as old, pq.ParquetWriter(path, old.schema_arrow, compression="snappy") as writer:
        for group in range(old.num_row_groups):
            writer.write_table(old.read_row_group(group))
        writer.write_table(table.select(old.schema_arrow.names).cast(old.schema_arrow))


def _last_row(path: Path) -> dict[str, Any]:
    with pq.ParquetFile(path) as file:
        group = file.read_row_group(file.num_row_groups - 1)
    row: dict[str, Any] = group.slice(len(group) - 1).to_pylist()[0]
    return row


def _place(row: Mapping[str, Any], prefix: str) -> FilePlace:
    return int(row[f"{prefix}/chunk_index"]), int(row[f"{prefix}/file_index"])


def _shifted(table: pa.Table, offsets: Mapping[str, int]) -> pa.Table:
    for name, offset in offsets.items():
        position = table.schema.get_field_index(name)
        field = table.schema.field(position)
        table = table.set_column(position, field, pc.add(table[name], pa.scalar(offset, field.type)))
    return table


def _with(table: pa.Table, name: str, value: float | list[str]) -> pa.Table:
    position = table.schema.get_field_index(name)
    field = table.schema.field(position)
    return table.set_column(position, field, pa.array([value], field.type))


def _shifted_stats(row: pa.Table, offsets: Mapping[str, int]) -> pa.Table:
    """Shift what an episode's row says about the columns that number frames, episodes and tasks."""
    for position, field in enumerate(row.schema):
        kind, _, rest = field.name.partition("/")
        column, _, figure = rest.rpartition("/")
        if kind == "stats" and column in offsets and figure not in {"std", "count"}:
            values = [value + offsets[column] for value in row[field.name][0].as_py()]
            row = row.set_column(position, field, pa.array([values], field.type))
    return row


def _shift_summary(stats: Mapping[str, Mapping[str, Any]], offsets: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    return {
        column: {
            figure: value if figure in {"std", "count"} else value + offsets.get(column, 0)
            for figure, value in figures.items()
        }
        for column, figures in stats.items()
    }
