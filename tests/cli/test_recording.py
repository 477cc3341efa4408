"""convert, label and view from the command line."""

import numpy as np
import pytest

pytest.importorskip("lerobot.datasets", reason="the extra lerobot")

from zarr_v2 import replay_buffer

from cosmos_robot.datasets.open_episodes import open_episodes
from cosmos_robot.datasets.video import write_video


@pytest.fixture
def recordings(tmp_path):
    """Two episodes of Push-T as diffusion policy stores them."""
    rng = np.random.default_rng(0)
    frames = np.full((9, 64, 96, 3), 128, np.uint8)
    frames[:, 0, 0] = (0, 255, 1)
    buffer = replay_buffer([4, 9]).array("data/img", frames)
    return buffer.array("data/action", rng.uniform(0, 512, (9, 2)).astype(np.float32), (4, 2)).folder(
        tmp_path / "a.zarr"
    )


def test_convert_and_view(cosmos_robot, recordings, tmp_path):
    result = cosmos_robot("convert", recordings, "set", "--domain", "pusht", "--codec", "h264", "--camera", "img")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "set: 2 episodes as LeRobot v3.0\n"
    with open_episodes(tmp_path / "set") as made:
        assert [len(episode) for episode in made] == [4, 5]
    result = cosmos_robot("convert", recordings, "set", "--domain", "pusht", "--codec", "h264", "--camera", "img")
    assert result.stdout == "set: 2 episodes as LeRobot v3.0, of which 2 sources were done before\n"
    pytest.importorskip("rerun", reason="the extra viz")
    result = cosmos_robot("view", "set", "--episode", 1, "--save", "one.rrd")
    assert result.exit_code == 0, result.stderr
    assert "wrote one.rrd" in result.stdout
    from rerun.experimental import RrdReader

    steps = {
        chunk.entity_path: chunk.num_rows
        for chunk in RrdReader(tmp_path / "one.rrd").stream().to_chunks()
        if chunk.entity_path.startswith(("/cameras", "/columns/action"))
    }
    assert steps == {
        "/cameras/observation.images.img/recorded": 5,
        "/columns/action/0/recorded": 5,
        "/columns/action/1/recorded": 5,
    }
    result = cosmos_robot("view", "set", "--episode", 2, "--save", "two.rrd")
    assert result.exit_code == 2
    assert "error: set has 2 episodes, numbered from 0; got --episode 2." in result.stderr


def test_convert_says_what_was_skipped(cosmos_robot, recordings, tmp_path):
    (recordings / "data" / "action" / "1.0").write_bytes(b"cut off")  # the second episode's
    result = cosmos_robot("convert", recordings, "set", "--codec", "h264")
    assert result.exit_code == 2
    assert "error: " in result.stderr
    assert "episode 1" in result.stderr
    result = cosmos_robot("convert", recordings, "other", "--codec", "h264", "--on-error", "skip")
    assert result.exit_code == 0, result.stderr
    assert "skipped episode 1: " in result.stderr
    assert result.stdout == "other: 1 episodes as LeRobot v3.0\n"
    assert len(open_episodes(tmp_path / "set")) == 1


def test_label(cosmos_robot, world_model, video, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    arguments = ["label", video, "broken.mp4", "--domain", "pusht", "--out", "set", "--codec", "h264"]
    result = cosmos_robot(*arguments)
    assert result.exit_code == 2
    assert "error: broken.mp4:" in result.stderr
    result = cosmos_robot(*arguments[:-2], "--on-error", "skip", "--out", "other", "--codec", "h264")
    assert result.exit_code == 0, result.stderr
    assert "skipped video 1: broken.mp4: the video broken.mp4 does not decode" in result.stderr
    assert result.stdout == "other: 1 episodes as LeRobot v3.0\n"
    with open_episodes(tmp_path / "other") as made:
        assert (len(made), len(made[0]), made[0].fps) == (1, 21, 10)
    assert [request.action_chunk_size for request in world_model.requests[-2:]] == [16, 16]


@pytest.mark.slow
@pytest.mark.e2e
def test_label_with_random_weights(cosmos_robot, checkpoint_folder, tmp_path):
    """The whole way with a real engine; what it says means nothing, and comes in robot units all the same."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    write_video(tmp_path / "a.mp4", np.repeat(np.repeat(coarse, 12, 1), 12, 2), 10)
    result = cosmos_robot(
        "label", "a.mp4", "--domain", "av", "--out", "set", "--checkpoint", checkpoint_folder, "--codec", "h264",
        "--num-steps", 1, "--action-chunk-size", 8, "--prompt", "drive",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    with open_episodes(tmp_path / "set") as made:
        rows = made[0].column("action")
        assert rows.shape == (12, 9)
        assert np.isfinite(rows).all()
        assert np.ptp(rows[:-1], axis=0).max() > 0
        poses = made[0].column("observation.pose.ego")
        assert np.allclose(poses[0], [0, 0, 0, 1, 0, 0, 0, 1, 0])
        assert np.allclose(np.linalg.norm(rows[:, 3:6], axis=1), 1, atol=1e-4)  # rotations, mended
        assert made[0].task == "drive"
