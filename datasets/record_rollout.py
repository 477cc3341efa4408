"""World models' answers as episodes: what was predicted, and, where it is known, what really happened beside it.

An episode has the rollout's T + 1 frames. `action` is its actions, of which the last row is repeated for the last
frame, from which none leads on. Without a recording to compare with, the predicted frames are the camera's own; with
one, the camera holds what was recorded, and what the model said has `predicted.` before its name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cosmos_robot.datasets.recorded_actions import recorded_name
from cosmos_robot.datasets.recorded_features import PREDICTED, CameraStorage, Column, RecordedFeatures
from cosmos_robot.datasets.recorder import EpisodeRecorder
from cosmos_robot.domains.domain import Domain
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.short_repr import ShortRepr
from cosmos_robot.types import Actions, ActionSpace, FloatArray, Frames, Rollout, require_frames


@dataclass(frozen=True, eq=False, repr=False)
class Truth(ShortRepr):
    """What really happened while the model was predicting.

    Attributes:
        frames: uint8 `[T + 1, H, W, 3]`, of the size of the predicted ones; None where only actions are compared.
        actions: float32 `[T, D]` in robot units; None where the model was given them.
    """

    frames: Frames | None = None
    actions: FloatArray | None = None


class RolloutRecorder:
    """Writes rollouts of one domain and one size as a LeRobot v3.0 dataset; a context manager.

    Args:
        folder: of the dataset; one of the same form is appended to.
        domain: whose rollouts; None takes the first one's, by its name.
        camera: feature name of the frames.
        storage: mp4 files or PNG images.
        codec: of the videos; see `EpisodeRecorder`.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        domain: Domain | str | Path | None = None,
        camera: str = "observation.images.top",
        storage: CameraStorage = "video",
        codec: str = "libsvtav1",
    ) -> None:
        self._folder, self._camera, self._storage, self._codec = folder, camera, storage, codec
        self._domain = None if domain is None else get_domain(domain)
        self._recorder: EpisodeRecorder | None = None

    def record_rollout(self, rollout: Rollout, truth: Truth | None = None, *, task: str | None = None) -> int:
        """Write a rollout as an episode.

        Args:
            rollout: what a world model answered; it must have frames.
            truth: what really happened.
            task: what the robot was told; None is the rollout's prompt.

        Returns:
            the episode's number.

        Raises:
            InvalidInputError: if it has no frames, or does not fit the truth or the dataset; nothing of it is kept.
            RecordingError: if the disk is full.
        """
        domain = self._domain = self._domain or get_domain(rollout.domain)
        if rollout.frames is None:
            raise InvalidInputError("a rollout without frames cannot be recorded; ask for frames.")
        truth = truth or Truth()
        predicted = _robot_actions(rollout, domain)
        cameras = {self._camera: require_frames(rollout.frames)}
        if truth.frames is not None:
            cameras = {self._camera: require_frames(truth.frames), PREDICTED + self._camera: cameras[self._camera]}
        actions = predicted if truth.actions is None else np.asarray(truth.actions, dtype=np.float32)
        columns = {"action": actions, recorded_name(domain): actions}
        if truth.actions is not None:
            columns[PREDICTED + "action"] = predicted
        steps = len(rollout.frames)
        lengths = {name: (len(frames), steps) for name, frames in cameras.items()}
        lengths |= {name: (len(rows), steps - 1) for name, rows in columns.items()}
        for name, (has, wanted) in lengths.items():
            if has != wanted:
                raise InvalidInputError(f"{name} has {has} rows; a rollout of {steps} frames takes {wanted}.")
        recorder = self._recorder or self._open(rollout, cameras, columns, domain)
        try:
            for step in range(steps):
                row = min(step, steps - 2)
                recorder.add_frame(
                    {name: frames[step] for name, frames in cameras.items()},
                    {name: rows[row] for name, rows in columns.items()},
                )
            return recorder.finish_episode(rollout.prompt if task is None else task)
        except BaseException:
            recorder.discard_episode()
            raise

    def close(self) -> None:
        """End the recording; calling it again does nothing."""
        if self._recorder is not None:
            self._recorder.close()

    def __enter__(self) -> "RolloutRecorder":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _open(
        self, rollout: Rollout, cameras: Mapping[str, Frames], columns: Mapping[str, FloatArray], domain: Domain
    ) -> EpisodeRecorder:
        column = Column((domain.raw_action_dim,), names=domain.channel_names)
        self._recorder = EpisodeRecorder(
            self._folder,
            fps=rollout.fps,
            features=RecordedFeatures(
                cameras={name: (frames.shape[1], frames.shape[2]) for name, frames in cameras.items()},
                columns=dict.fromkeys(columns, column),
                storage=self._storage,
            ),
            robot_type=domain.name,
            codec=self._codec,
        )
        return self._recorder


def _robot_actions(rollout: Rollout, domain: Domain) -> FloatArray:
    if rollout.domain != domain.name:
        raise InvalidInputError(f"this rollout is of domain {rollout.domain!r}; the dataset is of {domain.name!r}.")
    given = Actions(rollout.actions, rollout.action_space, domain.name)
    return given.values if given.space is ActionSpace.ROBOT else domain.decode(given).values
