"""LeRobot datasets, v2.0, v2.1 and v3.0, from a folder or the Hub, without the lerobot library."""

import logging
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from cosmos_robot.datasets.episode import Episode, Episodes
from cosmos_robot.datasets.frame_reader import FrameError, FrameReader
from cosmos_robot.datasets.lerobot_files import DatasetFiles, hub_files
from cosmos_robot.datasets.lerobot_images import decode_images
from cosmos_robot.datasets.lerobot_info import DatasetInfo
from cosmos_robot.datasets.lerobot_numbers import RowError, as_array, is_numeric
from cosmos_robot.datasets.lerobot_rows import ParquetRows
from cosmos_robot.datasets.lerobot_table import EpisodeTable, read_tasks, read_v2, read_v3
from cosmos_robot.datasets.open_episodes import VideoBackend
from cosmos_robot.errors import EpisodeError, InvalidInputError, MediaError
from cosmos_robot.types import Frames

logger = logging.getLogger(__name__)


def recognises(path: Path) -> bool:
    """Whether a path is a LeRobot dataset's folder."""
    return (path / "meta" / "info.json").is_file()


def open_source(path: Path, *, fps: float | None = None, backend: VideoBackend = "pyav") -> "LeRobotEpisodes":
    """Open a folder.

    Args:
        path: the folder with `meta/` in it.
        fps: None, or what the dataset records.
        backend: what decodes videos.

    Raises:
        InvalidInputError: if `fps` is not what the dataset records.
        EpisodeError: if its metadata is damaged or incomplete.
        MissingDependencyError: if the backend is not there.
    """
    opened = LeRobotEpisodes(DatasetFiles(path), backend=backend)
    if fps is not None and fps != opened.fps:
        raise InvalidInputError(f"{path} records {opened.fps:g} frames a second; fps={fps:g} cannot be given for it.")
    return opened


def open_hub_id(repository: str, *, backend: VideoBackend = "pyav") -> "LeRobotEpisodes":
    """Open a dataset on the Hugging Face Hub; its metadata is fetched now, data and videos when they are asked for.

    Raises:
        InvalidInputError: if there is none of that name, or the Hub cannot be reached.
        EpisodeError: if its metadata is damaged or incomplete.
        MissingDependencyError: if the backend is not there.
    """
    return LeRobotEpisodes(hub_files(repository), backend=backend)


