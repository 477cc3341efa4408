"""HDF5 files: which there are at a path, in what order, and how they are opened for reading."""

import re
from pathlib import Path
from typing import Any

import h5py

from cosmos_robot.datasets.open_files import OpenFiles
from cosmos_robot.datasets.unreadable_frame import reason
from cosmos_robot.errors import EpisodeError

HDF5_ERRORS = (OSError, KeyError, RuntimeError, ValueError)
"""What h5py raises for damaged, truncated or missing data."""

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SUFFIXES = (".hdf5", ".h5", ".hdf")
_LISTED = 20
_OPEN_AT_ONCE = 8


def hdf5_files(path: Path) -> list[Path]:
    """The HDF5 files at a path: itself, or those that lie directly in the folder, numbers in numeric order.

    In a folder a file counts by its suffix, so that an empty or truncated one is not passed over; a single file may
    have another suffix, if it begins as HDF5 does.
    """
    if path.is_dir():
        named = (entry for entry in path.iterdir() if entry.suffix.lower() in _SUFFIXES and entry.is_file())
        return sorted(named, key=natural_order)
    return [path] if path.is_file() and (path.suffix.lower() in _SUFFIXES or _starts_as_hdf5(path)) else []


def natural_order(path: Path) -> tuple[object, ...]:
    """Sorting key: numbers within the name compare as numbers, `episode_2` before `episode_10`."""
    parts = re.split(r"(\d+)", path.name)
    return tuple(int(part) if index % 2 else part for index, part in enumerate(parts))


def open_hdf5(path: Path) -> "h5py.File":
    """Open for reading.

    Raises:
        EpisodeError: if it is missing, truncated or no HDF5 file.
    """
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise EpisodeError(
            f"the HDF5 file {path} cannot be opened ({reason(error)}); if it is truncated, copy it again."
        ) from error


def opened_hdf5_files() -> "OpenFiles[h5py.File]":
    """HDF5 files that stay open between reads, a bounded number of them; see `OpenFiles`."""
    return OpenFiles(open_hdf5, _close, _OPEN_AT_ONCE)


def found_in(group: "h5py.Group") -> str:
    """Paths of the datasets in a group, for an error: the first 20 and how many more there are."""
    paths: list[str] = []

    def note(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset):
            paths.append(f"{name} {list(node.shape or ())}")

    group.visititems(note)
    if not paths:
        return f"no data (groups: {', '.join(group) or 'none'})"
    more = f" and {len(paths) - _LISTED} more" if len(paths) > _LISTED else ""
    return ", ".join(paths[:_LISTED]) + more


def _close(file: "h5py.File") -> None:
    file.close()


def _starts_as_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_SIGNATURE)) == _SIGNATURE
