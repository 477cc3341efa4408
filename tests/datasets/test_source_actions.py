"""Each dataset's columns as its domain's actions, against matrices multiplied out here, with scipy's rotations alone."""

from itertools import pairwise

import numpy as np
import pytest
from recorded_episode import RecordedEpisode
from scipy.spatial.transform import Rotation

from cosmos_robot.datasets.source_actions import actions_at, needed_columns
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.errors import EpisodeError, InvalidInputError
from cosmos_robot.types import ActionSpace

LENGTH = 7
RNG = np.random.default_rng(5)
POSITIONS = RNG.normal(size=(LENGTH, 3))
ROTATIONS = Rotation.from_rotvec(RNG.normal(size=(LENGTH, 3)))
GRIPPER = RNG.uniform(size=LENGTH)
SECOND_POSITIONS = RNG.normal(size=(LENGTH, 3))
SECOND_ROTATIONS = Rotation.from_rotvec(RNG.normal(size=(LENGTH, 3)))


def homogeneous(rotation, translation=(0.0, 0.0, 0.0)):
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, translation
    return pose


def framewise(frame, positions=POSITIONS, rotations=ROTATIONS, steps=range(LENGTH)):
    """`[T, 9]`: `inv(T_i F) @ T_{i+1} F`, then the translation and the rotation's first two columns."""
    poses = [homogeneous(rotations.as_matrix()[i], positions[i]) @ frame for i in steps]
    deltas = [np.linalg.inv(a) @ b for a, b in pairwise(poses)]
    return np.array([[*d[:3, 3], *d[:3, 0], *d[:3, 1]] for d in deltas])


