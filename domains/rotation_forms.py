"""The ways in which datasets write a rotation down, each with its name, its width and both directions.

The name says what a bare word leaves open: the order of a quaternion's elements, whether rot6d holds rows or columns.
"""

from collections.abc import Callable
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike

from cosmos_robot.domains import poses
from cosmos_robot.domains.poses import Float64
from cosmos_robot.errors import InvalidInputError


class RotationForm(StrEnum):
    """How a rotation is written."""

    EULER_XYZ = "euler_xyz"
    """Three angles in radians about the fixed axes x, y, z: `Rz @ Ry @ Rx`."""
    QUATERNION_XYZW = "quaternion_xyzw"
    """A quaternion with the real part last, as scipy, ROS and robosuite have it."""
    QUATERNION_WXYZ = "quaternion_wxyz"
    """A quaternion with the real part first, as MuJoCo and Eigen's constructor have it."""
    AXIS_ANGLE = "axis_angle"
    """A rotation vector: the axis times the angle in radians."""
    ROT6D_COLUMNS = "rot6d_columns"
    """The matrix's first two columns: Cosmos 3's own."""
    ROT6D_ROWS = "rot6d_rows"
    """The matrix's first two rows, as PyTorch3D and UMI's training code have it."""
    MATRIX = "matrix"
    """All nine entries, row by row."""

    @property
    def width(self) -> int:
        """How many numbers it takes."""
        return _FORMS[self][0]

    def read(self, values: ArrayLike) -> Float64:
        """Turn `[..., width]` into rotations `[..., 3, 3]`.

        Raises:
            InvalidInputError: if the width is wrong, or something is no rotation.
        """
        return _FORMS[self][1](values)

    def write(self, matrices: ArrayLike) -> Float64:
        """Turn rotations `[..., 3, 3]` into `[..., width]`."""
        return _FORMS[self][2](matrices)


def _matrix_from_nine(values: ArrayLike) -> Float64:
    array = np.asarray(values, dtype=np.float64)
    if array.shape[-1:] != (9,):
        raise InvalidInputError(f"a matrix row by row must have shape [..., 9]; got shape {array.shape}.")
    matrices = array.reshape(*array.shape[:-1], 3, 3)
    if not np.allclose(matrices @ np.swapaxes(matrices, -1, -2), np.eye(3), rtol=0, atol=1e-3):
        raise InvalidInputError("nine numbers are no rotation matrix: its rows must be orthonormal.")
    if (np.linalg.det(matrices) < 0).any():
        raise InvalidInputError("nine numbers are no rotation matrix but a reflection: its determinant is -1.")
    return poses.project_to_so3(matrices)


def _nine_from_matrix(matrices: ArrayLike) -> Float64:
    array = np.asarray(matrices, dtype=np.float64)
    return array.reshape(*array.shape[:-2], 9)


_FORMS: dict[RotationForm, tuple[int, Callable[[ArrayLike], Float64], Callable[[ArrayLike], Float64]]] = {
    RotationForm.EULER_XYZ: (3, poses.matrix_from_euler_xyz, poses.euler_xyz_from_matrix),
    RotationForm.QUATERNION_XYZW: (
        4,
        lambda values: poses.matrix_from_quaternion(values, "xyzw"),
        lambda matrices: poses.quaternion_from_matrix(matrices, "xyzw"),
    ),
    RotationForm.QUATERNION_WXYZ: (
        4,
        lambda values: poses.matrix_from_quaternion(values, "wxyz"),
        lambda matrices: poses.quaternion_from_matrix(matrices, "wxyz"),
    ),
    RotationForm.AXIS_ANGLE: (3, poses.matrix_from_axis_angle, poses.axis_angle_from_matrix),
    RotationForm.ROT6D_COLUMNS: (6, poses.matrix_from_rot6d, poses.rot6d_from_matrix),
    RotationForm.ROT6D_ROWS: (6, poses.matrix_from_rot6d_rows, poses.rot6d_rows_from_matrix),
    RotationForm.MATRIX: (9, _matrix_from_nine, _nine_from_matrix),
}
"""Width, reading, writing."""
