"""`cosmos-robot actions convert` and `cosmos-robot stats`, from files to files."""

import json

import h5py
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from cosmos_robot.cli.app import app
from cosmos_robot.domains.registry import get_domain

RNG = np.random.default_rng(4)
TURNS = Rotation.from_rotvec([[0.5, -1.0, 0.3], [0.6, -0.9, 0.2], [0.7, -1.1, 0.4]])
POSITIONS = RNG.normal(scale=0.01, size=(3, 3))


def call(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_poses_to_steps_and_back(tmp_path):
    rows = np.hstack([POSITIONS, TURNS.as_quat()])
    np.savetxt(tmp_path / "poses.csv", rows, delimiter=",", header="x,y,z,qx,qy,qz,qw", comments="")
    here, there, back = tmp_path / "poses.csv", tmp_path / "steps.json", tmp_path / "back.npy"
    done = call("actions", "convert", here, there, "--from", "absolute:quaternion_xyzw", "--to", "framewise:rot6d_rows")
    assert done.exit_code == 0, done.output
    assert "2 rows of 9 numbers" in done.output
    poses = np.tile(np.eye(4), (3, 1, 1))
    poses[:, :3, :3], poses[:, :3, 3] = TURNS.as_matrix(), POSITIONS
    steps = np.linalg.inv(poses[:-1]) @ poses[1:]
    written = np.array(json.loads(there.read_text()))
    np.testing.assert_allclose(written, np.hstack([steps[:, :3, 3], steps[:, 0, :3], steps[:, 1, :3]]), atol=1e-6)
    start = ",".join(map(str, rows[0]))
    done = call(
        "actions",
        "convert",
        there,
        back,
        "--from",
        "framewise:rot6d_rows",
        "--to",
        "absolute:quaternion_xyzw",
        "--start",
        start,
    )
    assert done.exit_code == 0, done.output
    np.testing.assert_allclose(np.load(back), rows, atol=1e-5)


def test_robot_to_model_space(tmp_path):
    pixels = RNG.uniform(0, 512, (5, 2)).astype(np.float32)
    np.save(tmp_path / "robot.npy", pixels)
    done = call(
        *("actions", "convert", tmp_path / "robot.npy", tmp_path / "model.npy"),
        *("--from", "robot", "--to", "model", "--domain", "pusht", "--action-dim", 8),
    )
    assert done.exit_code == 0, done.output
    model = np.load(tmp_path / "model.npy")
    np.testing.assert_array_equal(model, get_domain("pusht").encode(pixels, action_dim=8).values)


@pytest.mark.parametrize(
    ("source", "target", "more", "match"),
    [
        ("absolute:quaternion", "framewise:matrix", (), "quaternion_wxyz has it first"),
        ("framewise:axis_angle", "absolute:matrix", (), "give the first pose as start"),
        ("framewise:axis_angle", "absolute:euler_xyz", ("--start", "1,2,3"), "identity or 6 numbers"),
        ("framewise:axis_angle", "robot", ("--domain", "bridge"), "keep 1 numbers"),
    ],
)
def test_what_is_ambiguous_is_refused(tmp_path, source, target, more, match):
    np.save(tmp_path / "in.npy", RNG.normal(size=(4, 6)).astype(np.float32))
    done = call(
        "actions", "convert", tmp_path / "in.npy", tmp_path / "out.npy", "--from", source, "--to", target, *more
    )
    assert done.exit_code == 2
    assert match in done.output
    assert not (tmp_path / "out.npy").exists()
    assert (
        call(
            "actions", "convert", tmp_path / "in.npy", tmp_path / "out.txt", "--from", "robot", "--to", "model"
        ).exit_code
        == 2
    )


@pytest.fixture
def aloha(tmp_path):
    folder = tmp_path / "aloha"
    folder.mkdir()
    for episode in range(2):
        with h5py.File(folder / f"episode_{episode}.hdf5", "w") as file:
            file["action"] = RNG.normal(size=(30, 14))
            file["observations/qpos"] = RNG.normal(size=(30, 14))
            file["observations/images/cam_high"] = np.zeros((30, 16, 16, 3), np.uint8)
    return folder


def test_statistics_of_a_dataset(aloha, tmp_path):
    out = tmp_path / "figures.json"
    done = call("stats", aloha, "--domain", "robotwin", "--out", out)
    assert done.exit_code == 0, done.output
    assert "58 actions of 2 episodes at 50 frames a second" in done.output
    rows = []
    for episode in range(2):
        with h5py.File(aloha / f"episode_{episode}.hdf5") as file:
            rows.append(file["action"][:-1])
    table = json.loads(out.read_text())
    np.testing.assert_allclose(table["q99"], np.quantile(np.concatenate(rows), 0.99, axis=0), rtol=1e-5)
    np.testing.assert_allclose(table["mean"], np.concatenate(rows).mean(axis=0), rtol=1e-4, atol=1e-7)


def test_damage_stops_it_or_is_left_out(aloha, tmp_path):
    with h5py.File(aloha / "episode_1.hdf5", "a") as file:
        file["action"][7, 3] = np.nan
    stopped = call("stats", aloha, "--domain", "robotwin", "--out", tmp_path / "a.toml")
    assert stopped.exit_code == 2
    assert "frame 7: column 'action'" in stopped.output
    assert not (tmp_path / "a.toml").exists()
    done = call("stats", aloha, "--domain", "robotwin", "--out", tmp_path / "a.toml", "--skip-damaged")
    assert done.exit_code == 0
    assert "skipped: " in done.output
    assert "29 actions of 1 episodes" in done.output
    assert call("stats", aloha, "--domain", "robotwin", "--out", tmp_path / "a.csv").exit_code == 2
