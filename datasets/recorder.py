"""Recording episodes as a LeRobot v3.0 dataset, written through the lerobot library.

What is guaranteed: when `finish_episode` has returned, the episode is in the dataset, and stays readable whatever
happens afterwards. The folder is a whole LeRobot dataset at every moment, not only after `close`: a process that is
killed, or a disk that is full, loses the episode that was being recorded and nothing else. If the process dies while
an episode is being moved into place, the dataset is whole with or without that episode, and the next recorder that
opens it makes the moves that are missing.
"""

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av.error
import av.logging
import numpy as np
from numpy.typing import ArrayLike, NDArray

from cosmos_robot.datasets.encoder_priority import kept_priority
from cosmos_robot.datasets.folder_commit import FolderCommit
from cosmos_robot.datasets.lerobot_append import INFO, GrowingDataset
from cosmos_robot.datasets.recorded_features import SUCCESS, RecordedFeatures
from cosmos_robot.datasets.video import REPRODUCIBLE_X264
from cosmos_robot.errors import InvalidInputError, MissingDependencyError, RecordingError
from cosmos_robot.types import Frames


class EpisodeRecorder:
    """Writes episodes, one time step after the other; a context manager.

    A dataset that is there already is appended to if it has the same features. Each finished episode is joined to the
    dataset's last files, which are written again with it; `data_mb` and `video_mb` bound that work.

    Args:
        folder: of the dataset. It appears when the first episode is finished.
        fps: time steps a second; LeRobot takes whole numbers.
        features: what each time step has.
        robot_type: what the dataset says about the robot, for instance a domain's name.
        codec: what videos are encoded with: `libsvtav1` (the lerobot library's own choice) or `h264`, `hevc`.
        data_mb: a data file that has reached this size is followed by a new one.
        video_mb: the same for video files.

    Raises:
        MissingDependencyError: if lerobot is not installed.
        InvalidInputError: if the folder holds something else, or another recorder is writing to it.
        RecordingError: if the folder cannot be written to.
        EpisodeError: if the folder holds a damaged dataset.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        fps: float,
        features: RecordedFeatures,
        robot_type: str | None = None,
        codec: str = "libsvtav1",
        data_mb: float = 25.0,
        video_mb: float = 50.0,
    ) -> None:
        _require_lerobot()
        self.folder = Path(folder).absolute()
        self.features = features
        self.fps = _whole(fps)
        self._robot_type, self._encoder = robot_type, _encoder(codec)
        self._limits = {"data_mb": data_mb, "video_mb": video_mb}
        self._beside = _beside(self.folder)
        self._commit = FolderCommit(self.folder, self._beside)
        self._writer: Any = None
        self._held: dict[str, NDArray[Any]] | None = None  # the last row waits for the news whether it is the last
        self._rows = 0
        self._closed = False
        self._lock = _locked(self.folder)
        try:
            self._dataset = self._opened()
        except BaseException:
            self.close()
            raise

    @property
    def episodes(self) -> int:
        """Number of finished episodes in the dataset."""
        return self._dataset.episodes

    @property
    def rows(self) -> int:
        """Number of time steps recorded of the present episode."""
        return self._rows

    def add_frame(
        self, frames: Mapping[str, Frames] | None = None, values: Mapping[str, ArrayLike] | None = None
    ) -> None:
        """Record a time step.

        Args:
            frames: one frame of each camera, uint8 RGB `[H, W, 3]`.
            values: one row of each column.

        Raises:
            InvalidInputError: if something is missing, unknown, of another shape or not finite.
            RecordingError: if the disk is full.
            MediaError: if a frame is not a uint8 RGB image.
        """
        self._require_open()
        row = self.features.row(frames or {}, values or {}, self._rows)
        with self._told("cannot record"):
            self._write_held(success=False)
            if self._writer is None:
                self._writer = self._new_writer()
        self._held = row
        self._rows += 1

    def finish_episode(
        self, task: str = "", *, success: bool | None = None, notes: Mapping[str, str] | None = None
    ) -> int:
        """Put the episode into the dataset; when this returns, it is there to stay.

        Args:
            task: what the robot was told.
            success: whether it did it; given if, and only if, the features have a success.
            notes: contents of further text files, by their path in the dataset's folder; they change together with it.

        Returns:
            the episode's number.

        Raises:
            InvalidInputError: if nothing was recorded, or `success` does not fit.
            RecordingError: if the disk is full. The episode is dropped; the finished ones are as they were.
        """
        self._require_open()
        if self._held is None:
            raise InvalidInputError("there is no episode to finish: no time step was recorded.")
        if (success is not None) != self.features.success:
            wanted = "success=True or False" if self.features.success else "no success"
            raise InvalidInputError(f"an episode of this dataset takes {wanted}.")
        try:
            with self._told("cannot finish the episode"):
                self._write_held(success=bool(success))
                with _quiet(), kept_priority():
                    self._writer.save_episode(parallel_encoding=False)
                    self._writer.finalize()
                    self._join(task, notes or {})
        finally:
            self.discard_episode()
        return self.episodes - 1

    def discard_episode(self) -> None:
        """Drop the present episode."""
        writer, self._writer = self._writer, None
        self._held, self._rows = None, 0
        if writer is not None:
            with contextlib.suppress(OSError, av.error.FFmpegError):  # these files are removed now
                writer.finalize()
        shutil.rmtree(self._beside / "episode", ignore_errors=True)
        shutil.rmtree(self._commit.files, ignore_errors=True)

    def close(self) -> None:
        """End the recording; an episode that is not finished is dropped. Calling it again does nothing."""
        if self._closed:
            return
        self._closed = True
        self.discard_episode()
        if not self._commit.pending:
            shutil.rmtree(self._beside, ignore_errors=True)
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _opened(self) -> GrowingDataset:
        """Finish what a recorder that died has left, and read where the dataset ends."""
        with self._told("cannot open the dataset"):
            self._commit.finish()
            shutil.rmtree(self._beside / "episode", ignore_errors=True)
        if self.folder.is_dir() and any(self.folder.iterdir()) and not (self.folder / INFO).is_file():
            raise InvalidInputError(f"{self.folder} holds something that is no LeRobot dataset; choose another folder.")
        dataset = GrowingDataset(self.folder, **self._limits)
        if dataset.info is not None:
            self.features.require_same(dataset.info.features, str(self.folder))
            for name, there, here in (
                ("fps", dataset.info.fps, self.fps),
                ("robot_type", dataset.info.robot_type, self._robot_type),
            ):
                if there != here:
                    raise InvalidInputError(f"{self.folder} holds a dataset with {name} {there!r}, not {here!r}.")
        return dataset

    def _new_writer(self) -> Any:
        from lerobot.datasets.lerobot_dataset import LeRobotDataset

        folder = self._beside / "episode"
        shutil.rmtree(folder, ignore_errors=True)
        return LeRobotDataset.create(
            repo_id=f"local/{self.folder.name}",
            root=folder,
            fps=self.fps,
            features=self.features.as_lerobot(),
            robot_type=self._robot_type,
            use_videos=self.features.storage == "video",
            video_backend="pyav",
            rgb_encoder=self._encoder,
            metadata_buffer_size=1,
        )

    def _write_held(self, *, success: bool) -> None:
        if self._held is None:
            return
        row: dict[str, Any] = dict(self._held)
        if self.features.success:
            row[SUCCESS] = np.array([success])
        self._writer.add_frame(row | {"task": ""})  # the task is known when the episode is finished

    def _join(self, task: str, notes: Mapping[str, str]) -> None:
        files = self._commit.begin()
        order = self._dataset.prepare(self._beside / "episode", files, task=task)
        for name, text in notes.items():
            (files / name).parent.mkdir(parents=True, exist_ok=True)
            (files / name).write_text(text, encoding="utf-8")
        try:
            self._commit.publish([*notes, *order])
        finally:
            if self._commit.pending:  # the disk refused in the middle of the moves; the next opening makes the others
                self.close()
        self._dataset = GrowingDataset(self.folder, **self._limits)

    def _require_open(self) -> None:
        if self._closed:
            raise InvalidInputError(f"the recording to {self.folder} is closed; open a new recorder to go on.")

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Turn the disk's refusals into a sentence."""
        try:
            yield
        except (OSError, av.error.FFmpegError) as error:
            if isinstance(error, MissingDependencyError):
                raise
            raise RecordingError(
                f"{what} in {self.folder}: {error.strerror or error}. The finished episodes are kept."
            ) from error


