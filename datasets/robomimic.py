"""robomimic and LIBERO HDF5: `/data/demo_k` with `actions`, `obs/<key>` and more; `/mask/<filter>` names subsets."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
from numpy.typing import NDArray

from cosmos_robot.datasets.episode import Episode, Episodes
from cosmos_robot.datasets.hdf5_episode import Hdf5Episode, Hdf5Layout, is_column, is_picture, require_length
from cosmos_robot.datasets.hdf5_files import HDF5_ERRORS, found_in, hdf5_files, open_hdf5, opened_hdf5_files
from cosmos_robot.datasets.libero import Orientation, is_libero, require_orientation, task_text, turned
from cosmos_robot.datasets.open_episodes import VideoBackend
from cosmos_robot.datasets.open_files import OpenFiles
from cosmos_robot.datasets.unreadable_frame import reason
from cosmos_robot.errors import EpisodeError, InvalidInputError
from cosmos_robot.types import Frames

_DEMO = re.compile(r"demo_(\d+)")
_CONTROL_RATE = 20.0
"""What robosuite, and so robomimic's and LIBERO's published data, run at where the file does not say."""
_PER_STEP = ("actions", "rewards", "dones", "states")


def recognises(path: Path) -> bool:
    """Whether this is an HDF5 file with `/data/demo_k`, or a folder whose first HDF5 file is."""
    files = hdf5_files(path)
    if not files:
        return False
    try:
        with open_hdf5(files[0]) as file:
            return any(_DEMO.fullmatch(name) for name in file.get("data", ()))
    except (EpisodeError, *HDF5_ERRORS):
        return False  # no file to read: the reader that comes last for HDF5 says what is wrong with it


def open_source(
    path: Path,
    *,
    fps: float | None = None,
    backend: VideoBackend = "pyav",
    filter_key: str | None = None,
    orientation: Orientation = "rotated",
) -> "RobomimicEpisodes":
    """Open a robomimic or LIBERO file, or a folder of them as one dataset.

    Args:
        path: an HDF5 file, or a folder of them (LIBERO keeps each task in a file of its own).
        fps: time steps a second; None takes `control_freq` of the file's `env_args`, or 20.
        backend: not used; the pictures are arrays.
        filter_key: take only the demonstrations that `/mask/<filter_key>` names (`train`, `valid`, `20_percent`, ...).
        orientation: how LIBERO's pictures come back; see `RobomimicEpisodes`.

    Returns:
        the episodes, in the order of the demonstrations' numbers.

    Raises:
        InvalidInputError: if there is no such filter or orientation.
        EpisodeError: if a file cannot be read or has not this layout; what it has is listed.
    """
    return RobomimicEpisodes(path, fps=fps, filter_key=filter_key, orientation=orientation)


@dataclass(frozen=True)
class _Demo:
    path: Path
    name: str
    index: int


@dataclass(frozen=True)
class _Source:
    """What a file says about all its demonstrations."""

    libero: bool
    upside_down: bool
    task: str
    fps: float
    demos: tuple[str, ...]


class RobomimicEpisodes(Episodes):
    """Demonstrations of one file or of a folder of files.

    Columns are `actions`, `rewards`, `dones`, `states`, `obs/<key>` and whatever else has a row for each time step;
    `next_obs` is left out, being `obs` one step later. Cameras are the uint8 pictures in `obs`, by their key
    (`agentview_image`).

    LIBERO stores what MuJoCo renders, bottom row first. By default its pictures are turned by 180 degrees: so were
    those that models are trained on (the Cosmos LIBERO recipe, OpenVLA, the LeRobot conversions), although left and
    right are then swapped (github.com/openvla/openvla/issues/295). `orientation="flipped"` gives the scene as it is,
    `"stored"` the file's own pixels. robomimic's own files are upright and never turned.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        fps: float | None = None,
        filter_key: str | None = None,
        orientation: Orientation = "rotated",
    ) -> None:
        """Read the list of demonstrations; see `open_source`."""
        require_orientation(orientation)
        self._path, self._orientation = Path(path), orientation
        self._files = opened_hdf5_files()
        files = hdf5_files(self._path)
        if not files:
            raise EpisodeError(f"{path} is no HDF5 file and no folder of them.")
        self._sources = {file: self._source(file, fps, filter_key) for file in files}
        numbered = [(file, name) for file, source in self._sources.items() for name in source.demos]
        one_file = len(files) == 1
        self._demos = tuple(
            _Demo(file, name, _number(name) if one_file else position) for position, (file, name) in enumerate(numbered)
        )
        first = self._sources[files[0]]
        rates = {source.fps for source in self._sources.values()}
        if len(rates) > 1:
            listed = ", ".join(f"{rate:g}" for rate in sorted(rates))
            raise EpisodeError(f"the files of {path} run at different rates ({listed} Hz); open them one by one.")
        self.source, self.fps = str(path), first.fps
        self.format = "libero" if first.libero else "robomimic"

    def __len__(self) -> int:
        return len(self._demos)

    def close(self) -> None:
        """Close all files; episodes open them again when they are asked."""
        self._files.close()

    def _episode(self, position: int) -> Episode:
        demo = self._demos[position]
        source = self._sources[demo.path]
        where = f"{demo.path}, {demo.name}"
        try:
            with self._files.using(demo.path) as file:
                layout = _layout(file[f"data/{demo.name}"], where)
        except HDF5_ERRORS as error:
            if isinstance(error, EpisodeError):
                raise
            raise EpisodeError(f"{where} cannot be read ({reason(error)}).") from error
        orientation: Orientation = self._orientation if source.libero else "stored"
        return _RobomimicEpisode(self._files, demo.path, layout, orientation, source, where=where, index=demo.index)

    def _source(self, path: Path, fps: float | None, filter_key: str | None) -> _Source:
        with self._files.using(path) as file:
            data = file.get("data")
            if not isinstance(data, h5py.Group) or not any(map(_DEMO.fullmatch, data)):
                raise EpisodeError(
                    f"{path} has no /data/demo_0, as a robomimic or LIBERO file has; it has {found_in(file)}."
                )
            demos = sorted(filter(_DEMO.fullmatch, data), key=_number)
            if filter_key is not None:
                demos = _filtered(file, filter_key, demos, path)
            observations = data[demos[0]].get("obs") if demos else None
            libero = is_libero(data.attrs, set(observations or ()))
            return _Source(
                libero=libero,
                upside_down=_text(data.attrs.get("macros_image_convention", "opengl")) != "opencv",
                task=task_text(data.attrs, path) if libero else "",
                fps=float(fps) if fps is not None else _control_rate(data, path),
                demos=tuple(demos),
            )


