"""The episodes of a LeRobot dataset as columns: which rows and which frames of which files each one has.

Read from `meta/` by Arrow; nothing becomes a Python object an episode.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cosmos_robot.datasets.lerobot_files import DatasetFiles
from cosmos_robot.datasets.lerobot_info import DatasetInfo
from cosmos_robot.datasets.lerobot_numbers import as_numbers
from cosmos_robot.errors import EpisodeError

type Integers = NDArray[np.int64]

_JSON_BLOCK_BYTES = 16_000_000
"""A line must fit into a block; Arrow's own default is 1 MB."""


@dataclass(frozen=True)
class VideoPlaces:
    """Where each episode's frames of one camera are; each `[E]`.

    Attributes:
        chunk: number of the folder.
        file: number of the file in it.
        first: number of the episode's first frame in the file.
        frames: how many frames the metadata gives it there.
    """

    chunk: Integers
    file: Integers
    first: Integers
    frames: Integers


@dataclass(frozen=True)
class EpisodeTable:
    """All episodes of a dataset; each array `[E]`.

    Attributes:
        index: number of the episode, as the dataset counts.
        length: time steps.
        chunk: number of the folder of its parquet file.
        file: number of the file in it.
        first_row: its first row in that file.
        tasks: lists of task texts, or None where the metadata has none.
        videos: by camera.
        missing: sentences about what the metadata lacks, and what is taken instead.
    """

    index: Integers
    length: Integers
    chunk: Integers
    file: Integers
    first_row: Integers
    tasks: pa.ChunkedArray | None
    videos: Mapping[str, VideoPlaces]
    missing: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.index)

    def task_texts(self, position: int) -> list[str]:
        """The tasks that the metadata gives an episode, in no order that means something."""
        texts = None if self.tasks is None else self.tasks[position].as_py()
        return [texts] if isinstance(texts, str) else [text for text in texts or [] if text is not None]


def read_v2(files: DatasetFiles, info: DatasetInfo) -> EpisodeTable:
    """Read `meta/episodes.jsonl`: one parquet file, and one video a camera, for each episode.

    Raises:
        EpisodeError: if it is missing or damaged.
    """
    path = files.root / "meta" / "episodes.jsonl"
    table = _read_jsonl(path, {"episode_index": pa.int64(), "length": pa.int64(), "tasks": pa.list_(pa.string())})
    index = _integers(table, "episode_index", path)
    length = _integers(table, "length", path)
    zeros = np.zeros_like(index)
    place = VideoPlaces(chunk=zeros, file=zeros, first=zeros, frames=length)
    return EpisodeTable(
        index=index,
        length=length,
        chunk=zeros,
        file=zeros,
        first_row=zeros,
        tasks=_tasks(table),
        videos=dict.fromkeys(info.video_keys, place),
        missing=() if "tasks" in table.column_names else (f"{path} has no 'tasks'",),
    )


def read_v3(files: DatasetFiles, info: DatasetInfo) -> EpisodeTable:
    """Read `meta/episodes/`: many episodes in each parquet file and video.

    Raises:
        EpisodeError: if it is missing, damaged, or lacks what cannot be worked out otherwise; the columns are named.
    """
    folder = files.root / "meta" / "episodes"
    table = _read_episode_files(folder, info)
    index, length = _integers(table, "episode_index", folder), _integers(table, "length", folder)
    sorted_by_index = bool((np.diff(index) > 0).all())
    order = np.arange(len(index)) if sorted_by_index else np.argsort(index, kind="stable")
    missing: list[str] = []
    chunk, file = _places(table, "data/chunk_index", "data/file_index", folder, missing)
    _require_one_file(files, info, folder, missing)
    videos = {}
    for key in info.video_keys:
        lacking: list[str] = []
        videos[key] = _video_places(table, key, info, folder, lacking)
        _require_one_file(files, info, folder, lacking, key)
        missing += lacking
    if "tasks" not in table.column_names:
        missing.append(f"{folder} has no column 'tasks'; the rows' task_index is taken")
    return EpisodeTable(
        index=index[order],
        length=length[order],
        chunk=chunk[order],
        file=file[order],
        first_row=_starts_in_file(chunk, file, length, index)[order],
        tasks=_tasks(table, None if sorted_by_index else order),
        videos={key: _reordered(place, order) for key, place in videos.items()},
        missing=tuple(missing),
    )


def read_tasks(files: DatasetFiles, info: DatasetInfo) -> pa.Table:
    """Read the dataset's tasks.

    Returns:
        columns `task_index` and `task`.

    Raises:
        EpisodeError: if they are missing or damaged.
    """
    if info.layout == "v2":
        path = files.root / "meta" / "tasks.jsonl"
        table = _read_jsonl(path, {"task_index": pa.int64(), "task": pa.string()})
    else:
        path = files.root / "meta" / "tasks.parquet"
        table = _read_parquet(path)
    texts = [
        field.name for field in table.schema if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
    ]
    text = "task" if "task" in texts else next(iter(texts), None)  # pandas writes an index without a name as it likes
    if text is None or "task_index" not in table.column_names:
        raise EpisodeError(
            f"{path} must have 'task_index' and a text; it has {', '.join(table.column_names) or 'none'}."
        )
    return pa.table({"task_index": table.column("task_index"), "task": table.column(text)})


def _read_jsonl(path: Path, columns: dict[str, pa.DataType]) -> pa.Table:
    if not path.is_file():
        raise EpisodeError(f"there is no {path}; a LeRobot v2 dataset must have it.")
    options = pj.ParseOptions(explicit_schema=pa.schema(columns), unexpected_field_behavior="ignore")
    try:
        return pj.read_json(path, pj.ReadOptions(use_threads=False, block_size=_JSON_BLOCK_BYTES), options)
    except (pa.ArrowException, OSError) as error:
        raise EpisodeError(f"{path} is damaged or not as LeRobot v2 writes it: {_first_line(error)}.") from error


