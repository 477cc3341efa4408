"""Arrays of a Zarr folder or `.zarr.zip`, and the codecs that their chunks need."""

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numcodecs.errors
import zarr
import zarr.errors
from zarr.storage import LocalStore, ZipStore

from cosmos_robot.datasets.unreadable_frame import reason
from cosmos_robot.errors import CosmosRobotError, EpisodeError, MissingDependencyError

type MissingChunks = Literal["error", "fill"]
"""What a chunk that is not stored is: a lost file, or what Zarr fills it with (zeros)."""

ZARR_ERRORS = (OSError, KeyError, RuntimeError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)
"""What Zarr and its codecs raise for damaged, truncated or missing data."""

_UNKNOWN_CODEC = (zarr.errors.UnknownCodecError, numcodecs.errors.UnknownCodecError)
_OUR_CODECS = "imagecodecs_"


@dataclass(frozen=True)
class ZarrArrays:
    """An open Zarr hierarchy.

    Attributes:
        arrays: its arrays by path (`data/img`).
        store: where they lie.
    """

    arrays: "Mapping[str, zarr.Array[Any]]"
    store: LocalStore | ZipStore

    def close(self) -> None:
        """Close the file."""
        self.store.close()


def open_zarr(path: Path, missing_chunks: MissingChunks) -> ZarrArrays:
    """Open for reading, with the codecs of the imagecodecs package where it is installed.

    Args:
        path: a folder, or a zip file of one.
        missing_chunks: `error` makes reading a chunk that is not there fail.

    Returns:
        the arrays by name; no chunk is read.

    Raises:
        MissingDependencyError: if a codec's package is not installed; it names the extra.
        EpisodeError: if it is no Zarr hierarchy, or cannot be read.
    """
    store = LocalStore(path, read_only=True) if path.is_dir() else ZipStore(path, mode="r")
    try:
        return ZarrArrays(_arrays(path, store, missing_chunks), store)
    except CosmosRobotError:
        raise
    except ZARR_ERRORS as error:
        raise EpisodeError(
            f"{path} cannot be opened as Zarr ({reason(error)}); it must be a whole folder with .zgroup, or a zip of "
            f"one."
        ) from error


def _arrays(path: Path, store: "LocalStore | ZipStore", missing_chunks: MissingChunks) -> "dict[str, zarr.Array[Any]]":
    _register_codecs()
    try:
        nodes = dict(zarr.open_group(store, mode="r").members(max_depth=None))
    except _UNKNOWN_CODEC as error:
        raise _unknown_codec(path, error) from error
    fill = missing_chunks == "fill"
    return {
        # by name: Zarr lists them as their files happen to be read, and the first camera is the one that frames() reads
        name: node.with_config({"read_missing_chunks": fill})
        for name, node in sorted(nodes.items())
        if isinstance(node, zarr.Array)
    }


def _register_codecs() -> None:
    """Before anything is read: Zarr that meets an unknown codec leaves failed tasks behind, which print themselves."""
    try:
        from imagecodecs.numcodecs import register_codecs
    except ImportError:
        return
    register_codecs(verbose=False)


def _unknown_codec(path: Path, error: Exception) -> CosmosRobotError:
    if _OUR_CODECS not in str(error):
        return EpisodeError(f"{path} needs a codec that is not known here ({reason(error)}).")
    return MissingDependencyError(
        f"the pictures in {path} are compressed by a codec of the package imagecodecs; install it with "
        f"`pip install 'cosmos-robot[umi]'` ({reason(error)})."
    )