class _RobomimicEpisode(Hdf5Episode):
    """A demonstration, whose pictures may have to be turned."""

    def __init__(
        self,
        files: "OpenFiles[h5py.File]",
        path: Path,
        layout: Hdf5Layout,
        orientation: Orientation,
        source: _Source,
        *,
        where: str,
        index: int,
    ) -> None:
        super().__init__(files, path, layout, index=index, where=where, task=source.task, fps=source.fps)
        self._orientation, self._upside_down = orientation, source.upside_down

    def _pictures(self, stored: NDArray[Any], camera: str, start: int) -> Frames:
        return turned(stored, self._orientation, upside_down=self._upside_down)


def _layout(demo: "h5py.Group", where: str) -> Hdf5Layout:
    actions = demo.get("actions")
    if not is_column(actions):
        raise EpisodeError(f"{where} has no 'actions'; it has {found_in(demo)}.")
    length = int(actions.shape[0])
    if length == 0:
        raise EpisodeError(f"{where} is empty: 'actions' has no row.")
    samples = demo.attrs.get("num_samples")
    if samples is not None:
        require_length(where, "num_samples (attribute)", int(samples), length)
    columns, cameras = {}, {}
    for name, dataset in _datasets(demo):
        is_observation = name.startswith("obs/")
        if is_observation or name in _PER_STEP:
            require_length(where, name, int(dataset.shape[0]), length)
        if is_observation and is_picture(dataset):
            cameras[name.removeprefix("obs/")] = dataset.name
        elif dataset.shape[0] == length:
            columns[name] = dataset.name
    return Hdf5Layout(length=length, columns=columns, cameras=cameras)


def _datasets(demo: "h5py.Group") -> "list[tuple[str, h5py.Dataset]]":
    found: list[tuple[str, h5py.Dataset]] = []

    def note(name: str, node: Any) -> None:
        if is_column(node) and not name.startswith("next_obs/"):
            found.append((name, node))

    demo.visititems(note)
    return found


def _filtered(file: "h5py.File", filter_key: str, demos: list[str], path: Path) -> list[str]:
    masks = file.get("mask", {})
    if filter_key not in masks:
        raise InvalidInputError(f"{path} has no filter {filter_key!r} in /mask; it has {', '.join(masks) or 'none'}.")
    wanted = {_text(name) for name in masks[filter_key][()]}
    missing = wanted - set(demos)
    if missing:
        raise EpisodeError(
            f"{path}: the filter {filter_key!r} names {min(missing, key=str)}, which /data does not have."
        )
    return [name for name in demos if name in wanted]


def _control_rate(data: "h5py.Group", path: Path) -> float:
    if "env_args" not in data.attrs:
        return _CONTROL_RATE
    try:
        arguments = json.loads(_text(data.attrs["env_args"]))
        return float(arguments.get("env_kwargs", {}).get("control_freq", _CONTROL_RATE))
    except (ValueError, AttributeError, TypeError) as error:
        raise EpisodeError(f"{path}: the attribute 'env_args' of /data is not robomimic's JSON.") from error


def _number(name: str) -> int:
    return int(name.rpartition("_")[2])


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
