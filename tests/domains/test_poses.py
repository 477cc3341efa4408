"""Rotations and poses against computations written out by hand, with rotations that are never the identity."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cosmos_robot.domains import poses
from cosmos_robot.errors import InvalidInputError

seeds = st.integers(0, 2**32 - 1)


def random_trajectory(seed, *shape):
    rng = np.random.default_rng(seed)
    count = int(np.prod(shape))
    trajectory = np.tile(np.eye(4), (count, 1, 1))
    trajectory[:, :3, :3] = Rotation.random(count, rng=rng).as_matrix()
    trajectory[:, :3, 3] = rng.normal(size=(count, 3))
    return trajectory.reshape(*shape, 4, 4)


@given(seeds)
def test_rot6d_is_the_first_two_columns(seed):
    (R,) = Rotation.random(1, rng=np.random.default_rng(seed)).as_matrix()
    written = [R[0, 0], R[1, 0], R[2, 0], R[0, 1], R[1, 1], R[2, 1]]
    np.testing.assert_array_equal(poses.rot6d_from_matrix(R), written)
    np.testing.assert_allclose(poses.matrix_from_rot6d(written), R, atol=1e-12)


@given(seeds)
def test_rot6d_by_rows_is_the_transpose_and_is_not_the_same(seed):
    (R,) = Rotation.random(1, rng=np.random.default_rng(seed)).as_matrix()
    rows = [R[0, 0], R[0, 1], R[0, 2], R[1, 0], R[1, 1], R[1, 2]]
    np.testing.assert_array_equal(poses.rot6d_rows_from_matrix(R), rows)
    np.testing.assert_allclose(poses.matrix_from_rot6d_rows(rows), R, atol=1e-12)
    np.testing.assert_allclose(poses.matrix_from_rot6d(rows), R.T, atol=1e-12)


@given(seeds)
def test_projection_gives_the_nearest_rotation(seed):
    rng = np.random.default_rng(seed)
    M = Rotation.random(20, rng=rng).as_matrix() + 0.3 * rng.normal(size=(20, 3, 3))
    projected = poses.project_to_so3(M)
    np.testing.assert_allclose(projected @ np.swapaxes(projected, -1, -2), np.tile(np.eye(3), (20, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(projected), 1.0)
    distance = np.linalg.norm(M - projected, axis=(1, 2))
    others = projected @ Rotation.from_rotvec(0.05 * rng.normal(size=(20, 3))).as_matrix()
    assert (distance <= np.linalg.norm(M - others, axis=(1, 2)) + 1e-12).all()


def test_projection_turns_a_reflection_into_a_rotation():
    projected = poses.project_to_so3(np.diag([1.0, 1.0, -1.0]))
    assert np.linalg.det(projected) == pytest.approx(1.0)


def test_a_short_second_column_does_not_bend_the_first_more_than_svd_says():
    first, second = np.array([1.0, 0.1, 0.0]), np.array([0.0, 0.5, 0.0])
    stacked = np.stack([first, second, np.cross(first, second)], axis=-1)
    np.testing.assert_allclose(poses.matrix_from_rot6d(np.concatenate([first, second])), poses.project_to_so3(stacked))


@given(seeds)
def test_pose9_round_trip(seed):
    T = random_trajectory(seed, 2, 5)
    pose9 = poses.pose9_from_matrix(T)
    assert pose9.shape == (2, 5, 9)
    np.testing.assert_array_equal(pose9[1, 3, :3], T[1, 3, :3, 3])
    np.testing.assert_allclose(poses.matrix_from_pose9(pose9), T, atol=1e-9)


@given(seeds)
def test_framewise_deltas_by_explicit_matrix_product(seed):
    T = random_trajectory(seed, 7)
    deltas = poses.framewise_deltas(T)
    for i in range(6):
        np.testing.assert_allclose(deltas[i], np.linalg.inv(T[i]) @ T[i + 1], atol=1e-9)
    chained = T[0]
    for delta in deltas:
        chained = chained @ delta
    np.testing.assert_allclose(chained, T[-1], atol=1e-9)
    np.testing.assert_allclose(poses.integrate_framewise(deltas, T[0]), T, atol=1e-6)


@given(seeds)
def test_framewise_deltas_do_not_see_the_world_frame(seed):
    T = random_trajectory(seed, 5)
    (world,) = random_trajectory(seed + 1, 1)
    np.testing.assert_allclose(poses.framewise_deltas(world @ T), poses.framewise_deltas(T), atol=1e-9)


@given(seeds)
def test_anchored_deltas_by_explicit_matrix_product(seed):
    T = random_trajectory(seed, 7)
    deltas = poses.anchored_deltas(T)
    for i in range(6):
        np.testing.assert_allclose(deltas[i], np.linalg.inv(T[0]) @ T[i + 1], atol=1e-9)
    np.testing.assert_allclose(poses.integrate_anchored(deltas, T[0]), T, atol=1e-6)


@given(seeds)
def test_trajectories_come_in_batches(seed):
    T = random_trajectory(seed, 3, 4)
    for forward, back in [
        (poses.framewise_deltas, poses.integrate_framewise),
        (poses.anchored_deltas, poses.integrate_anchored),
    ]:
        deltas = forward(T)
        np.testing.assert_allclose(deltas[2], forward(T[2]), atol=1e-12)
        np.testing.assert_allclose(back(deltas, T[:, 0]), T, atol=1e-9)


@given(seeds, st.sampled_from(["xyzw", "wxyz"]))
def test_quaternions_in_both_orders(seed, order):
    q = Rotation.random(4, rng=np.random.default_rng(seed)).as_quat().reshape(2, 2, 4)
    x, y, z, w = np.moveaxis(q, -1, 0)
    ordered = np.stack([x, y, z, w] if order == "xyzw" else [w, x, y, z], axis=-1)
    matrix = poses.matrix_from_quaternion(ordered, order)
    np.testing.assert_allclose(matrix[..., 0, 0], 1 - 2 * (y * y + z * z), atol=1e-12)
    np.testing.assert_allclose(matrix[..., 1, 0], 2 * (x * y + z * w), atol=1e-12)
    back = poses.quaternion_from_matrix(matrix, order)
    np.testing.assert_allclose(np.abs(np.sum(back * ordered, axis=-1)), 1.0, atol=1e-12)


@given(seeds)
def test_euler_angles_turn_about_the_fixed_axes_in_the_order_x_y_z(seed):
    a, b, c = np.random.default_rng(seed).uniform(-1.5, 1.5, 3)
    X = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    Y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    Z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    R = poses.matrix_from_euler_xyz([a, b, c])
    np.testing.assert_allclose(R, Z @ Y @ X, atol=1e-12)
    np.testing.assert_allclose(poses.euler_xyz_from_matrix(R), [a, b, c], atol=1e-9)


@given(seeds)
def test_axis_angle_keeps_its_axis_and_its_angle(seed):
    vector = np.random.default_rng(seed).uniform(-1.5, 1.5, 3)
    R = poses.matrix_from_axis_angle(vector)
    np.testing.assert_allclose(R @ vector, vector, atol=1e-12)
    assert np.arccos((np.trace(R) - 1) / 2) == pytest.approx(np.linalg.norm(vector))
    np.testing.assert_allclose(poses.axis_angle_from_matrix(R), vector, atol=1e-9)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: poses.matrix_from_rot6d(np.zeros((4, 5))), r"rot6d must have shape \[\.\.\., 6\]"),
        (lambda: poses.framewise_deltas(np.eye(4)), "at least two poses"),
        (lambda: poses.matrix_from_quaternion(np.zeros(4), "xyzw"), "a quaternion is zero"),
    ],
)
def test_wrong_shapes_are_said(call, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        call()
