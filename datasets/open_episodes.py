"""`open_episodes`: finds what a dataset is stored as from its files and opens it with the reader for that."""

from collections.abc import Callable
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, Literal

from cosmos_robot.datasets.episode import Episodes
from cosmos_robot.errors import InvalidInputError

type VideoBackend = Literal["pyav", "torchcodec"]

READERS = (
    ("LeRobot v2.0, v2.1 or v3.0 folder (meta/info.json)", "lerobot"),
    ("diffusion-policy or UMI Zarr (folder or .zarr.zip)", "replay_buffer"),
    ("robomimic or LIBERO HDF5 (/data/demo_0)", "robomimic"),
    ("ALOHA or ACT HDF5 (a file or a folder of episode_N.hdf5)", "aloha"),
)
"""What each reader takes, and its module here.

Each module has `recognises(path) -> bool` and `open_source(path, *, fps, backend, ...) -> Episodes`, whose further
keywords are the reader's own.
"""


def open_episodes(
    source: str | Path, *, fps: float | None = None, backend: VideoBackend = "pyav", **options: Any
) -> Episodes:
    """Open a dataset of recorded episodes, whatever it is stored as.

    Args:
        source: a folder or a file, or the id of a LeRobot dataset on the Hugging Face Hub (`lerobot/pusht`).
        fps: time steps a second, where the format does not record it; None takes what the format's datasets have.
        backend: what decodes videos.
        options: the reader's own: `filter_key` and `orientation` (robomimic, LIBERO), `channels` (ALOHA),
            `missing_chunks` (Zarr); `open_source` of the reader's module describes them.

    Returns:
        A lazy sequence of episodes; nothing is decoded yet.

    Raises:
        InvalidInputError: if there is nothing, or nothing that any reader knows, or an option that its reader has not.
        EpisodeError: if its files are damaged.
    """
    path = Path(source).expanduser()
    if not path.exists():
        lerobot = import_module("cosmos_robot.datasets.lerobot")
        _require_options(lerobot.open_hub_id, options, "a LeRobot dataset")
        opened: Episodes = lerobot.open_hub_id(str(source), backend=backend)
        return opened
    for what, module in READERS:
        reader = import_module(f"cosmos_robot.datasets.{module}")
        recognises: Callable[[Path], bool] = reader.recognises
        if recognises(path):
            _require_options(reader.open_source, options, what)
            found: Episodes = reader.open_source(path, fps=fps, backend=backend, **options)
            return found
    known = "; ".join(what for what, _ in READERS)
    raise InvalidInputError(f"{path} is no dataset that is known here; expected one of: {known}.")


def _require_options(reader: Callable[..., Episodes], options: dict[str, Any], what: str) -> None:
    own = [name for name in signature(reader).parameters if name not in {"path", "repository", "fps", "backend"}]
    unknown = [name for name in options if name not in own]
    if unknown:
        raise InvalidInputError(
            f"{what} is read without an option {', '.join(unknown)}; it has {', '.join(own) or 'none'}."
        )
