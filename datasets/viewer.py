"""Episodes in rerun: cameras, columns as curves, and what was predicted beside what was recorded.

Where things stand in the recording, on the timelines `step` (number of the time step) and `time` (seconds):

* a camera `observation.images.top` is an image at `cameras/observation.images.top/recorded`,
* each number of a column `action` is a curve: the first at `columns/action/0/recorded`,
* a column or camera that has `predicted.` before the name of another is drawn beside it: `predicted.action` is at
  `columns/action/0/predicted`, in the same plot, and `predicted.observation.images.top` beside its camera,
* the task is a text at `task`.
"""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cosmos_robot.datasets.atomic_file import replaced_when_complete
from cosmos_robot.datasets.episode import Episode
from cosmos_robot.datasets.recorded_features import GENERATED, PREDICTED
from cosmos_robot.errors import MissingDependencyError
from cosmos_robot.types import Frames

_FRAMES_AT_ONCE = 64
_JPEG_QUALITY = 92


def save_episode(episode: Episode, path: str | Path) -> None:
    """Write an episode as a rerun recording, which appears when it is complete.

    Args:
        episode: what is to be seen.
        path: the `.rrd` file; its folder must exist.

    Raises:
        MissingDependencyError: if rerun is not installed.
        InvalidInputError: if the file cannot be written.
        EpisodeError: if the episode cannot be read.
    """
    with replaced_when_complete(Path(path)) as temporary:
        recording = _recording(episode)
        recording.save(temporary, default_blueprint=_blueprint(episode))
        try:
            _send(recording, episode)
        finally:
            recording.disconnect()


def show_episode(episode: Episode) -> None:
    """Open an episode in rerun's viewer; for arguments and errors see `save_episode`."""
    recording = _recording(episode)
    recording.spawn(default_blueprint=_blueprint(episode))
    try:
        _send(recording, episode)
    finally:
        recording.disconnect()


def _recording(episode: Episode) -> Any:
    try:
        import rerun
    except ImportError as error:
        raise MissingDependencyError(
            "viewing needs rerun, which is not installed; get it with pip install 'cosmos-robot[viz]'."
        ) from error
    return rerun.RecordingStream("cosmos-robot", recording_id=episode.where)


def _send(recording: Any, episode: Episode) -> None:
    import rerun

    recording.log("task", rerun.TextDocument(episode.task), static=True)
    times = _timelines(0, len(episode), episode.fps)
    for path, values in _curves(episode):
        recording.send_columns(path, indexes=times, columns=rerun.Scalars.columns(scalars=values))
    for camera in episode.cameras:
        path = f"cameras/{_place(camera, episode.cameras)}"
        for start in range(0, len(episode), _FRAMES_AT_ONCE):
            stop = min(start + _FRAMES_AT_ONCE, len(episode))
            blobs = [_jpeg(frame) for frame in episode.frames(camera, start, stop)]
            recording.send_columns(
                path,
                indexes=_timelines(start, stop, episode.fps),
                columns=rerun.EncodedImage.columns(blob=blobs, media_type=["image/jpeg"] * len(blobs)),
            )
    recording.flush()


def _curves(episode: Episode) -> Iterator[tuple[str, NDArray[np.float64]]]:
    for column in episode.columns:
        if column in GENERATED:
            continue
        rows = episode.column(column).reshape(len(episode), -1).astype(np.float64)
        base = _place(column, episode.columns)
        name, _, kind = base.rpartition("/")
        for number in range(rows.shape[1]):
            yield f"columns/{name}/{number}/{kind}", rows[:, number]


def _blueprint(episode: Episode) -> Any:
    """One plot for each column, one picture for each camera, true and predicted together."""
    from rerun import blueprint

    cameras = dict.fromkeys(_place(camera, episode.cameras) for camera in episode.cameras)
    columns = dict.fromkeys(
        _place(column, episode.columns).rpartition("/")[0] for column in episode.columns if column not in GENERATED
    )
    pictures = [blueprint.Spatial2DView(origin=f"cameras/{place}", name=place) for place in cameras]
    plots = [blueprint.TimeSeriesView(origin=f"columns/{name}", name=name) for name in columns]
    parts = [blueprint.Grid(*part) for part in (pictures, plots) if part]
    return blueprint.Blueprint(blueprint.Vertical(*parts, blueprint.TextDocumentView(origin="task", name="task")))


def _place(name: str, all_names: Sequence[str]) -> str:
    """`name/recorded`, or `name/predicted` for what has another of its name to stand beside."""
    plain = name.removeprefix(PREDICTED)
    if plain != name and plain in all_names:
        return f"{_part(plain)}/predicted"
    return f"{_part(name)}/recorded"


def _part(name: str) -> str:
    """A name as one part of rerun's paths."""
    import rerun

    return str(rerun.escape_entity_path_part(name))


def _timelines(start: int, stop: int, fps: float) -> list[Any]:
    import rerun

    steps = np.arange(start, stop)
    return [rerun.TimeColumn("step", sequence=steps), rerun.TimeColumn("time", duration=steps / fps)]


def _jpeg(frame: Frames) -> bytes:
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "JPEG", quality=_JPEG_QUALITY)
    return file.getvalue()