class LeRobotEpisodes(Episodes):
    """A LeRobot dataset.

    It can be pickled and survives a fork: each process opens its own files.

    Args:
        files: its files.
        backend: what decodes videos.

    Attributes:
        missing: sentences about what the dataset lacks, and what is taken instead.
        reader: reads the videos.
        rows: reads the parquet files.
    """

    def __init__(self, files: DatasetFiles, *, backend: VideoBackend = "pyav") -> None:
        layout = "v3" if (files.root / "meta" / "episodes").is_dir() else "v2"
        self._files = files
        self._info = DatasetInfo.read(files.root / "meta" / "info.json", "v3" if layout == "v3" else "v2")
        if layout == "v2" and not files.is_here("meta/episodes.jsonl"):
            raise EpisodeError(
                f"{files.root / 'meta'} says {self._info.version} and has neither episodes/ (LeRobot v3.0) nor "
                f"episodes.jsonl (v2.0, v2.1). Older datasets are converted by lerobot's own scripts."
            )
        self._table: EpisodeTable = (read_v3 if layout == "v3" else read_v2)(files, self._info)
        self.source = files.repository or str(files.root)
        self.format = f"lerobot {self._info.version}"
        self.fps = self._info.fps
        self.reader = FrameReader(self.fps, backend=backend)
        self.rows = ParquetRows()
        self._checked = np.zeros(len(self._table), dtype=bool)
        absent = self._absent_cameras()
        self.cameras = tuple(key for key in (*self._info.video_keys, *self._info.image_keys) if key not in absent)
        self.missing = (*self._table.missing, *self._other_faults(absent))
        for sentence in self.missing:
            logger.warning("%s: %s", self.source, sentence)

    def __len__(self) -> int:
        return len(self._table)

    def lengths(self) -> NDArray[np.int64]:
        """Time steps of every episode, `[len(self)]`."""
        return self._table.length

    def _episode(self, position: int) -> "LeRobotEpisode":
        return LeRobotEpisode(self, position)

    def close(self) -> None:
        """Close all files; calling it again does nothing. Episodes open them again when they are asked."""
        self.reader.close()
        self.rows.close()

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of the numeric columns: those of the first parquet file, or of `info.json` while it is not here."""
        relative = self.data_file(0) if len(self) else None
        if relative is None or not self._files.is_here(relative):
            return self._info.numeric_keys
        schema = self.rows.schema(self._files.root / relative)
        return tuple(field.name for field in schema if is_numeric(field.type))

    @cached_property
    def tasks(self) -> pa.Table:
        """Columns `task_index` and `task`."""
        return read_tasks(self._files, self._info)

    @property
    def info(self) -> DatasetInfo:
        """What `meta/info.json` says."""
        return self._info

    @property
    def table(self) -> EpisodeTable:
        """Where each episode is."""
        return self._table

    def local(self, relative: str) -> Path:
        """Path of one of its files; for a dataset on the Hub it is fetched."""
        return self._files.local(relative)

    def data_file(self, position: int) -> str:
        """Relative path of an episode's parquet file."""
        table = self._table
        return self._info.data_file(
            episode=int(table.index[position]), chunk=int(table.chunk[position]), file=int(table.file[position])
        )

    def video_file(self, camera: str, position: int) -> str:
        """Relative path of an episode's video of a camera."""
        place = self._table.videos[camera]
        return self._info.video_file(
            camera,
            episode=int(self._table.index[position]),
            chunk=int(place.chunk[position]),
            file=int(place.file[position]),
        )

    def require_rows(self, position: int) -> None:
        """Check once that the rows that the table gives an episode are that episode's.

        Raises:
            EpisodeError: if not.
        """
        if self._checked[position]:
            return
        table, path = self._table, self.local(self.data_file(position))
        first, length, index = (int(column[position]) for column in (table.first_row, table.length, table.index))
        where, rows = f"{path}, episode {index}", self.rows.row_count(path)
        if first + length > rows or (self._info.layout == "v2" and length != rows):
            raise EpisodeError(
                f"{where}, frame {max(min(rows - first, length), 0)}: the table in meta/ gives it rows {first} to "
                f"{first + length - 1}, but the file has {rows} rows."
            )
        if "episode_index" in self.rows.schema(path).names:
            numbers = as_array(self.rows.read(path, "episode_index", first, first + length))
            if (numbers != index).any():
                frame = int(np.argmax(numbers != index))
                raise EpisodeError(
                    f"{where}, frame {frame}: the table in meta/ gives it row {first + frame}, which is of episode "
                    f"{int(numbers[frame])}. The data and meta/ are not of one version; copy them again."
                )
        self._checked[position] = True

    def _absent_cameras(self) -> tuple[str, ...]:
        if self._files.repository is not None or not len(self):
            return ()
        folders = {key: Path(self.video_file(key, 0)).parent for key in self._info.video_keys}
        return tuple(key for key, folder in folders.items() if not self._files.is_here(str(folder)))

    def _other_faults(self, absent: tuple[str, ...]) -> list[str]:
        faults = [f"camera {key!r} is in meta/info.json, but its videos are not here" for key in absent]
        faults += [f"{key!r} is a depth map and is not read as a camera" for key in self._info.depth_keys]
        promised = self._info.total_episodes
        if promised is not None and promised != len(self):
            faults.append(f"meta/info.json promises {promised} episodes; the table in meta/ has {len(self)}")
        return faults


