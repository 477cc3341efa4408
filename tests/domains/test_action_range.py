"""Raw and normalised actions mixed up give a warning; neither kind, marked as what it is, does."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cosmos_robot.domains.registry import domain_names, get_domain
from cosmos_robot.errors import ActionRangeWarning
from cosmos_robot.types import Actions, ActionSpace

NORMALISES_POSES = [
    name
    for name in domain_names()
    if get_domain(name).pose_blocks
    and get_domain(name).published.normaliser is not None
    and get_domain(name).normaliser.method != "identity"
]


def motion(domain, seed, steps=8):
    """Robot units: translations and grippers of the training range, small rotations."""
    rng = np.random.default_rng(seed)
    values = domain.normaliser.inverse(rng.uniform(-1, 1, (steps, domain.raw_action_dim)))
    for block in domain.pose_blocks:
        R = Rotation.from_rotvec(0.05 * rng.normal(size=(steps, 3))).as_matrix()
        values[:, block.rotation] = np.concatenate([R[:, :, 0], R[:, :, 1]], axis=1)
    return values


@pytest.mark.parametrize("name", NORMALISES_POSES)
@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1))
def test_poses_in_the_wrong_space_warn_and_in_the_right_one_do_not(name, seed):
    domain = get_domain(name)
    robot = motion(domain, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = domain.encode(robot)
        domain.encode(model)
    with pytest.warns(ActionRangeWarning, match=f"'{name}' were given in robot units"):
        domain.encode(model.values)
    with pytest.warns(ActionRangeWarning, match=f"'{name}' were given in model space"):
        domain.encode(Actions(robot, ActionSpace.MODEL, name))


@pytest.mark.parametrize("name", NORMALISES_POSES)
def test_a_robot_at_rest_does_not_warn(name):
    domain = get_domain(name)
    rest = domain.normaliser.inverse(np.zeros((4, domain.raw_action_dim)))
    for block in domain.pose_blocks:
        rest[:, block.columns] = [0, 0, 0, 1, 0, 0, 0, 1, 0]
    domain.encode(domain.encode(rest))


def test_the_channel_is_named():
    values = motion(get_domain("umi"), 0)
    values[2, 1] = 3.0
    with pytest.warns(ActionRangeWarning, match=r"arm_y in row 2 is .* when normalised"):
        get_domain("umi").encode(values)


def test_degrees_for_radians_warn():
    with pytest.warns(ActionRangeWarning, match=r"joint_2 is 57.3 in row 0, where it goes from -1.7628"):
        get_domain("droid_lerobot_joint").encode([[0.0, 57.3, 0.0, -1.5, 0.0, 1.0, 0.0, 1.0]])


def test_joints_and_a_vehicle_in_their_ranges_do_not_warn():
    joints = [[0.0, 0.1, 0.0, -1.5, 0.0, 1.0, 0.0, 1.0]]
    domain = get_domain("droid_lerobot_joint")
    domain.encode(domain.encode(joints))
    get_domain("av").encode([[0.1, 0.0, 3.0, 1, 0, 0, 0, 1, 0]])


def test_pixels_and_normalised_pixels():
    domain = get_domain("pusht")
    pixels = np.array([[250.0, 300.0], [255.0, 310.0]])
    model = domain.encode(pixels)
    with pytest.warns(ActionRangeWarning, match="every value is within 1.5 of 0"):
        domain.encode(model.values)
    with pytest.warns(ActionRangeWarning, match=r"target_. in row . is .* when normalised"):
        domain.encode(Actions(pixels, ActionSpace.MODEL, "pusht"))
    with pytest.warns(ActionRangeWarning, match=r"target_x is -400 in row 0"):
        domain.encode([[-400.0, 10.0]])
    domain.encode(np.zeros((1, 2)))
    domain.encode([[512.0, 0.0]])
