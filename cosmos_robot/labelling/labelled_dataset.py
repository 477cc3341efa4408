"""Raw videos as a LeRobot dataset: frames, the actions that a world model reads off them, and the poses they lead to.

Each video is an episode. Its columns are `action` and `<domain>.action`, the same numbers in robot units (what
LeRobot's policies look for, and what says whose they are), and `observation.pose.<name>` for each pose that the
domain's actions move: nine numbers, translation and first two columns of the rotation, in the model's frame, from the
identity at the video's first frame. An odd side of a video is made even by repeating its last row or column.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cosmos_robot.datasets.recorded_actions import recorded_name
from cosmos_robot.datasets.recorded_features import Column, RecordedFeatures
from cosmos_robot.datasets.recorder import EpisodeRecorder, finish_interrupted
from cosmos_robot.datasets.recording_job import RecordingJob
from cosmos_robot.datasets.video import VIDEO_SUFFIXES, even_sided, stream_timed_video
from cosmos_robot.datasets.windows import OnError, require_on_error
from cosmos_robot.domains.channels import POSE_SUFFIXES
from cosmos_robot.errors import InvalidInputError, MediaError, RecordingError
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.labelling.video_labels import LabelledFrames, LabelSettings, label_video, pose_rows, resampled
from cosmos_robot.labelling.video_labels import pose_blocks as poses_of
from cosmos_robot.types import Frames, Progress

NOTES = "meta/labels.json"


@dataclass(frozen=True)
class Labelling:
    """What came of it.

    Attributes:
        folder: of the dataset.
        episodes: how many it has.
        resumed_at: position of the video with which this call began.
        skipped: sentences about videos that were left out, by their position.
    """

    folder: Path
    episodes: int
    resumed_at: int
    skipped: Mapping[int, str]


@dataclass(frozen=True)
class LabelOutput:
    """How the dataset is written.

    Attributes:
        folder: of the dataset.
        camera: feature name of the videos' frames.
        codec: of the videos; see `EpisodeRecorder`.
        checkpoint: what reads the actions, as it was named; a job that goes on must have the same.
        on_error: "skip" leaves out videos that cannot be labelled and says which.
    """

    folder: Path
    camera: str = "observation.images.video"
    codec: str = "libsvtav1"
    checkpoint: str = ""
    on_error: OnError = "raise"

    def __post_init__(self) -> None:
        require_on_error(self.on_error)


def find_videos(places: Sequence[Path]) -> list[Path]:
    """Video files: those that are named, and those in folders that are named, in the order of their names.

    Raises:
        MediaError: if there is none, or a path is neither.
    """
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            inside = [path for path in place.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()]
            if not inside:
                raise MediaError(f"the folder {place} holds no video ({', '.join(VIDEO_SUFFIXES)}).")
            found += sorted(inside)
        elif place.is_file():
            found.append(place)
        else:
            raise MediaError(f"there is no video {place}; check the path.")
    return found


def label_videos(
    model: Callable[[], WorldModel],
    videos: Sequence[Path],
    settings: LabelSettings,
    output: LabelOutput,
    *,
    started: Callable[[int], None] = lambda position: None,
    progress: Progress | None = None,
) -> Labelling:
    """Label videos; stopped, it goes on behind the last finished video when it is called again.

    Args:
        model: loads what reads the actions; called when there is something to do.
        videos: files, one episode each.
        settings: the robot, and how the model is asked.
        output: how the dataset is written.
        started: told of the position of each video that is begun.
        progress: told of each denoising step.

    Raises:
        InvalidInputError: if the folder holds another dataset, or the domain's steps cannot be chained.
        MediaError: if a video cannot be used and none is to be skipped.
        RecordingError: if the disk is full.
    """
    poses_of(settings.domain)
    finish_interrupted(output.folder)
    job = RecordingJob.begin_or_go_on(output.folder, NOTES, _facts(videos, settings, output))
    begin = job.next
    if begin == len(videos):
        return Labelling(output.folder, begin - len(job.skipped), begin, job.skipped)
    loaded = model()
    with _Writer(output, settings) as writer:
        for position in range(begin, len(videos)):
            started(position)
            try:
                with stream_timed_video(videos[position]) as (frames, rate):
                    taken = resampled(frames, rate, settings.rate)
                    for piece in label_video(loaded, taken, settings, progress):
                        writer.add(piece)
            except MediaError as error:
                writer.discard()
                if output.on_error == "raise":
                    raise MediaError(f"{videos[position]}: {error}") from error
                job = job.skip(position, f"{videos[position]}: {error}")
                continue
            job = job.done(position)
            writer.finish(job)
        return Labelling(output.folder, len(videos) - len(job.skipped), begin, job.skipped)


def _facts(videos: Sequence[Path], settings: LabelSettings, output: LabelOutput) -> dict[str, object]:
    return {
        "videos": [video.name for video in videos],
        "domain": settings.domain.name,
        "checkpoint": output.checkpoint,
        "prompt": settings.prompt,
        "seed": settings.seed,
        "num_steps": settings.num_steps,
        "action_chunk_size": settings.chunk,
        "fps": settings.rate,
        "camera": output.camera,
        "codec": output.codec,
        "on_error": output.on_error,
    }


class _Writer:
    """A recorder that is made when the first frame tells the size of all."""

    def __init__(self, output: LabelOutput, settings: LabelSettings) -> None:
        self._output, self._settings = output, settings
        self._recorder: EpisodeRecorder | None = None

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *error: object) -> None:
        if self._recorder is not None:
            self._recorder.close()

    def add(self, piece: LabelledFrames) -> None:
        frames = even_sided(piece.frames)
        if self._recorder is None:
            self._recorder = self._new(frames)
        own = recorded_name(self._settings.domain)
        poses = {_pose_name(name): pose_rows(poses) for name, poses in piece.poses.items()}
        for row, frame in enumerate(frames):
            values = {"action": piece.actions[row], own: piece.actions[row]}
            values |= {name: rows[row] for name, rows in poses.items()}
            try:
                self._recorder.add_frame({self._output.camera: frame}, values)
            except RecordingError:
                raise
            except InvalidInputError as error:
                raise MediaError(f"it does not fit the dataset: {error}") from error

    def finish(self, job: RecordingJob) -> None:
        if self._recorder is None:
            raise InvalidInputError("there is no video to finish.")
        self._recorder.finish_episode(self._settings.prompt, notes=job.notes())

    def discard(self) -> None:
        if self._recorder is not None:
            self._recorder.discard_episode()

    def _new(self, frames: Frames) -> EpisodeRecorder:
        domain = self._settings.domain
        actions = Column((domain.raw_action_dim,), names=domain.channel_names)
        poses = {
            _pose_name(block.name): Column((9,), names=tuple(f"{block.name}_{suffix}" for suffix in POSE_SUFFIXES))
            for block in poses_of(domain)
        }
        return EpisodeRecorder(
            self._output.folder,
            fps=self._settings.rate,
            features=RecordedFeatures(
                cameras={self._output.camera: (frames.shape[1], frames.shape[2])},
                columns={"action": actions, recorded_name(domain): actions, **poses},
            ),
            robot_type=domain.name,
            codec=self._output.codec,
        )


def _pose_name(block: str) -> str:
    return f"observation.pose.{block}"