def _read_parquet(path: Path, columns: list[str] | None = None) -> pa.Table:
    if not path.is_file():
        raise EpisodeError(f"there is no {path}; a LeRobot v3 dataset must have it.")
    try:
        with pq.ParquetFile(path) as file:
            known = file.schema_arrow.names
            # column by column: by name, "length" would bring "length.x" along, and the statistics are never wanted
            return file.read([name for name in columns or known if name in known], use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise EpisodeError(f"{path} is no whole parquet file ({_first_line(error)}). Copy it again.") from error


def _read_episode_files(folder: Path, info: DatasetInfo) -> pa.Table:
    wanted = ["episode_index", "length", "tasks", "data/chunk_index", "data/file_index"]
    for key in info.video_keys:
        wanted += [f"videos/{key}/{name}" for name in ("chunk_index", "file_index", "from_timestamp", "to_timestamp")]
    paths = sorted(folder.glob("*/*.parquet"))
    if not paths:
        raise EpisodeError(f"there is no {folder}/chunk-000/file-000.parquet; a LeRobot v3 dataset must have it.")
    try:
        return pa.concat_tables([_read_parquet(path, wanted) for path in paths], promote_options="permissive")
    except pa.ArrowException as error:
        raise EpisodeError(f"the files in {folder} do not have the same columns: {_first_line(error)}.") from error


def _integers(table: pa.Table, name: str, path: Path) -> Integers:
    if name not in table.column_names:
        raise EpisodeError(f"{path} has no column {name!r}; it has {', '.join(table.column_names) or 'none'}.")
    column = table.column(name)
    if column.null_count:
        raise EpisodeError(f"{path}: column {name!r} lacks {column.null_count} of {len(column)} values.")
    return np.asarray(as_numbers(pc.cast(column, pa.int64())), dtype=np.int64)


def _tasks(table: pa.Table, order: NDArray[np.intp] | None = None) -> pa.ChunkedArray | None:
    if "tasks" not in table.column_names:
        return None
    tasks = table.column("tasks")
    return tasks if order is None else tasks.take(pa.array(order))


def _places(table: pa.Table, chunk: str, file: str, folder: Path, missing: list[str]) -> tuple[Integers, Integers]:
    absent = [name for name in (chunk, file) if name not in table.column_names]
    if absent:
        missing.append(f"{folder} has no column {' nor '.join(map(repr, absent))}; the dataset's one file is taken")
        zeros = np.zeros(len(table), dtype=np.int64)
        return zeros, zeros
    return _integers(table, chunk, folder), _integers(table, file, folder)


def _video_places(table: pa.Table, key: str, info: DatasetInfo, folder: Path, missing: list[str]) -> VideoPlaces:
    chunk, file = _places(table, f"videos/{key}/chunk_index", f"videos/{key}/file_index", folder, missing)
    index, length = _integers(table, "episode_index", folder), _integers(table, "length", folder)
    begin, end = f"videos/{key}/from_timestamp", f"videos/{key}/to_timestamp"
    if begin not in table.column_names:
        missing.append(f"{folder} has no column {begin!r}; episodes are taken to follow each other in the video")
        return VideoPlaces(chunk, file, _starts_in_file(chunk, file, length, index), length)
    first = _frame_numbers(table, begin, info.fps, folder)
    frames = _frame_numbers(table, end, info.fps, folder) - first if end in table.column_names else length
    return VideoPlaces(chunk, file, first, frames)


def _frame_numbers(table: pa.Table, name: str, fps: float, folder: Path) -> Integers:
    column = table.column(name)
    if column.null_count:
        raise EpisodeError(f"{folder}: column {name!r} lacks {column.null_count} of {len(column)} values.")
    seconds = as_numbers(pc.cast(column, pa.float64()))
    if not np.isfinite(seconds).all():
        raise EpisodeError(f"{folder}: column {name!r} is not finite in row {int(np.argmin(np.isfinite(seconds)))}.")
    # Times are sums of many durations and drift; a number is the nearest.
    numbers: Integers = np.rint(seconds * fps).astype(np.int64)
    return numbers


def _require_one_file(
    files: DatasetFiles, info: DatasetInfo, folder: Path, missing: list[str], key: str | None = None
) -> None:
    """Where the metadata does not name the file, there must be only one."""
    if not missing:
        return
    for chunk, file in ((0, 1), (1, 0)):
        place = {"episode": 0, "chunk": chunk, "file": file}
        other = info.data_file(**place) if key is None else info.video_file(key, **place)
        if files.is_here(other):
            raise EpisodeError(
                f"{'; '.join(missing)}, but there are several, such as {files.root / other}. Write {folder} again."
            )


def _starts_in_file(chunk: Integers, file: Integers, length: Integers, index: Integers) -> Integers:
    """First row of each episode in its file, where episodes follow each other by number."""
    order = np.lexsort((index, file, chunk))
    ends = np.cumsum(length[order])
    begins = ends - length[order]
    fresh = np.ones(len(order), dtype=bool)
    fresh[1:] = (np.diff(chunk[order]) != 0) | (np.diff(file[order]) != 0)
    file_begins = np.maximum.accumulate(np.where(fresh, begins, 0))
    starts: Integers = np.empty(len(order), dtype=np.int64)
    starts[order] = begins - file_begins
    return starts


def _reordered(place: VideoPlaces, order: NDArray[np.intp]) -> VideoPlaces:
    return VideoPlaces(place.chunk[order], place.file[order], place.first[order], place.frames[order])


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
