"""Every domain's way from robot units to model space and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cosmos_robot.domains.channels import PoseConvention
from cosmos_robot.domains.domain import SamplingDefaults
from cosmos_robot.domains.registry import domain_names, get_domain
from cosmos_robot.domains.view_points import VIEW_SENTENCES
from cosmos_robot.errors import InvalidInputError, UnknownFactError
from cosmos_robot.types import Actions, ActionSpace

WITH_NORMALISER = [name for name in domain_names() if get_domain(name).published.normaliser is not None]
WITHOUT_NORMALISER = [name for name in domain_names() if name not in WITH_NORMALISER]
WITH_POSES = [
    name
    for name in WITH_NORMALISER
    if any(b.convention is PoseConvention.BACKWARD_FRAMEWISE for b in get_domain(name).pose_blocks)
]
WIDTHS = {
    "av": (1, 9),
    "camera_pose": (2, 9),
    "hand_pose": (3, 57),
    "pusht": (4, 2),
    "libero": (5, 10),
    "umi": (6, 10),
    "bridge_orig_lerobot": (7, 10),
    "droid_lerobot": (8, 10),
    "droid_lerobot_joint": (8, 8),
    "robomind-franka": (8, 10),
    "galbot": (9, 30),
    "robomind-franka-dual": (12, 20),
    "robomind-ur": (13, 10),
    "agibotworld": (15, 29),
    "xdof_yam": (16, 20),
    "robotwin": (17, 14),
    "fractal": (20, 10),
    "drawanything": (21, 3),
    "behavior1k_lerobot": (22, 23),
    "maniparena": (23, 20),
}

seeds = st.integers(0, 2**32 - 1)


def random_actions(domain, seed, steps=6):
    """Actions in robot units: within the training range or the bounds, but with any rotation at all."""
    rng = np.random.default_rng(seed)
    values = domain.normaliser.inverse(rng.uniform(-1, 1, (steps, domain.raw_action_dim)))
    for i, channel in enumerate(domain.channels):
        if channel.low is not None and channel.high is not None:
            values[:, i] = rng.uniform(channel.low, channel.high, steps)
    for block in domain.pose_blocks:
        R = Rotation.random(steps, rng=rng).as_matrix()
        values[:, block.rotation] = np.concatenate([R[:, :, 0], R[:, :, 1]], axis=1)
    return values


def random_poses(seed, count=7):
    rng = np.random.default_rng(seed)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = Rotation.random(count, rng=rng).as_matrix()
    poses[:, :3, 3] = 0.05 * rng.normal(size=(count, 3))
    return poses


def test_ids_and_widths_are_the_field_s():
    assert {name: (get_domain(name).domain_id, get_domain(name).raw_action_dim) for name in domain_names()} == WIDTHS


@pytest.mark.parametrize("name", WITH_NORMALISER)
@settings(max_examples=20)
@given(seeds)
def test_decode_undoes_encode(name, seed):
    domain = get_domain(name)
    robot = random_actions(domain, seed)
    back = domain.decode(domain.encode(robot, action_dim=64))
    assert back.space is ActionSpace.ROBOT
    scale = np.maximum(1.0, np.abs(robot).max(axis=0))  # pixels are float32 too
    assert (np.abs(back.values - robot) / scale).max() <= 1e-6


@pytest.mark.parametrize("name", WITH_POSES)
@settings(max_examples=20)
@given(seeds)
def test_actions_from_poses_are_undone_by_integration(name, seed):
    domain = get_domain(name)
    recorded = {b.name: random_poses(seed + i) for i, b in enumerate(domain.pose_blocks)}
    in_poses = {n for b in domain.pose_blocks for n in domain.channel_names[b.columns]}
    others = {n: np.full(6, 0.5) for n in domain.channel_names if n not in in_poses}
    actions = domain.actions_from_poses(recorded, others)
    for block in domain.pose_blocks:
        factor = np.eye(4)
        for step in block.frame:
            matrix = np.eye(4)
            matrix[:3, :3], matrix[:3, 3] = step.rotation, step.translation
            factor = factor @ matrix
        seen = recorded[block.name] @ factor
        delta = np.linalg.inv(seen[2]) @ seen[3]
        row = actions.values[2, block.columns]
        np.testing.assert_allclose(row, [*delta[:3, 3], *delta[:3, 0], *delta[:3, 1]], atol=2e-6)
    starts = {b.name: b.into_frame(recorded[b.name][0]) for b in domain.pose_blocks}
    for block in domain.pose_blocks:
        again = block.out_of_frame(domain.poses(actions, starts)[block.name])
        np.testing.assert_allclose(again, recorded[block.name], atol=2e-6)


def test_encode_by_hand():
    domain = get_domain("bridge")
    robot = random_actions(domain, 3)
    q01, q99 = np.array(domain.normaliser.q01), np.array(domain.normaliser.q99)
    expected = np.zeros((6, 64))
    expected[:, :10] = 2 * (robot - q01) / (q99 - q01) - 1
    encoded = domain.encode(robot, action_dim=64)
    np.testing.assert_allclose(encoded.values, expected, rtol=1e-5, atol=1e-5)
    assert (encoded.space, encoded.domain) == (ActionSpace.MODEL, "bridge_orig_lerobot")


def test_translations_of_a_vehicle_are_scaled_and_rotations_are_not():
    domain = get_domain("av")
    robot = random_actions(domain, 4)
    model = domain.encode(robot).values
    np.testing.assert_allclose(model[:, :3], robot[:, :3] * 1.35, rtol=1e-6)
    np.testing.assert_allclose(model[:, 3:], robot[:, 3:], rtol=1e-6)


def test_what_is_in_model_space_is_only_padded():
    domain = get_domain("umi")
    values = np.random.default_rng(0).uniform(-1, 1, (4, 10)).astype(np.float32)
    padded = domain.encode(Actions(values, ActionSpace.MODEL, "umi"), action_dim=32)
    np.testing.assert_array_equal(padded.values, np.pad(values, ((0, 0), (0, 22))))
    np.testing.assert_array_equal(domain.encode(padded, action_dim=64).values[:, :10], values)
    np.testing.assert_array_equal(domain.encode(padded, action_dim=10).values, values)


def test_what_is_in_robot_units_is_not_decoded_again():
    domain = get_domain("umi")
    once = domain.decode(np.random.default_rng(0).uniform(-1, 1, (4, 10)))
    assert domain.decode(once) is once


def test_a_prediction_decodes_to_rotations():
    domain = get_domain("agibotworld")
    decoded = domain.decode(np.random.default_rng(1).normal(size=(16, 64))).values.astype(np.float64)
    for block in domain.pose_blocks:
        first, second = np.split(decoded[:, block.rotation], 2, axis=1)
        np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(np.sum(first * second, axis=1), 0, atol=1e-6)


@pytest.mark.parametrize("width", [9, 11])
def test_a_wrong_width_names_the_channels(width):
    with pytest.raises(InvalidInputError, match=rf"10 channels \(arm_x, .*arm_r21, gripper\); got {width}"):
        get_domain("droid").encode(np.zeros((4, width)))


def test_something_in_the_padding_is_said():
    with pytest.raises(InvalidInputError, match="what follows them must be zero"):
        get_domain("droid").encode(Actions(np.ones((4, 64)), ActionSpace.MODEL, "droid_lerobot"))


def test_actions_of_another_domain_are_refused():
    actions = Actions(np.zeros((4, 10)), ActionSpace.MODEL, "umi")
    with pytest.raises(InvalidInputError, match="of domain 'umi', not 'droid_lerobot'"):
        get_domain("droid").encode(actions)


def test_a_checkpoint_that_is_too_narrow_is_said():
    domain = get_domain("hand_pose")
    with pytest.raises(InvalidInputError, match="takes actions of 32 channels, domain 'hand_pose' has 57"):
        domain.encode(random_actions(domain, 0), action_dim=32)


@pytest.mark.parametrize("name", WITHOUT_NORMALISER)
def test_an_unpublished_normaliser_is_never_made_up(name):
    domain = get_domain(name)
    values = np.zeros((4, domain.raw_action_dim))
    for call in (domain.encode, domain.decode, lambda _: domain.normaliser):
        with pytest.raises(UnknownFactError, match=f"normaliser of domain '{name}' has not been published"):
            call(values)
    model = Actions(values, ActionSpace.MODEL, name)
    assert domain.encode(model, action_dim=64).values.shape == (4, 64)


@pytest.mark.parametrize(
    ("fact", "advice"),
    [
        ("fps", "pass fps="),
        ("action_chunk_size", "pass action_chunk_size="),
        ("view_point", "pass view_point="),
        ("tier", "pass image_size="),
        ("gripper", "set it in a TOML of your own"),
    ],
)
def test_an_unpublished_fact_says_what_to_do(fact, advice):
    with pytest.raises(UnknownFactError, match=rf"{fact} of domain 'drawanything' .*{advice}"):
        getattr(get_domain("drawanything"), fact)


def test_where_none_is_known_none_is_used():
    for name in ("av", "camera_pose", "droid_lerobot_joint"):
        assert get_domain(name).normaliser.method == "identity"


def test_sampling_defaults():
    assert get_domain("umi").sampling == SamplingDefaults(30, 1.0, 10.0)
    assert get_domain("camera_pose").sampling == SamplingDefaults(30, 1.0, 5.0)
    assert get_domain("droid_lerobot_joint").sampling == SamplingDefaults(4, 3.0, 5.0)


def test_only_droid_s_joint_form_has_a_state_row_and_answers_without_frames():
    assert [n for n in domain_names() if get_domain(n).state_row] == ["droid_lerobot_joint"]
    assert [n for n in domain_names() if not get_domain(n).decodes_frames] == ["droid_lerobot_joint"]


def test_bounds_where_they_are_known():
    low, high = get_domain("pusht").require_robot_bounds()
    assert low.dtype == np.float32
    assert (low.tolist(), high.tolist()) == ([0, 0], [512, 512])
    assert get_domain("droid_lerobot_joint").require_robot_bounds()[0][3] == pytest.approx(-3.0718)
    with pytest.raises(UnknownFactError, match="no published bounds for arm_x, arm_y, arm_z, gripper;"):
        get_domain("umi").require_robot_bounds()


def test_the_view_sentence_is_the_domain_s_or_the_caller_s():
    assert get_domain("pusht").view_sentence() == VIEW_SENTENCES["top_down_2d_view"]
    assert get_domain("umi").view_sentence("wrist_view") == VIEW_SENTENCES["wrist_view"]
    assert get_domain("drawanything").view_sentence("ego_view") == VIEW_SENTENCES["ego_view"]
    with pytest.raises(InvalidInputError, match=r"unknown view point 'ego-view' \(did you mean 'ego_view'"):
        get_domain("umi").view_sentence("ego-view")


def test_a_trajectory_starts_where_it_is_told_to():
    domain = get_domain("umi")
    actions = domain.decode(np.zeros((3, 10)))
    start = random_poses(5, 1)[0]
    from_identity, from_start = domain.poses(actions)["arm"], domain.poses(actions, start)["arm"]
    np.testing.assert_array_equal(from_identity[0], np.eye(4))
    np.testing.assert_allclose(from_start, start @ from_identity, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: get_domain("pusht").poses(np.zeros((4, 2))), InvalidInputError, "hold no poses"),
        (
            lambda: get_domain("libero").poses(np.zeros((4, 10))),
            InvalidInputError,
            "commands to the robot's controller",
        ),
        (
            lambda: get_domain("maniparena").poses(np.zeros((4, 20))),
            UnknownFactError,
            "has not been published",
        ),
        (
            lambda: get_domain("agibotworld").poses(np.zeros((4, 29)), np.eye(4)),
            InvalidInputError,
            "several poses.*head, right_hand, left_hand",
        ),
        (
            lambda: get_domain("umi").poses(np.zeros((4, 10)), {"hand": np.eye(4)}),
            InvalidInputError,
            "no pose hand; it has arm",
        ),
        (
            lambda: get_domain("umi").actions_from_poses({}),
            InvalidInputError,
            "takes as poses exactly arm; got nothing",
        ),
        (
            lambda: get_domain("umi").actions_from_poses({"arm": random_poses(0)}),
            InvalidInputError,
            "takes as other channels exactly gripper; got nothing",
        ),
        (
            lambda: get_domain("umi").actions_from_poses({"arm": random_poses(0)}, {"gripper": np.zeros(7)}),
            InvalidInputError,
            r"'gripper' .* must have shape \(6,\).*got \(7,\)",
        ),
    ],
)
def test_poses_that_do_not_fit_are_said(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()