def finish_interrupted(folder: str | Path) -> None:
    """Make the moves that a recorder which died has left to be made; a new recorder for the folder does it, too.

    Raises:
        InvalidInputError: if a recorder is writing to the folder.
        RecordingError: if the disk refuses.
    """
    folder = Path(folder).absolute()
    if not _beside(folder).is_dir():
        return
    lock = _locked(folder)
    try:
        FolderCommit(folder, _beside(folder)).finish()
        shutil.rmtree(_beside(folder), ignore_errors=True)
    except OSError as error:
        raise RecordingError(f"cannot finish the dataset {folder}: {error.strerror or error}.") from error
    finally:
        lock.release()


def _beside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.recording")


def _locked(folder: Path) -> Any:
    from filelock import FileLock, Timeout

    beside = _beside(folder)
    lock = FileLock(beside / "lock", timeout=0)
    try:
        if folder.exists() and not folder.is_dir():
            raise InvalidInputError(f"{folder} is a file; choose another folder for the dataset.")
        beside.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise InvalidInputError(f"another recorder is writing to {folder}; wait for it to close.") from error
    except OSError as error:
        raise RecordingError(f"cannot write to {folder.parent}: {error.strerror or error}.") from error
    return lock


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library's progress bars and FFmpeg's remarks, some for each episode, off the terminal."""
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    av.logging.set_libav_level(av.logging.WARNING)
    try:
        yield
    finally:
        av.logging.set_libav_level(av.logging.INFO)  # FFmpeg's default
        av.logging.set_level(av.logging.get_level())  # lerobot takes FFmpeg's messages from PyAV; give them back
        if shown:
            enable_progress_bars()


def _require_lerobot() -> None:
    try:
        import lerobot.datasets.lerobot_dataset  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            "recording needs lerobot, which is not installed; get it with pip install 'cosmos-robot[lerobot]'."
        ) from error


def _encoder(codec: str) -> Any:
    from lerobot.configs.video import RGBEncoderConfig

    try:
        return RGBEncoderConfig(vcodec=codec, extra_options=REPRODUCIBLE_X264 if codec == "h264" else {})
    except ValueError as error:
        raise InvalidInputError(f"videos cannot be encoded with codec {codec!r}: {error}") from error


def _whole(fps: float) -> int:
    if not (fps > 0 and float(fps).is_integer()):
        raise InvalidInputError(f"a LeRobot dataset has a whole number of time steps a second; got fps={fps}.")
    return int(fps)
