"""Windows and actions of datasets on disk, through the readers: each format once, and a real DROID episode."""

import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
from lerobot_folder import LENGTHS, numbers, task_of, write_v2, write_v3
from numbered_video import numbers_of
from scipy.spatial.transform import Rotation
from torch.utils.data import DataLoader
from zarr_v2 import replay_buffer

from cosmos_robot import WindowDataset, open_episodes, windows
from cosmos_robot.errors import InvalidInputError

DROID = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "droid_lerobot_example"
RNG = np.random.default_rng(8)
workers_on_one_core = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")


def pictures(count):
    return RNG.integers(0, 256, (count, 24, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("write", [write_v2, write_v3])
def test_lerobot(write, tmp_path):
    write(tmp_path)
    with open_episodes(tmp_path) as episodes:
        cut = windows(episodes, "pusht", 4)
        assert episodes.lengths().tolist() == list(LENGTHS)
        assert len(cut) == sum(length - 4 for length in LENGTHS)
        window = cut[len(cut) - 1]
        assert (window.episode, window.start) == (2, LENGTHS[2] - 5)
        assert numbers_of(window.frames) == numbers(2, "observation.images.top")[-5:]
        np.testing.assert_allclose(window.actions.values[:, 0], 100 + np.arange(LENGTHS[2])[-5:-1])
        assert window.prompt == ("push the T", "lift the lid")[task_of(2)]


@workers_on_one_core
@pytest.mark.parametrize(
    "start",
    [
        pytest.param("fork", marks=pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")),
        pytest.param("spawn", marks=pytest.mark.slow),
    ],
)
def test_workers_read_files_that_this_process_has_open(start, tmp_path):
    write_v3(tmp_path)
    with open_episodes(tmp_path) as episodes:
        dataset = WindowDataset(windows(episodes, "pusht", 4, 2))
        here = [dataset[index] for index in range(len(dataset))]
        loader = DataLoader(dataset, batch_size=None, num_workers=2, multiprocessing_context=start)
        for ours, theirs in zip(here, loader, strict=True):
            assert (ours.episode, ours.start) == (theirs.episode, theirs.start)
            np.testing.assert_array_equal(ours.frames, theirs.frames)


def test_umi_at_a_third_of_its_rate(tmp_path):
    frames, turns = pictures(40), RNG.normal(size=(40, 3))
    positions, width = RNG.normal(size=(40, 3)), RNG.uniform(0, 0.08, (40, 1))
    buffer = replay_buffer([15, 40]).array("data/camera0_rgb", frames, (1, 24, 32, 3))
    for name, values in {"eef_pos": positions, "eef_rot_axis_angle": turns, "gripper_width": width}.items():
        buffer.array(f"data/robot0_{name}", values.astype(np.float32))
    with open_episodes(buffer.zip(tmp_path / "dataset.zarr.zip")) as episodes:
        cut = windows(episodes, "umi", 4)
        assert [cut.place(i) for i in range(len(cut))] == [(0, 0), *((1, s) for s in range(0, 13, 3))]
        window = cut[2]
    chosen = 15 + np.array([3, 6, 9, 12, 15])
    np.testing.assert_array_equal(window.frames, frames[chosen])
    np.testing.assert_allclose(window.actions.values[:, 9], width[chosen[1:], 0], rtol=1e-6)
    poses = np.tile(np.eye(4), (5, 1, 1))
    poses[:, :3, :3], poses[:, :3, 3] = Rotation.from_rotvec(turns[chosen]).as_matrix(), positions[chosen]
    poses[:, :3, 3] += poses[:, :3, 2] * (0.09 - 0.01465 - 0.205)  # along the approach, from the tips to the hand
    first = np.linalg.inv(poses[0]) @ poses[1]
    np.testing.assert_allclose(window.actions.values[0, :9], [*first[:3, 3], *first[:3, 0], *first[:3, 1]], atol=1e-5)


def test_aloha_at_a_fifth_of_its_rate(tmp_path):
    joints, frames = RNG.normal(size=(31, 14)), pictures(31)
    with h5py.File(tmp_path / "episode_0.hdf5", "w") as file:
        file["action"], file["observations/qpos"] = joints, joints + 1
        file["observations/images/cam_high"], file["observations/images/cam_low"] = frames, pictures(31)
    with open_episodes(tmp_path) as episodes:
        cut = pickle.loads(pickle.dumps(windows(episodes, "robotwin", 4, fps=10, cameras=("cam_high",))))
        window = cut[1]
    np.testing.assert_array_equal(window.frames, frames[5:26:5])
    np.testing.assert_allclose(window.actions.values, joints[5:25:5], rtol=1e-6)
    with pytest.raises(InvalidInputError, match=r"does not say which camera .* has cam_high, cam_low"):
        windows(episodes, "robotwin", 4, fps=10)[0]


def test_robomimic_as_commands_and_as_poses(tmp_path):
    actions, frames = RNG.uniform(-1, 1, (9, 7)), pictures(9)
    with h5py.File(tmp_path / "low_dim.hdf5", "w") as file:
        demo = file.create_group("data/demo_0")
        demo["actions"], demo["obs/agentview_image"] = actions, frames
        demo["obs/robot0_eef_pos"] = RNG.normal(size=(9, 3))
        demo["obs/robot0_eef_quat"] = Rotation.random(9, random_state=1).as_quat()
    with open_episodes(tmp_path / "low_dim.hdf5") as episodes:
        commands = episodes[0].actions("libero").values
        window = windows(episodes, "droid_lerobot", 4, fps=20, cameras=("agentview_image",))[1]
    np.testing.assert_allclose(commands[:, :3], actions[:-1, :3], rtol=1e-6)
    np.testing.assert_allclose(
        commands[:, 3:6], Rotation.from_rotvec(actions[:-1, 3:6]).as_matrix()[:, :, 0], atol=1e-6
    )
    np.testing.assert_allclose(window.actions.values[:, 9], (1 - actions[1:5, 6]) / 2, atol=1e-6)
    np.testing.assert_array_equal(window.frames, frames[1:6])


@pytest.mark.skipif(not DROID.is_dir(), reason="the shared recordings are not here")
def test_a_real_droid_episode():
    with open_episodes(DROID) as episodes:
        episode = episodes[0]
        state, gripper = (
            episode.column(f"{name}_position") for name in ("observation.state.cartesian", "action.gripper")
        )
        actions = episode.actions("droid_lerobot").values
        camera = "observation.image.exterior_image_2_left"
        cut = windows(episodes, "droid_lerobot", cameras=(camera,))
        window = cut[300]
        with pytest.raises(
            InvalidInputError, match=r"wrist \(.*left \(.*It has observation.image.exterior_image_2_left"
        ):
            windows(episodes, "droid_lerobot")[0]
        with pytest.raises(InvalidInputError, match=r"action.joint_position with 7 number\(s\), not 1"):
            episode.actions("droid_lerobot_joint")
        assert (len(episode), episode.fps, len(cut)) == (722, 15, 722 - 16)
        np.testing.assert_array_equal(window.frames, episode.frames(camera, 300, 317))
    poses = np.tile(np.eye(4), (722, 1, 1))
    turned = Rotation.from_euler("xyz", state[:, 3:6]).as_matrix()
    poses[:, :3, 3] = state[:, :3]
    poses[:, :3, 0], poses[:, :3, 1], poses[:, :3, 2] = turned[:, :, 1], -turned[:, :, 0], turned[:, :, 2]
    deltas = np.linalg.inv(poses[:-1]) @ poses[1:]
    expected = np.hstack([deltas[:, :3, 3], deltas[:, :3, 0], deltas[:, :3, 1], 1 - gripper.reshape(-1, 1)[:-1]])
    np.testing.assert_allclose(actions, expected, atol=1e-6)
    np.testing.assert_array_equal(window.actions.values, actions[300:316])
