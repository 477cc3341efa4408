"""`bench golden` and `bench policy`, from the command line."""

import json

import numpy as np
import pytest

from cosmos_robot.datasets.action_files import read_actions


def test_golden_samples_are_held_against_what_was_written(cosmos_robot, world_model, samples_file, video, normalised):
    """The world model copies the first frame of a video that grows brighter by 10 with each: 10, 20 ... 160 off."""
    backwards = {"model_mode": "inverse_dynamics", "vision_path": video.name, "action_chunk_size": 16}
    forward = {"vision_path": video.name}
    expected_psnr = float(np.mean(20 * np.log10(255 / (10 * np.arange(1, 17)))))
    expected_mse = float(np.square(read_actions(normalised)).mean())  # zeros are answered
    path = samples_file(
        {**forward, "name": "low", "extra": {"golden_psnr_min": expected_psnr - 1}},
        {**backwards, "name": "loose", "extra": {"golden_mse_max": expected_mse * 1.01}},
        {"name": "no gate"},
    )
    result = cosmos_robot("bench", "golden", path, "--checkpoint", "nim://here")
    assert result.exit_code == 0, result.output
    assert len(world_model.requests) == 2
    assert "not reached" not in result.output
    strict = samples_file(
        {**forward, "name": "high", "extra": {"golden_psnr_min": expected_psnr + 1}},
        {**backwards, "name": "strict", "extra": {"golden_mse_max": expected_mse * 0.99}},
    )
    result = cosmos_robot("bench", "golden", strict, "--checkpoint", "nim://here")
    assert result.exit_code == 1
    assert result.output.count("not reached") == 2


def test_samples_without_a_gate(cosmos_robot, world_model, samples_file):
    result = cosmos_robot("bench", "golden", samples_file({}))
    assert result.exit_code == 2
    assert "golden_psnr_min" in result.stderr


def test_a_run_from_the_command_line(cosmos_robot, world_model, tmp_path, monkeypatch):
    pytest.importorskip("gym_pusht")
    from bench_models import record_episodes

    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    record_episodes(tmp_path / "episodes", episodes=1)
    arguments = ["bench", "policy", "--checkpoint", "nim://here", "--episodes", "episodes", "--domain", "pusht"]
    result = cosmos_robot(*arguments, "--samples", "2", "--rows", "1", "--out", "run")
    assert result.exit_code == 0, result.output
    assert "1 rows, 0 failed" in result.output
    head = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (head["checkpoint"], head["checkpoint_digest"], head["samples"]) == ("nim://here", "service", 2)
    assert len(world_model.calls) == 2
    again = cosmos_robot(*arguments, "--samples", "3", "--rows", "1", "--out", "run")
    assert again.exit_code == 2
    assert "samples" in again.stderr
    wrong = cosmos_robot("bench", "policy", "--episodes", "nowhere", "--domain", "pusht")
    assert wrong.exit_code == 2
