"""Latents that stay on disk: a batch's rows are read off the shards when they are asked for.

A million windows of a published model's latents are some hundred gigabytes. What was read lately the operating system
keeps in the memory that is free.
"""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.errors import InvalidInputError

_NAME_LENGTHS = 26
"""Where a zip entry's own header tells how long its name and its extra field are; what is stored follows them."""
_HEADER = 30


@dataclass(frozen=True)
class StoredArray:
    """One array of an uncompressed `.npz` file, found and not read.

    Attributes:
        path: of the file.
        offset: bytes before the first element.
        shape: of the array.
        dtype: likewise.
    """

    path: Path
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[np.float16]

    @classmethod
    def find(cls, path: Path, name: str) -> "StoredArray":
        """Find an array by its name.

        Raises:
            InvalidInputError: if it is not there, or is compressed or of another kind.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                entry = archive.getinfo(f"{name}.npy")
        except (KeyError, zipfile.BadZipFile) as error:
            raise InvalidInputError(f"{path} has no array {name!r}; remove the file, and it is made again.") from error
        if entry.compress_type != zipfile.ZIP_STORED:
            raise InvalidInputError(f"{path} is compressed; remove the file, and it is made again as it should be.")
        with path.open("rb") as file:
            file.seek(entry.header_offset + _NAME_LENGTHS)
            lengths = np.frombuffer(file.read(4), dtype="<u2")
            file.seek(entry.header_offset + _HEADER + int(lengths.sum()))
            version = np.lib.format.read_magic(file)  # type: ignore[no-untyped-call]
            shape, by_column, dtype = np.lib.format.read_array_header_1_0(file)  # type: ignore[no-untyped-call]
            if version != (1, 0) or by_column or dtype != np.float16:
                raise InvalidInputError(f"{path} holds {name!r} in another form than training writes it.")
            return cls(path, file.tell(), shape, dtype)

    def rows(self, wanted: NDArray[np.intp]) -> NDArray[np.float16]:
        """Read some rows, in the order that is asked for."""
        return np.array(np.memmap(self.path, self.dtype, mode="r", offset=self.offset, shape=self.shape)[wanted])


class StoredLatents:
    """The latents of many shards, as one array `[N, C, T, h, w]` of which rows can be read.

    Args:
        parts: the shards' arrays, one behind the other; all of one shape but for their number of rows.

    Raises:
        InvalidInputError: if the shapes differ.
    """

    def __init__(self, parts: list[StoredArray]) -> None:
        shapes = {part.shape[1:] for part in parts}
        if len(shapes) != 1:
            raise InvalidInputError(f"cached windows must be of one shape; got {sorted(shapes)}.")
        self._parts = parts
        self._ends = np.cumsum([part.shape[0] for part in parts])
        self.shape = (int(self._ends[-1]), *shapes.pop())

    @classmethod
    def join(cls, latents: Sequence["StoredLatents"]) -> "StoredLatents":
        """Put several together, one behind the other."""
        return cls([part for one in latents for part in one._parts])

    def __len__(self) -> int:
        return self.shape[0]

    def rows(self, wanted: NDArray[np.intp]) -> NDArray[np.float16]:
        """Read some rows, in the order that is asked for: float16 `[rows, C, T, h, w]`."""
        read = np.empty((len(wanted), *self.shape[1:]), dtype=np.float16)
        places = np.searchsorted(self._ends, wanted, side="right")
        for place in np.unique(places):
            here = np.flatnonzero(places == place)
            before = self._ends[place - 1] if place else 0
            read[here] = self._parts[place].rows(wanted[here] - before)
        return read