class LeRobotEpisode(Episode):
    """One episode of a LeRobot dataset."""

    def __init__(self, dataset: LeRobotEpisodes, position: int) -> None:
        self._dataset, self._position = dataset, position
        self.index = int(dataset.table.index[position])
        self.where = f"{Path(dataset.source) / dataset.data_file(position)}, episode {self.index}"
        self.fps = dataset.fps
        self.cameras = dataset.cameras

    def __len__(self) -> int:
        return int(self._dataset.table.length[self._position])

    @cached_property
    def columns(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the numeric columns, as the dataset spells them."""
        return self._dataset.columns

    @cached_property
    def task(self) -> str:  # type: ignore[override]
        """What the robot was told at the episode's first time step, or "" where nothing is recorded."""
        texts = self._dataset.table.task_texts(self._position)
        if len(texts) == 1:
            return texts[0]
        if "task_index" not in self.columns or not len(self):
            return texts[0] if texts else ""
        number = int(self._column("task_index", 0, 1)[0])
        tasks = self._dataset.tasks
        row = pc.index(tasks.column("task_index"), number).as_py()
        if row < 0:
            raise EpisodeError(f"{self.where}, frame 0: there is no task {number} in the dataset's tasks.")
        return str(tasks.column("task")[row].as_py())

    def _column(self, name: str, start: int, stop: int) -> NDArray[Any]:
        if start == stop and len(self):  # one row tells the width
            return self._column(name, min(start, len(self) - 1), min(start, len(self) - 1) + 1)[:0]
        values = self._rows(name, start, stop)
        try:
            return as_array(values)
        except RowError as error:
            frame = start + error.row
            raise EpisodeError(f"{self.where}, frame {frame}: column {name!r} is damaged: {error}.") from error

    def _frames(self, camera: str, start: int, stop: int) -> Frames:
        if camera in self._dataset.info.image_keys:
            return decode_images(self._rows(camera, start, stop), self.where, start, self._dataset.local)
        place = self._dataset.table.videos[camera]
        first = int(place.first[self._position])
        path = self._local(self._dataset.video_file(camera, self._position), start)
        try:
            self._require_frames(path, camera)
            return self._dataset.reader.read(path, first + start, first + stop)
        except FrameError as error:
            raise EpisodeError(f"episode {self.index}, frame {error.number - first}: {error}") from error
        except MediaError as error:
            raise EpisodeError(f"episode {self.index}, frame {start}: {error}") from error

    def _require_frames(self, path: Path, camera: str) -> None:
        """Video and table must agree on the number of frames, or no frame is known to be the right one."""
        where = f"{path}, episode {self.index}"
        place = self._dataset.table.videos[camera]
        first, promised, length = int(place.first[self._position]), int(place.frames[self._position]), len(self)
        if promised != length:
            raise EpisodeError(
                f"{where}, frame {min(promised, length)}: the table in meta/ gives the episode {length} time steps, "
                f"but {promised} frames of camera {camera!r}."
            )
        count = self._dataset.reader.frame_count(path)
        if count is None:
            return
        if first + length > count or (self._dataset.info.layout == "v2" and count != length):
            raise EpisodeError(
                f"{where}, frame {max(min(count - first, length), 0)}: the video has {count} frames, but the table in "
                f"meta/ gives the episode frames {first} to {first + length - 1} of it."
            )

    def _rows(self, name: str, start: int, stop: int) -> pa.ChunkedArray:
        first = int(self._dataset.table.first_row[self._position])
        path = self._local(self._dataset.data_file(self._position), start)
        try:
            self._dataset.require_rows(self._position)
            return self._dataset.rows.read(path, name, first + start, first + stop)
        except EpisodeError as error:
            if str(error).startswith(self.where):
                raise
            raise EpisodeError(f"episode {self.index}, frame {start}: {error}") from error

    def _local(self, relative: str, frame: int) -> Path:
        try:
            return self._dataset.local(relative)
        except EpisodeError as error:
            raise EpisodeError(f"episode {self.index}, frame {frame}: {error}") from error
