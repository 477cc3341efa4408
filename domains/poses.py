"""Rotations and rigid poses as Cosmos 3's actions write them down.

Everything is batched over leading axes and computed in float64. A pose is a homogeneous 4x4 matrix that takes
points of the moving frame (camera, gripper) into the world. A *pose9* is `[x, y, z, R00, R10, R20, R01, R11,
R21]`: the translation, then the first two **columns** of the rotation. The row-based layout of PyTorch3D and
UMI's own code transposes every rotation; the functions that speak it say so in their names.

Conventions and formulas: cosmos-framework `utils/pose_utils.py`; rot6d: Zhou et al. 2019, arXiv 1812.07035.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from cosmos_robot.errors import InvalidInputError

type Float64 = NDArray[np.float64]

QuaternionOrder = Literal["xyzw", "wxyz"]

IDENTITY_ROT6D = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
IDENTITY_POSE9 = (0.0, 0.0, 0.0, *IDENTITY_ROT6D)


def project_to_so3(matrices: ArrayLike) -> Float64:
    """Find the rotation nearest to each matrix in the Frobenius norm, by singular value decomposition.

    With `M = U S V^T` it is `U diag(1, 1, det(U V^T)) V^T`: a reflection is folded over the weakest axis.

    Args:
        matrices: `[..., 3, 3]`.

    Returns:
        `[..., 3, 3]`, orthonormal with determinant +1.
    """
    u, _, vt = np.linalg.svd(_as_float(matrices, (3, 3), "rotation matrices"))
    u[..., :, 2] *= np.sign(np.linalg.det(u @ vt))[..., None]
    return np.asarray(u @ vt, dtype=np.float64)


def rot6d_from_matrix(matrices: ArrayLike) -> Float64:
    """Write rotations `[..., 3, 3]` as rot6d by columns, `[..., 6]`: `R[:, 0]`, then `R[:, 1]`."""
    rotation = _as_float(matrices, (3, 3), "rotation matrices")
    return np.concatenate([rotation[..., :, 0], rotation[..., :, 1]], axis=-1)


def matrix_from_rot6d(rot6d: ArrayLike) -> Float64:
    """Read rot6d by columns, `[..., 6]`, as rotations `[..., 3, 3]`.

    The third column is the cross product of the two; the three are then projected to SO(3), so that a
    prediction that is not quite orthonormal still gives a rotation (Gram-Schmidt would favour the first
    column).
    """
    values = _as_float(rot6d, (6,), "rot6d")
    first, second = values[..., :3], values[..., 3:]
    return project_to_so3(np.stack([first, second, np.cross(first, second)], axis=-1))


def rot6d_rows_from_matrix(matrices: ArrayLike) -> Float64:
    """Write rotations `[..., 3, 3]` as PyTorch3D and UMI do, rot6d by rows, `[..., 6]`."""
    rotation = _as_float(matrices, (3, 3), "rotation matrices")
    return np.concatenate([rotation[..., 0, :], rotation[..., 1, :]], axis=-1)


def matrix_from_rot6d_rows(rot6d: ArrayLike) -> Float64:
    """Read rot6d by rows, `[..., 6]`, as PyTorch3D and UMI write it, as rotations `[..., 3, 3]`."""
    return np.swapaxes(matrix_from_rot6d(rot6d), -1, -2)


def matrix_from_quaternion(quaternions: ArrayLike, order: QuaternionOrder) -> Float64:
    """Turn quaternions `[..., 4]` into rotations `[..., 3, 3]`; the order of the elements is never guessed.

    Raises:
        InvalidInputError: if a quaternion is zero.
    """
    values = _as_float(quaternions, (4,), "quaternions")
    if (np.linalg.norm(values, axis=-1) < 1e-8).any():
        raise InvalidInputError("a quaternion is zero, which is no rotation; drop or repair that sample.")
    flat = values.reshape(-1, 4)
    xyzw = flat if order == "xyzw" else flat[:, [1, 2, 3, 0]]
    return _matrices(Rotation.from_quat(xyzw), values.shape[:-1])


def quaternion_from_matrix(matrices: ArrayLike, order: QuaternionOrder) -> Float64:
    """Turn rotations `[..., 3, 3]` into unit quaternions `[..., 4]`."""
    rotation, leading = _rotations(matrices)
    xyzw = rotation.as_quat()
    return np.asarray(xyzw if order == "xyzw" else xyzw[:, [3, 0, 1, 2]]).reshape(*leading, 4)


def matrix_from_euler_xyz(angles: ArrayLike) -> Float64:
    """Turn Euler angles `[..., 3]` in radians about the fixed axes x, y, z into rotations `[..., 3, 3]`."""
    values = _as_float(angles, (3,), "Euler angles")
    return _matrices(Rotation.from_euler("xyz", values.reshape(-1, 3)), values.shape[:-1])


def euler_xyz_from_matrix(matrices: ArrayLike) -> Float64:
    """Turn rotations `[..., 3, 3]` into Euler angles `[..., 3]` in radians about the fixed axes x, y, z."""
    rotation, leading = _rotations(matrices)
    return np.asarray(rotation.as_euler("xyz")).reshape(*leading, 3)


def matrix_from_axis_angle(vectors: ArrayLike) -> Float64:
    """Turn rotation vectors `[..., 3]` (axis times angle in radians) into rotations `[..., 3, 3]`."""
    values = _as_float(vectors, (3,), "rotation vectors")
    return _matrices(Rotation.from_rotvec(values.reshape(-1, 3)), values.shape[:-1])


def axis_angle_from_matrix(matrices: ArrayLike) -> Float64:
    """Turn rotations `[..., 3, 3]` into rotation vectors `[..., 3]` (axis times angle in radians)."""
    rotation, leading = _rotations(matrices)
    return np.asarray(rotation.as_rotvec()).reshape(*leading, 3)


def pose_matrix(translation: ArrayLike, rotation: ArrayLike) -> Float64:
    """Join translations `[..., 3]` and rotations `[..., 3, 3]` into poses `[..., 4, 4]`."""
    positions = _as_float(translation, (3,), "translations")
    rotations = _as_float(rotation, (3, 3), "rotation matrices")
    leading = np.broadcast_shapes(positions.shape[:-1], rotations.shape[:-2])
    pose = np.broadcast_to(np.eye(4), (*leading, 4, 4)).copy()
    pose[..., :3, :3] = rotations
    pose[..., :3, 3] = positions
    return pose


def pose9_from_matrix(poses: ArrayLike) -> Float64:
    """Write poses `[..., 4, 4]` as pose9 `[..., 9]`."""
    pose = _as_float(poses, (4, 4), "poses")
    return np.concatenate([pose[..., :3, 3], rot6d_from_matrix(pose[..., :3, :3])], axis=-1)


def matrix_from_pose9(pose9: ArrayLike) -> Float64:
    """Read pose9 `[..., 9]` as poses `[..., 4, 4]`, projecting the rotation to SO(3)."""
    values = _as_float(pose9, (9,), "pose9")
    return pose_matrix(values[..., :3], matrix_from_rot6d(values[..., 3:]))


def invert(poses: ArrayLike) -> Float64:
    """Invert rigid poses `[..., 4, 4]`: `[R^T, -R^T t]`."""
    pose = _as_float(poses, (4, 4), "poses")
    transposed = np.swapaxes(pose[..., :3, :3], -1, -2)
    return pose_matrix(-np.einsum("...ij,...j->...i", transposed, pose[..., :3, 3]), transposed)


def framewise_deltas(poses: ArrayLike) -> Float64:
    """Describe a trajectory by steps in the moving frame: `delta_i = inv(T_i) @ T_{i+1}`.

    The world cancels: the same motion gives the same deltas whatever the robot's base frame.

    Args:
        poses: `[..., T + 1, 4, 4]` with T >= 1.

    Returns:
        `[..., T, 4, 4]`.
    """
    pose = _as_trajectory(poses)
    return np.asarray(invert(pose[..., :-1, :, :]) @ pose[..., 1:, :, :])


def integrate_framewise(deltas: ArrayLike, start: ArrayLike) -> Float64:
    """Chain framewise deltas: `T_{i+1} = T_i @ delta_i`; the inverse of `framewise_deltas`.

    Args:
        deltas: `[..., T, 4, 4]`.
        start: `[..., 4, 4]` or `[4, 4]`, the pose at the first frame.

    Returns:
        `[..., T + 1, 4, 4]`, the start included.
    """
    steps = _as_float(deltas, (4, 4), "deltas")
    first = _as_float(start, (4, 4), "start pose")
    trajectory = np.empty((*steps.shape[:-3], steps.shape[-3] + 1, 4, 4))
    trajectory[..., 0, :, :] = first
    for i in range(steps.shape[-3]):
        trajectory[..., i + 1, :, :] = trajectory[..., i, :, :] @ steps[..., i, :, :]
    return trajectory


def anchored_deltas(poses: ArrayLike) -> Float64:
    """Describe a trajectory by its poses seen from the first: `delta_i = inv(T_0) @ T_{i+1}`.

    Args:
        poses: `[..., T + 1, 4, 4]` with T >= 1.

    Returns:
        `[..., T, 4, 4]`.
    """
    pose = _as_trajectory(poses)
    return np.asarray(invert(pose[..., :1, :, :]) @ pose[..., 1:, :, :])


def integrate_anchored(deltas: ArrayLike, start: ArrayLike) -> Float64:
    """Undo `anchored_deltas`: `T_{i+1} = T_0 @ delta_i`.

    Args:
        deltas: `[..., T, 4, 4]`.
        start: `[..., 4, 4]` or `[4, 4]`, the pose at the first frame.

    Returns:
        `[..., T + 1, 4, 4]`, the start included.
    """
    steps = _as_float(deltas, (4, 4), "deltas")
    first = np.broadcast_to(_as_float(start, (4, 4), "start pose"), (*steps.shape[:-3], 4, 4))[..., None, :, :]
    return np.concatenate([first, first @ steps], axis=-3)


def _as_trajectory(poses: ArrayLike) -> Float64:
    pose = _as_float(poses, (4, 4), "poses")
    if pose.ndim < 3 or pose.shape[-3] < 2:
        raise InvalidInputError(
            f"a trajectory needs at least two poses, shape [..., T + 1, 4, 4]; got shape {pose.shape}."
        )
    return pose


def _as_float(values: ArrayLike, trailing: tuple[int, ...], what: str) -> Float64:
    array = np.asarray(values, dtype=np.float64)
    if array.shape[-len(trailing) :] != trailing:
        wanted = ", ".join(str(size) for size in trailing)
        raise InvalidInputError(f"{what} must have shape [..., {wanted}]; got shape {array.shape}.")
    return array


def _rotations(matrices: ArrayLike) -> tuple[Rotation, tuple[int, ...]]:
    values = _as_float(matrices, (3, 3), "rotation matrices")
    return Rotation.from_matrix(values.reshape(-1, 3, 3)), values.shape[:-2]


def _matrices(rotation: Rotation, leading: tuple[int, ...]) -> Float64:
    return np.asarray(rotation.as_matrix(), dtype=np.float64).reshape(*leading, 3, 3)