TURN_90 = homogeneous([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
BRIDGE = (
    homogeneous([[0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    @ homogeneous(np.eye(3), [-0.093575, 0, 0])
    @ homogeneous([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])
)
FRACTAL = np.array(
    [
        [0.9999897671, -0.0008686425, 0.0044397163, -0.0050618476],
        [0.0008745501, 0.9999987346, -0.0013288658, -0.0016717725],
        [-0.0044385564, 0.0013327349, 0.9999892615, -0.1635144743],
        [0, 0, 0, 1],
    ]
) @ homogeneous([[0, 1, 0], [-1, 0, 0], [0, 0, 1]])
UMI_CAMERA_TO_GRIPPER = homogeneous(np.eye(3), [0, 0.086, 0.09])
UMI_TIP_TO_GRIPPER = np.linalg.inv(homogeneous(np.eye(3), [0, 0.086, 0.01465 + 0.205])) @ UMI_CAMERA_TO_GRIPPER
ROBOSUITE = (  # grip site -> right_hand -> panda_link8 -> OpenCV
    homogeneous(np.eye(3), [0, 0, -0.097])
    @ homogeneous(Rotation.from_euler("z", -45, degrees=True).as_matrix())
    @ TURN_90
)

euler = ROTATIONS.as_euler("xyz")
xyzw = ROTATIONS.as_quat()
wxyz = xyzw[:, [3, 0, 1, 2]]
filler = RNG.normal(size=(LENGTH, 6))
padding = np.zeros((LENGTH, 1))
gripper = GRIPPER[:, None]

CASES = {
    "bridge_orig_lerobot": (
        {
            "observation.state": np.hstack([POSITIONS, euler, padding, 9 + gripper]),
            "action": np.hstack([filler, gripper]),
        },
        np.hstack([framewise(BRIDGE), gripper[:-1]]),
    ),
    "fractal": (
        {"observation.state": np.hstack([POSITIONS, xyzw, 9 + gripper]), "action": np.hstack([filler, gripper])},
        np.hstack([framewise(FRACTAL), gripper[:-1]]),
    ),
    "droid_lerobot": (
        {
            "observation.state.cartesian_position": np.hstack([POSITIONS, euler]),
            "action.gripper_position": GRIPPER,  # stored as single numbers
        },
        np.hstack([framewise(TURN_90), 1 - gripper[:-1]]),
    ),
    "droid_lerobot, lerobot/droid_1.0.1": (
        {
            "observation.state.cartesian_position": np.hstack([POSITIONS, euler]),
            "action": np.hstack([filler, filler[:, :1], gripper]),
        },
        np.hstack([framewise(TURN_90), 1 - gripper[:-1]]),
    ),
    "droid_lerobot, robomimic": (
        {"obs/robot0_eef_pos": POSITIONS, "obs/robot0_eef_quat": xyzw, "actions": np.hstack([filler, 2 * gripper - 1])},
        np.hstack([framewise(ROBOSUITE), 1 - gripper[:-1]]),
    ),
    "umi": (
        {
            "observation.state.right_main_camera_trajectory_xyz_wxyz": np.hstack([POSITIONS, wxyz]),
            "observation.state.right_gripper_width_m": gripper,
        },
        np.hstack([framewise(UMI_CAMERA_TO_GRIPPER), gripper[1:]]),  # the width of the frame that it leads to
    ),
    "umi, dataset.zarr": (
        {
            "robot0_eef_pos": POSITIONS,
            "robot0_eef_rot_axis_angle": ROTATIONS.as_rotvec(),
            "robot0_gripper_width": gripper,
        },
        np.hstack([framewise(UMI_TIP_TO_GRIPPER), gripper[1:]]),
    ),
    "robomind-franka": (
        {
            "observation.states.end_effector": np.hstack([POSITIONS, euler]),
            "actions.joint_position": np.hstack([filler, filler[:, :1], gripper]),
        },
        np.hstack([framewise(TURN_90), 1 - gripper[:-1]]),
    ),
    "robomind-franka-dual": (
        {
            "observation.states.end_effector": np.hstack(
                [POSITIONS, euler, SECOND_POSITIONS, SECOND_ROTATIONS.as_euler("xyz")]
            ),
            "actions.joint_position": np.hstack([filler, filler[:, :1], gripper, filler, filler[:, :1], gripper**2]),
        },
        np.hstack(
            [
                framewise(TURN_90),
                1 - gripper[:-1],
                framewise(TURN_90, SECOND_POSITIONS, SECOND_ROTATIONS),
                1 - gripper[:-1] ** 2,
            ]
        ),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_poses(case):
    columns, expected = CASES[case]
    actions = RecordedEpisode(columns).actions(case.partition(",")[0])
    assert actions.space is ActionSpace.ROBOT
    np.testing.assert_allclose(actions.values, expected, atol=1e-6)


def libero_expected(rotvec):
    matrices = Rotation.from_rotvec(rotvec).as_matrix()
    return np.hstack([filler[:, :3], matrices[:, :, 0], matrices[:, :, 1], gripper])[:-1]


@pytest.mark.parametrize(
    ("column", "camera", "stored"),
    [
        ("action", "observation.images.wrist_image", gripper),  # nvidia/LIBERO_LeRobot_v3
        ("action", "observation.images.image2", 1 - 2 * gripper),  # HuggingFaceVLA/libero
        ("actions", "wrist_image", 1 - 2 * gripper),  # physical-intelligence/libero
        ("actions", "eye_in_hand_rgb", 1 - 2 * gripper),  # LIBERO's HDF5
    ],
)
def test_libero_s_commands_are_those_that_are_stored(column, camera, stored):
    pictures = {camera: np.zeros((LENGTH, 16, 16, 3), np.uint8)}
    episode = RecordedEpisode({column: np.hstack([filler, stored])}, pictures, fps=20)
    np.testing.assert_allclose(episode.actions("libero").values, libero_expected(filler[:, 3:6]), atol=1e-6)


def test_commands_have_no_meaning_at_another_rate():
    episode = RecordedEpisode({"actions": np.hstack([filler, gripper])}, fps=20)
    with pytest.raises(InvalidInputError, match=r"commands to the robot's controller.*fps=20"):
        actions_at(episode, get_domain("libero"), np.array([0, 2, 4]))


def test_joints_and_the_state_row():
    joints, target = RNG.normal(size=(2, LENGTH, 7))
    state = RNG.uniform(size=(LENGTH, 1))
    split = {
        "action.joint_position": target,
        "action.gripper_position": gripper,
        "observation.state.joint_positions": joints,
        "observation.state.gripper_position": state,
    }
    together = {"observation.state": np.hstack([joints, state]), "action": np.hstack([target, gripper])}
    for columns in (split, together):
        source = actions_at(RecordedEpisode(columns), get_domain("droid_lerobot_joint"), np.arange(2, LENGTH))
        np.testing.assert_allclose(source.actions.values, np.hstack([target, 1 - gripper])[2:-1], atol=1e-6)
        np.testing.assert_allclose(source.state, [*joints[2], 1 - state[2, 0]], atol=1e-6)


def test_push_t_and_aloha_are_absolute_targets():
    target = RNG.uniform(0, 512, (LENGTH, 2))
    np.testing.assert_allclose(RecordedEpisode({"action": target}).actions("pusht").values, target[:-1], rtol=1e-6)
    joints = RNG.normal(size=(LENGTH, 14))
    np.testing.assert_allclose(RecordedEpisode({"action": joints}).actions("robotwin").values, joints[:-1], rtol=1e-6)


def test_at_a_lower_rate_poses_are_taken_first_and_their_differences_then():
    columns, _ = CASES["umi"]
    steps = np.array([0, 3, 6])
    actions = actions_at(RecordedEpisode(columns), get_domain("umi"), steps).actions.values
    np.testing.assert_allclose(actions[:, :9], framewise(UMI_CAMERA_TO_GRIPPER, steps=steps), atol=1e-6)
    np.testing.assert_allclose(actions[:, 9], GRIPPER[[3, 6]], atol=1e-6)
    held = actions_at(RecordedEpisode(CASES["fractal"][0]), get_domain("fractal"), steps).actions.values[:, 9]
    np.testing.assert_allclose(held, GRIPPER[[0, 3]], atol=1e-6)


def test_only_the_rows_asked_for_are_read():
    columns, expected = CASES["bridge_orig_lerobot"]
    episode = RecordedEpisode({**columns, "unused": filler})
    np.testing.assert_allclose(episode.actions("bridge", 2, 5).values, expected[2:4], atol=1e-6)
    assert set(episode.rows_read) == {(name, row) for name in columns for row in (2, 3, 4)}
    assert len(episode.rows_read) == 6


MY_TOML = """
name = "bench"
robot = "an arm on a bench"
domain_id = 24
raw_action_dim = 10
fps = 5.0

[[channels]]
pose = "tool"
convention = "backward_anchored"
frame = []

[[channels]]
names = ["grip"]
unit = "open fraction"

[source]
facts = "our own"

[[source.layouts]]
name = "new"
channels = [
    { pose = "tool", position = "p", FORM = "r" },
    { names = ["grip"], column = "g", scale = 2.0, offset = -1.0 },
]
"""


@pytest.mark.parametrize(
    ("form", "numbers"),
    [
        ("euler_xyz", euler),
        ("quaternion_xyzw", xyzw),
        ("quaternion_wxyz", wxyz),
        ("axis_angle", ROTATIONS.as_rotvec()),
        ("rot6d_columns", np.hstack([ROTATIONS.as_matrix()[:, :, 0], ROTATIONS.as_matrix()[:, :, 1]])),
        ("rot6d_rows", np.hstack([ROTATIONS.as_matrix()[:, 0], ROTATIONS.as_matrix()[:, 1]])),
        ("matrix", ROTATIONS.as_matrix()),
    ],
)
def test_columns_of_one_s_own(form, numbers, tmp_path):
    path = tmp_path / "bench.toml"
    path.write_text(MY_TOML.replace("FORM", form))
    episode = RecordedEpisode({"p": POSITIONS, "r": numbers, "g": GRIPPER})
    first = homogeneous(ROTATIONS.as_matrix()[0], POSITIONS[0])
    last = np.linalg.inv(first) @ homogeneous(ROTATIONS.as_matrix()[-1], POSITIONS[-1])
    actions = episode.actions(str(path)).values
    np.testing.assert_allclose(actions[-1, :9], [*last[:3, 3], *last[:3, 0], *last[:3, 1]], atol=1e-5)
    np.testing.assert_allclose(actions[:, 9], 2 * GRIPPER[:-1] - 1, atol=1e-6)


def test_what_each_layout_lacks_is_said():
    episode = RecordedEpisode({"observation.state.cartesian_position": filler, "mine": GRIPPER})
    with pytest.raises(InvalidInputError) as caught:
        episode.actions("droid_lerobot")
    message = str(caught.value)
    assert "nvidia/Cosmos3-DROID lacks action.gripper_position;" in message
    assert "lerobot/droid_1.0.1 lacks action;" in message
    assert "It has the columns observation.state.cartesian_position, mine." in message
    with pytest.raises(InvalidInputError, match="lacks action"):
        needed_columns(episode, get_domain("pusht"))
    assert needed_columns(RecordedEpisode({"action": filler}), get_domain("pusht")) == ("action",)


def test_a_column_that_is_too_narrow_is_no_match():
    columns = {"action.joint_position": GRIPPER, "action.gripper_position": GRIPPER}
    columns |= {"observation.state.joint_positions": GRIPPER, "observation.state.gripper_position": GRIPPER}
    with pytest.raises(InvalidInputError, match=r"lacks action.joint_position with 7 number\(s\), not 1"):
        RecordedEpisode(columns).actions("droid_lerobot_joint")
    with pytest.raises(InvalidInputError, match=r"action with 2 number\(s\), not 14"):
        RecordedEpisode({"action": RNG.normal(size=(LENGTH, 14))}).actions("pusht")


def test_a_domain_without_layouts_says_so():
    with pytest.raises(InvalidInputError, match="'av' does not say which columns"):
        RecordedEpisode({"action": filler}).actions("av")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_number_that_is_none_is_found(bad):
    columns = {name: values.copy() for name, values in CASES["bridge_orig_lerobot"][0].items()}
    columns["observation.state"][4, 2] = bad
    episode = RecordedEpisode(columns, index=3)
    with pytest.raises(EpisodeError, match=r"memory, episode 3, frame 4: column 'observation.state'"):
        episode.actions("bridge")
    with pytest.raises(EpisodeError, match="frame 4"):
        actions_at(episode, get_domain("bridge"), np.array([0, 2, 4, 6]))
    assert len(episode.actions("bridge", 0, 4)) == 3
    columns["observation.state"][4, 2] = 0
    columns["observation.state"][4, 7] = bad  # a number that no action is made of
    assert len(RecordedEpisode(columns).actions("bridge")) == LENGTH - 1


def test_a_zero_quaternion_names_the_episode_and_the_column():
    columns = {name: values.copy() for name, values in CASES["fractal"][0].items()}
    columns["observation.state"][2, 3:7] = 0
    with pytest.raises(EpisodeError, match=r"episode 0, frames 0 to 6: column observation.state\[3:7\].*zero"):
        RecordedEpisode(columns).actions("fractal")


def test_one_time_step_is_no_action():
    with pytest.raises(InvalidInputError, match="need two"):
        RecordedEpisode(CASES["umi"][0]).actions("umi", 2, 3)
