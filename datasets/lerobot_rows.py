"""Rows of parquet columns, read by row group and held in a small bounded cache."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cosmos_robot.datasets.open_files import OpenFiles
from cosmos_robot.errors import EpisodeError

_BATCH_ROWS = 256


@dataclass(frozen=True)
class _OpenTable:
    """An open parquet file and the first row of each of its row groups, with the end as the last number."""

    file: pq.ParquetFile
    starts: NDArray[np.int64]
    leaves: dict[str, list[int]]
    """Physical columns of each top-level column, by number."""


class ParquetRows:
    """Reads rows of single columns from parquet files.

    A row group's column is kept decoded, the least recently used dropped first; one that alone is larger than a quarter
    of the cache is streamed instead and not kept.

    Args:
        cache_bytes: bound of what is kept.
        max_open: how many files are open at once.

    Attributes:
        groups_read: row-group columns that were decoded so far, in this process.
    """

    def __init__(self, *, cache_bytes: int = 64_000_000, max_open: int = 32) -> None:
        self._cache_bytes, self._max_open = cache_bytes, max_open
        self._begin()

    def _begin(self) -> None:
        self._files: OpenFiles[_OpenTable] = OpenFiles(_open, _close, self._max_open)
        self._cache: OrderedDict[tuple[Path, str, int], pa.ChunkedArray] = OrderedDict()
        self._lock = threading.Lock()
        self.held_bytes = 0
        self.groups_read = 0

    def __getstate__(self) -> dict[str, Any]:
        return {"_cache_bytes": self._cache_bytes, "_max_open": self._max_open}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()

    def schema(self, path: Path) -> pa.Schema:
        """Names and types of a file's columns.

        Raises:
            EpisodeError: if the file is missing or damaged.
        """
        with self._files.using(path) as table:
            return table.file.schema_arrow

    def row_count(self, path: Path) -> int:
        """Number of rows of a file.

        Raises:
            EpisodeError: if the file is missing or damaged.
        """
        with self._files.using(path) as table:
            return int(table.starts[-1])

    def read(self, path: Path, column: str, start: int, stop: int) -> pa.ChunkedArray:
        """Rows `start:stop` of a column, which must be within the file.

        Raises:
            EpisodeError: if the file is missing, has no such column, or is damaged.
        """
        with self._files.using(path) as table:
            if column not in table.leaves:
                raise EpisodeError(f"{path} has no column {column!r}; it has {', '.join(table.leaves)}.")
            first = int(np.searchsorted(table.starts, start, side="right")) - 1
            last = int(np.searchsorted(table.starts, stop, side="left"))
            parts: list[pa.Array] = []
            for group in range(first, last):
                begin = int(table.starts[group])
                low, high = max(start - begin, 0), min(stop, int(table.starts[group + 1])) - begin
                try:
                    parts += self._group_rows(table, (path, column, group), low, high).chunks
                except (pa.ArrowException, OSError) as error:
                    raise EpisodeError(
                        f"{path} is damaged: column {column!r} does not read at rows {begin + low} to "
                        f"{begin + high - 1} ({_first_line(error)})."
                    ) from error
        return pa.chunked_array(parts, type=table.file.schema_arrow.field(column).type)

    def close(self) -> None:
        """Close all files and drop the cache."""
        self._files.close()
        with self._lock:
            self._cache.clear()
            self.held_bytes = 0

    def _group_rows(self, table: _OpenTable, key: tuple[Path, str, int], low: int, high: int) -> pa.ChunkedArray:
        _, column, group = key
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key].slice(low, high - low)
        self.groups_read += 1
        metadata = table.file.metadata.row_group(group)
        size = sum(metadata.column(leaf).total_uncompressed_size for leaf in table.leaves[column])
        if size > self._cache_bytes // 4:
            return _streamed(table, column, group, low, high)
        # by the numbers of the physical columns: by name, "action" would bring "action.joint_position" along
        read = table.file.reader.read_row_group(group, column_indices=table.leaves[column], use_threads=False)
        values = read.column(column)
        self._hold(key, values)
        return values.slice(low, high - low)

    def _hold(self, key: tuple[Path, str, int], values: pa.ChunkedArray) -> None:
        with self._lock:
            if key not in self._cache:
                self._cache[key] = values
                self.held_bytes += values.nbytes
            while self.held_bytes > self._cache_bytes and self._cache:
                self.held_bytes -= self._cache.popitem(last=False)[1].nbytes


def _streamed(table: _OpenTable, column: str, group: int, low: int, high: int) -> pa.ChunkedArray:
    parts, row = [], 0
    batches = table.file.reader.iter_batches(
        _BATCH_ROWS, row_groups=[group], column_indices=table.leaves[column], use_threads=False
    )
    for batch in batches:
        begin, end = max(low - row, 0), min(high - row, len(batch))
        if begin < end:
            parts.append(batch.column(0).slice(begin, end - begin))
        row += len(batch)
        if row >= high:
            break
    return pa.chunked_array(parts)


def _open(path: Path) -> _OpenTable:
    if not path.is_file():
        raise EpisodeError(f"there is no {path}.")
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise EpisodeError(f"{path} is no whole parquet file ({_first_line(error)}). Copy it again.") from error
    rows = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
    leaves: dict[str, list[int]] = {name: [] for name in file.schema_arrow.names}
    for leaf in range(file.metadata.num_columns):
        dotted = file.schema.column(leaf).path
        # names have dots of their own; the longest that fits is the column
        name = max((name for name in leaves if dotted == name or dotted.startswith(f"{name}.")), key=len)
        leaves[name].append(leaf)
    return _OpenTable(file, np.cumsum([0, *rows]), leaves)


def _close(table: _OpenTable) -> None:
    table.file.close()


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
