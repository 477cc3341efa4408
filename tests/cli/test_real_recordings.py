"""The command line on real recordings and on real code: a random-weight checkpoint, no stand-in for the world model."""

import json
from pathlib import Path

import numpy as np
import pytest

from cosmos_robot.datasets.action_files import read_actions
from cosmos_robot.datasets.video import read_video
from cosmos_robot.engine.engine import Engine
from cosmos_robot.types import Prediction

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
real = pytest.mark.skipif(not SHARED.is_dir(), reason="the real recordings are not here")


@pytest.fixture
def engine_inputs(monkeypatch):
    """What the engine is asked; it answers zeros."""
    asked = []

    def generate(self, inputs, *, progress=None, **_):
        asked.extend(inputs)
        return [
            Prediction(
                frames=np.zeros((given.action_chunk_size + 1, *given.canvas.output, 3), np.uint8),
                actions=None
                if given.actions is not None
                else np.zeros((given.action_chunk_size, given.raw_action_dim), np.float32),
            )
            for given in inputs
        ]

    monkeypatch.setattr(Engine, "generate", generate)
    return asked


@real
def test_a_real_trajectory_reaches_the_engine_bit_identical(cosmos_robot, checkpoint_folder, engine_inputs, tmp_path):
    trajectory = SHARED / "av" / "av_traj_left.json"
    sample = {
        "action_chunk_size": 60,
        "action_path": str(trajectory),
        "domain_name": "av",
        "fps": 10,
        "image_size": 480,
        "view_point": "ego_view",
        "model_mode": "forward_dynamics",
        "name": "av_left",
        "prompt": "You are an autonomous vehicle planning system.",
        "seed": 0,
        "vision_path": str(SHARED / "av" / "av_0.mp4"),
    }
    (tmp_path / "samples.jsonl").write_text(json.dumps(sample))
    result = cosmos_robot("run", "samples.jsonl", "--checkpoint", checkpoint_folder, "--device", "cpu", "--out", "out")
    assert result.exit_code == 0, result.stderr
    [given] = engine_inputs
    expected = np.array(json.loads(trajectory.read_text()), dtype=np.float32)
    assert given.actions.dtype == np.float32
    assert given.actions[:, :9].tobytes() == expected.tobytes()
    assert not given.actions[:, 9:].any()
    assert np.array_equal(given.frames, read_video(SHARED / "av" / "av_0.mp4", max_frames=1)[0])
    assert (given.domain_id, given.raw_action_dim, given.fps, given.canvas.padded) == (1, 9, 10.0, (480, 832))
    assert "warning" not in result.stderr
    assert read_actions(tmp_path / "out" / "av_left" / "actions.json").tobytes() == expected.tobytes()


def test_a_made_trajectory_reaches_the_engine_bit_identical(
    cosmos_robot, checkpoint_folder, engine_inputs, samples_file, normalised
):
    result = cosmos_robot("run", samples_file({}), "--checkpoint", checkpoint_folder, "--device", "cpu", "--out", "out")
    assert result.exit_code == 0, result.stderr
    assert engine_inputs[0].actions[:, :2].tobytes() == read_actions(normalised).tobytes()


def test_every_mode_on_a_random_checkpoint(cosmos_robot, checkpoint_folder, samples_file, video, tmp_path):
    actions = tmp_path / "four.json"
    actions.write_text(json.dumps([[0.1, -0.2]] * 4))
    longer = tmp_path / "six.json"
    longer.write_text(json.dumps([[0.1, -0.2]] * 6))
    keys = {"action_chunk_size": 4, "num_steps": 2}
    samples = samples_file(
        {**keys, "name": "fd", "action_path": actions.name},
        {**keys, "name": "id", "model_mode": "inverse_dynamics", "vision_path": video.name},
        {**keys, "name": "policy", "model_mode": "wam", "action_space": "robot"},
        {**keys, "name": "rollout", "model_mode": "rollout", "action_path": longer.name},
    )
    result = cosmos_robot("run", samples, "--checkpoint", checkpoint_folder, "--device", "cpu", "--out", "out")
    assert result.exit_code == 0, result.stderr

    def answer(name):
        frames, fps = read_video(tmp_path / "out" / name / "vision.mp4")
        assert fps == 10.0
        return frames.shape, read_actions(tmp_path / "out" / name / "actions.json").shape

    assert answer("fd") == ((5, 64, 96, 3), (4, 2))
    assert answer("id") == ((5, 64, 96, 3), (4, 2))
    assert answer("policy") == ((5, 64, 96, 3), (4, 2))
    assert answer("rollout") == ((7, 64, 96, 3), (6, 2))


@pytest.mark.slow
@real
def test_real_recordings_through_a_random_checkpoint(cosmos_robot, checkpoint_folder, tmp_path):
    umi = {"domain_name": "umi", "image_size": 256, "num_steps": 1, "action_chunk_size": 16}
    samples = [
        {"name": "fd", "model_mode": "forward_dynamics", "vision_path": "umi.png", "action_path": "half.json"},
        {"name": "id", "model_mode": "inverse_dynamics", "vision_path": "umi.mp4"},
        {"name": "policy", "model_mode": "wam", "vision_path": "umi.png", "prompt": "mouse arrangement"},
        {"name": "rollout", "model_mode": "rollout", "vision_path": "umi.png", "action_path": "umi.json"},
    ]
    for sample in samples:
        sample["vision_path"] = str(SHARED / "umi" / sample["vision_path"])
        if "action_path" in sample:
            half = sample["action_path"] == "half.json"
            sample["action_path"] = "half.json" if half else str(SHARED / "umi" / sample["action_path"])
    rows = json.loads((SHARED / "umi" / "umi.json").read_text())
    (tmp_path / "half.json").write_text(json.dumps(rows[:16]))
    (tmp_path / "samples.json").write_text(json.dumps([{**umi, **sample} for sample in samples]))
    result = cosmos_robot("run", "samples.json", "--checkpoint", checkpoint_folder, "--device", "cpu", "--out", "out")
    assert result.exit_code == 0, result.stderr
    shapes = {
        name: read_video(tmp_path / "out" / name / "vision.mp4")[0].shape for name in ("fd", "id", "policy", "rollout")
    }
    assert shapes == {
        "fd": (17, 256, 256, 3),
        "id": (17, 256, 256, 3),
        "policy": (17, 256, 256, 3),
        "rollout": (33, 256, 256, 3),
    }
