"""What the columns of an action mean: single channels, and the nine that together are one pose."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike

from cosmos_robot.domains import poses
from cosmos_robot.domains.poses import Float64
from cosmos_robot.errors import InvalidInputError, UnknownFactError

POSE_SUFFIXES = ("x", "y", "z", "r00", "r10", "r20", "r01", "r11", "r21")
"""Channel names of a pose: the translation, then the rotation's first and second column, by matrix index."""


@dataclass(frozen=True)
class Channel:
    """One column of an action.

    Attributes:
        name: unique in its domain.
        unit: of the number in robot units, with its direction where it has one.
        low: least value that the robot accepts or the encoding allows, or None where nobody has published it.
        high: greatest value, or None.
    """

    name: str
    unit: str
    low: float | None = None
    high: float | None = None


class PoseConvention(StrEnum):
    """What a pose block's nine numbers are relative to."""

    BACKWARD_FRAMEWISE = "backward_framewise"
    """`inv(T_i) @ T_{i+1}`: each step seen from the frame before it."""
    BACKWARD_ANCHORED = "backward_anchored"
    """`inv(T_0) @ T_{i+1}`: each pose seen from the first."""
    CONTROLLER_COMMAND = "controller_command"
    """A command to the robot's own controller; what pose it leads to, only the controller knows."""
    UNPUBLISHED = "unpublished"
    """Nobody has said."""


type Matrix3 = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]


@dataclass(frozen=True)
class FrameStep:
    """One right-hand factor on the way from the robot's own end-effector frame into the model's.

    Attributes:
        rotation: 3x3, rows of the matrix.
        translation: in metres, in the frame reached so far.
    """

    rotation: Matrix3
    translation: tuple[float, float, float]

    def matrix(self) -> Float64:
        """The step as a pose `[4, 4]`; the rotation is projected to SO(3), as published ones are rounded."""
        return poses.pose_matrix(self.translation, poses.project_to_so3(self.rotation))


@dataclass(frozen=True)
class PoseBlock:
    """Nine channels in a row that are one pose: translation, then rot6d by columns.

    Attributes:
        name: of the moving thing (`arm`, `right_wrist`, `ego`); the channels are `<name>_x` and so on.
        start: index of its first channel.
        convention: what the pose is relative to.
        unit: of the translation; `m` unless the domain says otherwise.
        frame: factors that take an absolute pose of the robot into the model's OpenCV-like frame (x right, y
            down, z forward or approach), multiplied from the right in this order. Empty: it is in that frame
            already. None: nobody has published it.
    """

    name: str
    start: int
    convention: PoseConvention
    unit: str = "m"
    frame: tuple[FrameStep, ...] | None = None

    @property
    def columns(self) -> slice:
        """All nine channels."""
        return slice(self.start, self.start + 9)

    @property
    def translation(self) -> slice:
        """The three channels of the translation."""
        return slice(self.start, self.start + 3)

    @property
    def rotation(self) -> slice:
        """The six channels of the rotation."""
        return slice(self.start + 3, self.start + 9)

    def channels(self) -> tuple[Channel, ...]:
        """The nine channels; entries of a rotation matrix have bounds, a translation has none."""
        return tuple(
            Channel(f"{self.name}_{suffix}", self.unit)
            if suffix in {"x", "y", "z"}
            else Channel(f"{self.name}_{suffix}", "rotation matrix entry", -1.0, 1.0)
            for suffix in POSE_SUFFIXES
        )

    def into_frame(self, robot_poses: ArrayLike) -> Float64:
        """Take absolute poses of the robot's end effector, `[..., 4, 4]`, into the model's frame.

        Raises:
            UnknownFactError: if the frame has not been published.
        """
        return np.asarray(np.asarray(robot_poses, dtype=np.float64) @ self.frame_matrix())

    def out_of_frame(self, model_poses: ArrayLike) -> Float64:
        """Take absolute poses in the model's frame, `[..., 4, 4]`, back to the robot's end effector.

        Raises:
            UnknownFactError: if the frame has not been published.
        """
        return np.asarray(np.asarray(model_poses, dtype=np.float64) @ poses.invert(self.frame_matrix()))

    def encode(self, model_poses: ArrayLike) -> Float64:
        """Write a trajectory `[T + 1, 4, 4]` in the model's frame as T rows of nine numbers.

        Raises:
            InvalidInputError: if the block holds controller commands, which poses do not determine.
            UnknownFactError: if the convention has not been published.
        """
        self._require_geometry()
        anchored = self.convention is PoseConvention.BACKWARD_ANCHORED
        deltas = poses.anchored_deltas(model_poses) if anchored else poses.framewise_deltas(model_poses)
        return poses.pose9_from_matrix(deltas)

    def integrate(self, rows: ArrayLike, start: ArrayLike) -> Float64:
        """Read T rows of nine numbers as a trajectory `[T + 1, 4, 4]` in the model's frame.

        Args:
            rows: `[T, 9]`.
            start: `[4, 4]`, the pose at the first frame.

        Raises:
            InvalidInputError: if the block holds controller commands, which do not add up to a pose.
            UnknownFactError: if the convention has not been published.
        """
        self._require_geometry()
        deltas = poses.matrix_from_pose9(rows)
        if self.convention is PoseConvention.BACKWARD_ANCHORED:
            return poses.integrate_anchored(deltas, start)
        return poses.integrate_framewise(deltas, start)

    def frame_matrix(self) -> Float64:
        """What takes an absolute pose of the robot's end effector into the model's frame, from the right: `[4, 4]`.

        Raises:
            UnknownFactError: if the frame has not been published.
        """
        if self.frame is None:
            raise UnknownFactError(
                f"the gripper frame of pose {self.name!r} has not been published; if the poses are in the "
                f"model's frame already, say so with `frame = []` in a TOML of your own."
            )
        product = np.eye(4)
        for step in self.frame:
            product = product @ step.matrix()
        return product

    def _require_geometry(self) -> None:
        if self.convention is PoseConvention.CONTROLLER_COMMAND:
            raise InvalidInputError(
                f"pose {self.name!r} holds commands to the robot's controller, not pose differences; they "
                f"neither come from poses nor add up to poses. Read the poses from the simulator's state."
            )
        if self.convention is PoseConvention.UNPUBLISHED:
            raise UnknownFactError(
                f"what pose {self.name!r} is relative to has not been published; "
                f"set its convention in a TOML of your own."
            )
