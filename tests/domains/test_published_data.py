"""The domains against NVIDIA's own statistics and recordings, where those are at hand."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from cosmos_robot.domains.poses import matrix_from_euler_xyz, pose_matrix
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.types import Actions, ActionSpace

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
STATS = {
    "agibotworld": "agibotworld_beta_lerobot_stats",
    "bridge_orig_lerobot": "bridge_orig_lerobot_stats",
    "droid_lerobot": "droid_lerobot_stats",
    "fractal": "fractal_lerobot_stats",
    "hand_pose": "human_hand_pose_lerobot_stats",
    "libero": "libero_native_frame_wise_relative_rot6d",
    "robomind-franka": "robomind_franka_stats",
    "robomind-franka-dual": "robomind_franka_dual_stats",
    "robomind-ur": "robomind_ur_stats",
    "umi": "umi_lerobot_stats",
}

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the shared recordings are not here")


def recording(name, domain):
    return Actions(np.array(json.loads((DATA / name).read_text())), ActionSpace.MODEL, domain)


@pytest.mark.parametrize("name", STATS)
def test_the_figures_are_the_published_ones(name):
    published = json.loads((DATA / "normalizer_stats" / f"{STATS[name]}.json").read_text())
    published = published.get("global_raw", published)
    domain = get_domain(name)
    width = domain.raw_action_dim
    assert domain.normaliser.q01 == tuple(published["q01"][:width])
    assert domain.normaliser.q99 == tuple(published["q99"][:width])


def test_a_left_turn_is_a_left_turn_in_metres():
    domain = get_domain("av")
    model = recording("av/av_traj_left.json", "av")
    trajectory = domain.poses(model)["ego"]
    expected = np.eye(4)
    for row in model.values.astype(np.float64):
        step = np.eye(4)
        step[:3, 3] = row[:3] / 1.35
        step[:3, 0], step[:3, 1] = row[3:6], row[6:9]
        step[:3, 2] = np.cross(row[3:6], row[6:9])
        expected = expected @ step
    np.testing.assert_allclose(trajectory[-1], expected, atol=1e-4)
    right, down, forward = trajectory[:, :3, 3].T
    assert right[-1] < -30  # left is negative x, y points down, z forward
    assert 20 < forward.max() < 40
    assert abs(down).max() < 3
    assert (np.diff(right) < 0).all()
    length = np.linalg.norm(np.diff(trajectory[:, :3, 3], axis=0), axis=1).sum()
    assert length == pytest.approx(50.8, abs=0.1)  # 6 s at about 30 km/h


def test_straight_ahead_is_straight_ahead():
    right, _, forward = get_domain("av").poses(recording("av/av_traj_forward.json", "av"))["ego"][-1, :3, 3]
    assert forward == pytest.approx(6.61, abs=0.01)
    assert abs(right) < 0.1 * forward


@pytest.mark.parametrize(
    ("file", "name"),
    [("av/av_traj_forward.json", "av"), ("av/av_traj_left.json", "av"), ("umi/umi.json", "umi")],
)
def test_recordings_pass_without_a_warning_and_survive(file, name):
    domain = get_domain(name)
    model = recording(file, name)
    encoded = domain.encode(model, action_dim=64)
    np.testing.assert_array_equal(encoded.values[:, : domain.raw_action_dim], model.values)
    robot = domain.decode(encoded)
    np.testing.assert_allclose(domain.decode(domain.encode(robot)).values, robot.values, atol=1e-6)


def test_the_umi_recording_moves_a_hand_s_breadth_and_holds_a_few_centimetres():
    domain = get_domain("umi")
    model = recording("umi/umi.json", "umi")
    path = domain.poses(model)["arm"][:, :3, 3]
    assert 0.05 < np.linalg.norm(np.diff(path, axis=0), axis=1).sum() < 1.0
    width = domain.decode(model).values[:, 9]
    assert ((width > 0.02) & (width < 0.08)).all()


def test_droid_s_poses_fill_the_published_range():
    """Only the right frame, order and gripper put a real episode into the statistics' range."""
    table = pq.read_table(DATA / "droid_lerobot_example/data/chunk-000/file-000.parquet")
    state = np.array(table["observation.state.cartesian_position"].to_pylist())
    gripper = np.array(table["action.gripper_position"].to_pylist()).reshape(-1)
    poses = pose_matrix(state[:, :3], matrix_from_euler_xyz(state[:, 3:6]))
    domain = get_domain("droid_lerobot")
    actions = domain.actions_from_poses({"arm": poses}, {"gripper": 1.0 - gripper[:-1]})
    model = domain.encode(actions).values
    assert np.abs(model).max() < 2.0
    assert (np.abs(model).max(axis=0) > 0.4).all()
    np.testing.assert_allclose(domain.decode(model).values, actions.values, atol=1e-6)
