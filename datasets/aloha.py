"""ALOHA and ACT HDF5: a file for each episode, pictures as arrays or as padded JPEG."""

import re
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, get_args

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cosmos_robot.datasets.episode import Episode, Episodes
from cosmos_robot.datasets.hdf5_episode import Hdf5Episode, Hdf5Layout, is_column, is_picture, require_length
from cosmos_robot.datasets.hdf5_files import HDF5_ERRORS, found_in, hdf5_files, open_hdf5, opened_hdf5_files
from cosmos_robot.datasets.open_episodes import VideoBackend
from cosmos_robot.datasets.open_files import OpenFiles
from cosmos_robot.datasets.unreadable_frame import reason
from cosmos_robot.errors import EpisodeError, InvalidInputError
from cosmos_robot.types import Frames

type Channels = Literal["rgb", "bgr"]
"""The order of the colours in the stored pictures: an array's last axis, or what a JPEG decoder gives as RGB."""

_EPISODE = re.compile(r"episode_(\d+)\.(hdf5|h5|hdf)", re.IGNORECASE)
_RATE = 50.0
_PER_STEP = ("qpos", "qvel", "effort", "action", "base_action")
_IMAGES = "images/"
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"


def recognises(path: Path) -> bool:
    """Whether this is an HDF5 file or a folder that holds some.

    This reader comes last of those for HDF5, so that it takes what no other knows and says what is missing there.
    """
    return bool(hdf5_files(path))


def open_source(
    path: Path, *, fps: float | None = None, backend: VideoBackend = "pyav", channels: Channels = "rgb"
) -> "AlohaEpisodes":
    """Open an ALOHA or ACT recording.

    Args:
        path: one HDF5 file, or a folder of `episode_N.hdf5`.
        fps: time steps a second, which the format does not record; None is 50, ALOHA's rate.
        backend: not used; the pictures are in the file.
        channels: the colours' order in the stored pictures; see `AlohaEpisodes`.

    Returns:
        the episodes in the order of their numbers; files are opened when an episode is asked for.

    Raises:
        InvalidInputError: if `channels` is neither `rgb` nor `bgr`.
        EpisodeError: if there is no episode, or a single file has not this layout; what it has is listed.
    """
    return AlohaEpisodes(path, fps=fps, channels=channels)


class AlohaEpisodes(Episodes):
    """Episodes, each in a file of its own.

    Columns are `action`, `qpos`, `qvel`, `effort`, `base_action` and whatever else has a row for each time step, by
    their name without `observations/`. Cameras are the pictures under `observations/images`. The task is not recorded.

    No file says in which order its colours are. Arrays are RGB: the ALOHA recorder stores what the camera driver
    publishes as rgb8. JPEG is taken at its word, as image viewers, LeRobot's and openpi's converters take it. A
    recorder that handed RGB arrays to OpenCV's encoder, which expects BGR, has swapped red and blue in its JPEGs, and
    ACT's own loader swaps them back unseen: for those, and for arrays of BGR, say `channels="bgr"`.
    """

    def __init__(self, path: str | Path, *, fps: float | None = None, channels: Channels = "rgb") -> None:
        """List the files; see `open_source`."""
        if channels not in get_args(Channels.__value__):
            raise InvalidInputError(f"unknown channels {channels!r}; expected rgb or bgr.")
        self._path, self._channels = Path(path), channels
        self._numbered = _numbered(self._path)
        self._files = opened_hdf5_files()
        self.source, self.format = str(path), "aloha"
        self.fps = _RATE if fps is None else float(fps)
        if not self._path.is_dir():
            # An HDF5 of another layout is refused here. In a folder a bad file must not bar the way to the others.
            self._laid_out(self._path, _where(self._path, self._numbered[0][0]))

    def __len__(self) -> int:
        return len(self._numbered)

    def close(self) -> None:
        """Close all files; episodes open them again when they are asked."""
        self._files.close()

    def _episode(self, position: int) -> Episode:
        index, path = self._numbered[position]
        where = _where(path, index)
        layout = self._laid_out(path, where)
        return _AlohaEpisode(self._files, path, layout, self._channels, where=where, index=index, fps=self.fps)

    def _laid_out(self, path: Path, where: str) -> Hdf5Layout:
        try:
            with self._files.using(path) as file:
                return _layout(file, where)
        except EpisodeError:
            raise
        except HDF5_ERRORS as error:
            raise EpisodeError(f"{where} cannot be read ({reason(error)}).") from error


