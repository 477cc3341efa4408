"""Actions from one form into another, against matrices written out here; every rotation is far from the identity."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cosmos_robot.domains.action_forms import ActionForm, convert_actions
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.domains.rotation_forms import RotationForm
from cosmos_robot.errors import InvalidInputError

RNG = np.random.default_rng(11)
ROTATIONS = Rotation.from_rotvec(RNG.normal(size=(6, 3)))
POSES = np.tile(np.eye(4), (6, 1, 1))
POSES[:, :3, :3], POSES[:, :3, 3] = ROTATIONS.as_matrix(), RNG.normal(size=(6, 3))
GRIPPER = RNG.uniform(size=(6, 1))

WRITTEN = {
    "euler_xyz": lambda r: Rotation.from_matrix(r).as_euler("xyz"),
    "quaternion_xyzw": lambda r: Rotation.from_matrix(r).as_quat(),
    "quaternion_wxyz": lambda r: Rotation.from_matrix(r).as_quat()[:, [3, 0, 1, 2]],
    "axis_angle": lambda r: Rotation.from_matrix(r).as_rotvec(),
    "rot6d_columns": lambda r: np.hstack([r[:, :, 0], r[:, :, 1]]),
    "rot6d_rows": lambda r: np.hstack([r[:, 0, :], r[:, 1, :]]),
    "matrix": lambda r: r.reshape(-1, 9),
}


def rows(matrices, rotation, *others):
    return np.hstack([matrices[:, :3, 3], WRITTEN[rotation](matrices[:, :3, :3]), *others])


def deltas(kind, poses=POSES):
    if kind == "framewise":
        return np.array([np.linalg.inv(a) @ b for a, b in pairwise(poses)])
    return np.array([np.linalg.inv(poses[0]) @ b for b in poses[1:]])


def convert(values, source, target, **options):
    return convert_actions(values, ActionForm.parse(source), ActionForm.parse(target), **options)


def test_every_way_to_write_a_rotation_is_tested():
    assert set(WRITTEN) == set(RotationForm)


@pytest.mark.parametrize("there", WRITTEN)
@pytest.mark.parametrize("here", WRITTEN)
def test_rotations(here, there):
    if here == there:
        with pytest.raises(InvalidInputError, match="already"):
            convert(rows(POSES, here), f"absolute:{here}", f"absolute:{there}")
        return
    got = convert(rows(POSES, here, GRIPPER), f"absolute:{here}", f"absolute:{there}", keep=1)
    np.testing.assert_allclose(got, rows(POSES, there, GRIPPER), atol=1e-9)


@pytest.mark.parametrize(
    ("matrix", "match"),
    [(np.diag([1.0, 1.0, -1.0]), "a reflection"), (np.diag([1.0, 1.0, 1.1]), "must be orthonormal")],
)
def test_a_matrix_that_is_no_rotation_is_said(matrix, match):
    with pytest.raises(InvalidInputError, match=match):
        RotationForm.MATRIX.read(np.stack([np.eye(3), matrix]).reshape(2, 9))


@pytest.mark.parametrize(
    ("start", "match"),
    [
        ([0, 0, 0, 0, 0, 0, 1], r"\[4, 4\]; got shape \(7,\)"),
        (POSES, r"got shape \(6, 4, 4\)"),
        (POSES[0].T, "last row must be 0, 0, 0, 1"),
        (np.zeros((4, 4)), "last row must be 0, 0, 0, 1"),
        (np.diag([2.0, 2.0, 2.0, 1.0]), "the start: .*orthonormal"),
        (np.diag([1.0, 1.0, -1.0, 1.0]), "the start: .*reflection"),
        (POSES[0] * np.nan, "finite"),
    ],
)
def test_a_start_that_is_no_pose_is_said(start, match):
    with pytest.raises(InvalidInputError, match=match):
        convert(rows(deltas("framewise"), "matrix"), "framewise:matrix", "absolute:matrix", start=start)


@pytest.mark.parametrize("kind", ["framewise", "anchored"])
def test_poses_to_steps_and_back(kind):
    there = convert(rows(POSES, "quaternion_wxyz", GRIPPER), "absolute:quaternion_wxyz", f"{kind}:rot6d_rows", keep=1)
    np.testing.assert_allclose(there, rows(deltas(kind), "rot6d_rows", GRIPPER[:-1]), atol=1e-9)
    back = convert(there[:, :-1], f"{kind}:rot6d_rows", "absolute:quaternion_wxyz", start=POSES[0])
    np.testing.assert_allclose(back, rows(POSES, "quaternion_wxyz"), atol=1e-9)


def test_between_the_two_kinds_of_steps():
    there = convert(rows(deltas("framewise"), "matrix", GRIPPER[1:]), "framewise:matrix", "anchored:euler_xyz", keep=1)
    np.testing.assert_allclose(there, rows(deltas("anchored"), "euler_xyz", GRIPPER[1:]), atol=1e-9)
    back = convert(there, "anchored:euler_xyz", "framewise:matrix", keep=1)
    np.testing.assert_allclose(back, rows(deltas("framewise"), "matrix", GRIPPER[1:]), atol=1e-9)


def test_bridge_from_its_poses_into_model_space_and_back():
    domain = get_domain("bridge")
    small = POSES.copy()  # far from the identity, with steps as small as a robot's
    small[:, :3, :3] = (ROTATIONS[0] * Rotation.from_rotvec(0.1 * RNG.normal(size=(6, 3)))).as_matrix()
    small[:, :3, 3] *= 0.01
    frame = np.eye(4)
    frame[:3, :3] = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]
    shift = np.eye(4)
    shift[0, 3] = -0.093575
    last = np.eye(4)
    last[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    expected = rows(deltas("framewise", small @ frame @ shift @ last), "rot6d_columns", GRIPPER[:-1])
    absolute = rows(small, "euler_xyz", GRIPPER)
    robot = convert(absolute, "absolute:euler_xyz", "robot", domain=domain, keep=1)
    np.testing.assert_allclose(robot, expected, atol=1e-6)
    q01, q99 = np.array(domain.normaliser.q01), np.array(domain.normaliser.q99)
    model = convert(robot, "robot", "model", domain=domain, action_dim=64)
    np.testing.assert_allclose(model[:, :10], 2 * (expected - q01) / (q99 - q01) - 1, atol=1e-3)
    assert model.shape == (5, 64)
    assert not model[:, 10:].any()
    np.testing.assert_allclose(convert(model, "model", "robot", domain=domain), expected, atol=1e-5)
    steps = convert(model, "model", "framewise:axis_angle", domain=domain, keep=1)
    np.testing.assert_allclose(steps, rows(deltas("framewise", small), "axis_angle", GRIPPER[:-1]), atol=1e-5)
    poses = convert(model, "model", "absolute:euler_xyz", domain=domain, start=small[0])
    np.testing.assert_allclose(poses, rows(small, "euler_xyz"), atol=1e-4)
    again = convert(steps, "framewise:axis_angle", "robot", domain=domain, keep=1)
    np.testing.assert_allclose(again, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("form", "match"),
    [
        ("absolute:quaternion", "quaternion_xyzw has the real part last"),
        ("framewise:rot6d", "rot6d_rows that of PyTorch3D"),
        ("anchored:euler", "fixed axes"),
        ("absolute", "does not say how a rotation is written: expected one of euler_xyz"),
        ("absolute:nine", "expected one of"),
        ("absolut:matrix", "did you mean 'absolute'"),
        ("robot:matrix", "the rotations of the robot space are the domain's"),
    ],
)
def test_a_form_that_leaves_something_open_is_refused(form, match):
    with pytest.raises(InvalidInputError, match=match):
        ActionForm.parse(form)


def test_what_is_missing_or_too_much_is_said():
    quaternions, steps = rows(POSES, "quaternion_xyzw"), rows(deltas("framewise"), "matrix")
    for values, source, target, options, match in [
        (rows(POSES, "matrix", GRIPPER), "absolute:matrix", "absolute:euler_xyz", {}, "have 12 numbers .* got 13"),
        (quaternions, "absolute:euler_xyz", "absolute:matrix", {}, "have 6 numbers .* got 7"),
        (steps, "framewise:matrix", "absolute:matrix", {}, "give the first pose as start"),
        (
            np.hstack([steps, GRIPPER[1:]]),
            "framewise:matrix",
            "absolute:matrix",
            {"start": POSES[0], "keep": 1},
            "keep none",
        ),
        (steps, "framewise:matrix", "anchored:matrix", {"start": POSES[0]}, "has no use"),
        (quaternions, "absolute:quaternion_xyzw", "absolute:matrix", {"start": POSES[0]}, "has no use"),
        (quaternions[:1], "absolute:quaternion_xyzw", "framewise:matrix", {}, "needs two"),
        (quaternions, "absolute:quaternion_xyzw", "robot", {}, "say which domain"),
        (quaternions, "absolute:quaternion_xyzw", "robot", {"domain": "bridge"}, "the channels gripper: keep 1"),
        (
            quaternions,
            "absolute:quaternion_xyzw",
            "robot",
            {"domain": "agibotworld"},
            "has head, right_hand, left_hand",
        ),
        (quaternions, "absolute:quaternion_xyzw", "robot", {"domain": "pusht"}, "has none"),
        (np.zeros((3, 10)), "robot", "framewise:matrix", {"domain": "libero"}, "commands to the robot's controller"),
        (quaternions * np.nan, "absolute:quaternion_xyzw", "absolute:matrix", {}, "finite"),
    ]:
        if "domain" in options:
            options["domain"] = get_domain(options["domain"])
        with pytest.raises(InvalidInputError, match=match):
            convert(values, source, target, **options)
