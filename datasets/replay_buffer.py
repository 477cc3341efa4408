"""diffusion-policy's Zarr replay buffers, and UMI's: `data/<key>` of all episodes in a row, `meta/episode_ends`."""

import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import zarr.errors
from numpy.typing import NDArray

from cosmos_robot.datasets.episode import Episode, Episodes
from cosmos_robot.datasets.open_episodes import VideoBackend
from cosmos_robot.datasets.open_files import OpenFiles
from cosmos_robot.datasets.unreadable_frame import read_or_name_frame, reason
from cosmos_robot.datasets.zarr_arrays import ZARR_ERRORS, MissingChunks, ZarrArrays, open_zarr
from cosmos_robot.errors import EpisodeError, InvalidInputError
from cosmos_robot.types import Frames

_ENDS = "meta/episode_ends"
_DATA = "data/"
_ROOT_FILES = (".zgroup", ".zmetadata", "zarr.json")
_UMI = re.compile(r"camera\d+_rgb|robot\d+_(gripper_width|demo_start_pose)")
_UMI_RATE = 60000 / 1001
"""GoPro video, 59.94 Hz; UMI stores every frame."""
_ROBOMIMIC = re.compile(r"\w+_image|robot\d+_eef_quat")
_ROBOMIMIC_RATE = 20.0
_RATE = 10.0
"""Push-T and the real robot of diffusion policy."""
_SMALLEST_PICTURE = 16


def recognises(path: Path) -> bool:
    """Whether this is a Zarr folder, a file named `.zarr.zip`, or another zip file of a Zarr folder."""
    if path.is_dir():
        return any((path / name).is_file() for name in _ROOT_FILES) or (path / _ENDS).is_dir()
    if path.name.lower().endswith(".zarr.zip"):
        return True
    if path.suffix.lower() != ".zip":
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except zipfile.BadZipFile:
        return False
    return not names.isdisjoint(_ROOT_FILES)


def open_source(
    path: Path,
    *,
    fps: float | None = None,
    backend: VideoBackend = "pyav",
    missing_chunks: MissingChunks = "error",
) -> "ReplayBufferEpisodes":
    """Open a replay buffer.

    Args:
        path: a Zarr folder or a zip file of one, Zarr format 2 (or 3).
        fps: time steps a second, which the format does not record; None is 59.94 for UMI's arrays, 20 for
            robomimic's, 10 (Push-T) for others.
        backend: not used; the pictures are arrays.
        missing_chunks: what a chunk is that is not stored; see `ReplayBufferEpisodes`.

    Returns:
        the episodes; no chunk but those of `meta/episode_ends` is read yet.

    Raises:
        InvalidInputError: if `missing_chunks` is neither `error` nor `fill`.
        MissingDependencyError: if a codec's package is not installed.
        EpisodeError: if it cannot be read, has not this layout (what it has is listed), or its arrays have other
            lengths than `episode_ends` says.
    """
    return ReplayBufferEpisodes(path, fps=fps, missing_chunks=missing_chunks)


class ReplayBufferEpisodes(Episodes):
    """Episodes of a replay buffer.

    Cameras are the arrays `[T, H, W, 3]` of uint8, or of floats in 0..255, which come back as uint8; columns are the
    other arrays. The task is not recorded.

    Zarr leaves out chunks that hold only its fill value, if the writer says so, and gives zeros for a chunk that was
    lost. A chunk that is not there is therefore an error when it is read; where zeros were left out on purpose, say
    `missing_chunks="fill"`.
    """

    def __init__(self, path: str | Path, *, fps: float | None = None, missing_chunks: MissingChunks = "error") -> None:
        """Read the arrays' metadata and the episodes' ends; see `open_source`."""
        if missing_chunks not in get_args(MissingChunks.__value__):
            raise InvalidInputError(f"unknown missing_chunks {missing_chunks!r}; expected error or fill.")
        self._buffer = _Buffer(Path(path), missing_chunks)
        self._ends = self._buffer.episode_ends()
        keys = (*self._buffer.cameras, *self._buffer.columns)
        self.source = str(path)
        self.format = "umi zarr" if any(map(_UMI.fullmatch, keys)) else "diffusion-policy zarr"
        self.fps = float(fps) if fps is not None else _default_rate(keys)

    def __len__(self) -> int:
        return len(self._ends)

    def lengths(self) -> NDArray[np.int64]:
        """Time steps of every episode, `[len(self)]`."""
        return np.diff(self._ends, prepend=0)

    def close(self) -> None:
        """Close all files; episodes open them again when they are asked."""
        self._buffer.close()

    def _episode(self, position: int) -> Episode:
        start = int(self._ends[position - 1]) if position else 0
        return _ReplayEpisode(self._buffer, position, start, int(self._ends[position]), self.fps)


class _ReplayEpisode(Episode):
    """Rows `first:end` of every array."""

    def __init__(self, buffer: "_Buffer", index: int, first: int, end: int, fps: float) -> None:
        self._buffer, self._first, self._end = buffer, first, end
        self.index, self.where, self.task, self.fps = index, f"{buffer.path}, episode {index}", "", fps
        self.cameras, self.columns = buffer.cameras, buffer.columns

    def __len__(self) -> int:
        return self._end - self._first

    def _column(self, name: str, start: int, stop: int) -> NDArray[Any]:
        return self._rows(name, f"column {name!r}", start, stop)

    def _frames(self, camera: str, start: int, stop: int) -> Frames:
        stored = self._rows(camera, f"camera {camera!r}", start, stop)
        return stored if stored.dtype == np.uint8 else _as_uint8(stored, self.where, camera, start)

    def _rows(self, name: str, what: str, start: int, stop: int) -> NDArray[Any]:
        def read(first: int, end: int) -> NDArray[Any]:
            return self._buffer.read(name, self._first + first, self._first + end)

        return read_or_name_frame(read, start, stop, where=self.where, what=what, errors=ZARR_ERRORS)


