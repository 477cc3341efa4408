"""An episode whose columns and pictures are datasets of an HDF5 file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from cosmos_robot.datasets.episode import Episode
from cosmos_robot.datasets.hdf5_files import HDF5_ERRORS
from cosmos_robot.datasets.open_files import OpenFiles
from cosmos_robot.datasets.unreadable_frame import read_or_name_frame
from cosmos_robot.errors import EpisodeError
from cosmos_robot.types import Frames

_NUMERIC_KINDS = "biuf"


@dataclass(frozen=True)
class Hdf5Layout:
    """Where the parts of an episode lie in its file.

    Attributes:
        length: number of time steps.
        columns: path of each column's dataset in the file.
        cameras: path of each camera's dataset in the file.
    """

    length: int
    columns: Mapping[str, str]
    cameras: Mapping[str, str]


class Hdf5Episode(Episode):
    """One episode; rows are read when they are asked for, and only those."""

    def __init__(
        self,
        files: "OpenFiles[h5py.File]",
        path: Path,
        layout: Hdf5Layout,
        *,
        index: int,
        where: str,
        task: str,
        fps: float,
    ) -> None:
        self._files, self._path, self._layout = files, path, layout
        self.index, self.where, self.task, self.fps = index, where, task, fps
        self.cameras, self.columns = tuple(layout.cameras), tuple(layout.columns)

    def __len__(self) -> int:
        return self._layout.length

    def _column(self, name: str, start: int, stop: int) -> NDArray[Any]:
        return self._rows(self._layout.columns[name], f"column {name!r}", start, stop)

    def _frames(self, camera: str, start: int, stop: int) -> Frames:
        stored = self._rows(self._layout.cameras[camera], f"camera {camera!r}", start, stop)
        return np.ascontiguousarray(self._pictures(stored, camera, start))

    def _pictures(self, stored: NDArray[Any], camera: str, start: int) -> Frames:
        """What is stored as uint8 RGB `[N, H, W, 3]`, the right way up; `start` is the first frame's number."""
        return stored

    def _rows(self, dataset: str, what: str, start: int, stop: int) -> NDArray[Any]:
        def read(first: int, end: int) -> NDArray[Any]:
            with self._files.using(self._path) as file:
                return np.asarray(file[dataset][first:end])

        return read_or_name_frame(read, start, stop, where=self.where, what=what, errors=HDF5_ERRORS)


def is_picture(dataset: object) -> bool:
    """Whether this is a dataset of uint8 pictures `[N, H, W, 3]`."""
    return (
        isinstance(dataset, h5py.Dataset) and dataset.dtype == np.uint8 and dataset.ndim == 4 and dataset.shape[-1] == 3
    )


def is_column(dataset: object) -> bool:
    """Whether this is a dataset of numbers with a first axis."""
    return isinstance(dataset, h5py.Dataset) and dataset.ndim >= 1 and dataset.dtype.kind in _NUMERIC_KINDS


def require_length(where: str, name: str, found: int, length: int) -> None:
    """Check that a column is as long as its episode.

    Raises:
        EpisodeError: if it is not.
    """
    if found != length:
        raise EpisodeError(f"{where}: {name!r} has {found} rows, but the actions have {length}; the file is damaged.")