class _AlohaEpisode(Hdf5Episode):
    """An episode whose pictures may be JPEG, and their colours in either order."""

    def __init__(
        self,
        files: "OpenFiles[h5py.File]",
        path: Path,
        layout: Hdf5Layout,
        channels: Channels,
        *,
        where: str,
        index: int,
        fps: float,
    ) -> None:
        super().__init__(files, path, layout, index=index, where=where, task="", fps=fps)
        self._channels = channels

    def _pictures(self, stored: NDArray[Any], camera: str, start: int) -> Frames:
        pictures = stored if stored.ndim == 4 else self._decoded(stored, camera, start)
        return pictures[..., ::-1] if self._channels == "bgr" else pictures

    def _decoded(self, stored: NDArray[Any], camera: str, start: int) -> Frames:
        frames: list[Frames] = []
        for frame, row in enumerate(stored, start):
            try:
                frames.append(_decode(row.tobytes() if isinstance(row, np.ndarray) else bytes(row)))
            except (OSError, SyntaxError, ValueError) as error:
                raise EpisodeError(
                    f"{self.where}, frame {frame}: the picture of camera {camera!r} does not decode ({reason(error)})."
                ) from error
            if frames[-1].shape != frames[0].shape:
                raise EpisodeError(
                    f"{self.where}, frame {frame}: camera {camera!r} changes its picture size from "
                    f"{frames[0].shape[:2]} to {frames[-1].shape[:2]} (height, width)."
                )
        return np.stack(frames)


def _decode(data: bytes) -> Frames:
    data = data.rstrip(b"\0")  # rows are padded to the longest picture
    if data.startswith(_JPEG_START) and not data.endswith(_JPEG_END):
        raise ValueError("the JPEG data is cut off")  # a decoder would paint the rest grey
    with Image.open(BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def _layout(file: "h5py.File", where: str) -> Hdf5Layout:
    action, observations = file.get("action"), file.get("observations")
    if not is_column(action) or not isinstance(observations, h5py.Group):
        raise EpisodeError(
            f"{where} is neither ALOHA (/action and /observations) nor robomimic (/data/demo_0); it has "
            f"{found_in(file)}."
        )
    length = int(action.shape[0])
    if length == 0:
        raise EpisodeError(f"{where} is empty: 'action' has no row.")
    columns, cameras = {}, {}
    for name, dataset in _datasets(file):
        short = name.removeprefix("observations/")
        is_camera = short.startswith(_IMAGES) and (is_picture(dataset) or _is_encoded(dataset))
        if is_camera or short in _PER_STEP:
            require_length(where, name, int(dataset.shape[0]), length)
        if is_camera:
            cameras[short.removeprefix(_IMAGES)] = dataset.name
        elif is_column(dataset) and dataset.shape[0] == length:
            columns[short] = dataset.name
    return Hdf5Layout(length=length, columns=columns, cameras=cameras)


def _datasets(file: "h5py.File") -> "list[tuple[str, h5py.Dataset]]":
    found: list[tuple[str, h5py.Dataset]] = []

    def note(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and node.ndim >= 1 and name != "compress_len":
            found.append((name, node))

    file.visititems(note)
    return found


def _is_encoded(dataset: "h5py.Dataset") -> bool:
    """Whether each row is one encoded picture: bytes padded with zeros, or of their own length."""
    return (dataset.dtype == np.uint8 and dataset.ndim == 2) or (dataset.dtype.kind in "OSV" and dataset.ndim == 1)


def _numbered(path: Path) -> list[tuple[int, Path]]:
    files = hdf5_files(path)
    if not files:
        raise EpisodeError(f"{path} is no HDF5 file and no folder of them.")
    matches = [(_EPISODE.fullmatch(file.name), file) for file in files]
    if not path.is_dir():
        match = matches[0][0]
        return [(int(match[1]) if match else 0, path)]
    numbered = sorted((int(match[1]), file) for match, file in matches if match)
    if not numbered:
        with open_hdf5(files[0]) as first:
            found = found_in(first)
        raise EpisodeError(
            f"the folder {path} has no episode_N.hdf5, as ALOHA recordings have, and its HDF5 files are not "
            f"robomimic's; {files[0].name} has {found}."
        )
    return numbered


def _where(path: Path, index: int) -> str:
    return f"{path}, episode {index}"