@dataclass(frozen=True)
class _Description:
    """Shape and kind of an array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class _Buffer:
    """The arrays of a replay buffer, opened in each process when they are first read."""

    def __init__(self, path: Path, missing_chunks: MissingChunks) -> None:
        self.path = path
        self._files = OpenFiles(partial(open_zarr, missing_chunks=missing_chunks), ZarrArrays.close, 1)
        with self._files.using(path) as opened:
            found = {name: _Description(array.shape, array.dtype) for name, array in opened.arrays.items()}
        data = {name.removeprefix(_DATA): array for name, array in found.items() if name.startswith(_DATA)}
        if _ENDS not in found or not data:
            listed = ", ".join(f"{name} {list(array.shape)}" for name, array in sorted(found.items()))
            raise EpisodeError(
                f"{path} is no replay buffer: expected data/<key> and {_ENDS}; it has {listed or 'no array'}."
            )
        self._lengths = {name: array.shape[0] if array.shape else 0 for name, array in data.items()}
        self.cameras = tuple(name for name, array in data.items() if _is_picture(array))
        self.columns = tuple(
            name for name, array in data.items() if name not in self.cameras and array.dtype.kind in "biuf"
        )

    def read(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Rows of an array; only the chunks that hold them are decoded."""
        with self._files.using(self.path) as opened:
            try:
                return np.asarray(opened.arrays[_DATA + name][start:stop])
            except zarr.errors.ChunkNotFoundError as error:
                raise ValueError(
                    "its chunk is not stored; if the writer left out chunks of zeros, open it with "
                    "replay_buffer.open_source(path, missing_chunks='fill')"
                ) from error

    def episode_ends(self) -> NDArray[np.int64]:
        """One past the last row of each episode.

        Raises:
            EpisodeError: if they do not rise, or an array has another length.
        """
        try:
            with self._files.using(self.path) as opened:
                ends = np.asarray(opened.arrays[_ENDS][:])
        except ZARR_ERRORS as error:
            if isinstance(error, EpisodeError):
                raise
            raise EpisodeError(f"{self.path}: {_ENDS} cannot be read ({reason(error)}).") from error
        if ends.ndim != 1 or ends.dtype.kind not in "iu" or not len(ends):
            raise EpisodeError(
                f"{self.path}: {_ENDS} must be a list of whole numbers, one for each episode; it is "
                f"{ends.dtype} {list(ends.shape)}."
            )
        ends = ends.astype(np.int64)
        empty = np.flatnonzero(np.diff(ends, prepend=0) <= 0)
        if len(empty):
            raise EpisodeError(
                f"{self.path}, episode {empty[0]}: {_ENDS} must rise from episode to episode; it ends at row "
                f"{ends[empty[0]]}, not behind its start."
            )
        _require_lengths(self.path, ends, self._lengths)
        return ends

    def close(self) -> None:
        """Close the file; reading opens it again."""
        self._files.close()


def _require_lengths(path: Path, ends: NDArray[np.int64], lengths: Mapping[str, int]) -> None:
    for name, length in lengths.items():
        if length < ends[-1]:
            episode = int(np.searchsorted(ends, length, side="right"))
            raise EpisodeError(
                f"{path}, episode {episode}: data/{name} has {length} rows, but {_ENDS} says that it ends at row "
                f"{ends[episode]}; the array is cut off."
            )
        if length > ends[-1]:
            raise EpisodeError(
                f"{path}: data/{name} has {length} rows, but the last episode ({len(ends) - 1}) ends at row {ends[-1]} "
                f"by {_ENDS}; the rows behind it belong to no episode."
            )


def _is_picture(array: _Description) -> bool:
    if len(array.shape) != 4 or array.shape[-1] != 3 or min(array.shape[1:3]) < _SMALLEST_PICTURE:
        return False
    return array.dtype == np.uint8 or array.dtype.kind == "f"


def _default_rate(keys: Iterable[str]) -> float:
    keys = tuple(keys)
    if any(map(_UMI.fullmatch, keys)):
        return _UMI_RATE
    return _ROBOMIMIC_RATE if any(map(_ROBOMIMIC.fullmatch, keys)) else _RATE


def _as_uint8(pictures: NDArray[Any], where: str, camera: str, start: int) -> Frames:
    rounded = np.rint(pictures)
    good = np.isfinite(pictures) & (rounded >= 0) & (rounded <= 255)
    if not good.all():
        frame = start + int(np.argmin(good.reshape(len(good), -1).all(axis=1)))
        raise EpisodeError(
            f"{where}, frame {frame}: camera {camera!r} holds NaN or values outside 0..255, as which float pictures "
            f"are stored here."
        )
    if pictures.max() <= 1 and (rounded != pictures).any():
        raise EpisodeError(
            f"{where}, frames {start} to {start + len(pictures) - 1}: camera {camera!r} holds floats in 0..1; float "
            f"pictures are expected in 0..255."
        )
    frames: Frames = rounded.astype(np.uint8)
    return frames
