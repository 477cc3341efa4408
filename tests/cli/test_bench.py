"""`bench golden` and `bench policy`, from the command line."""

import json
from pathlib import Path

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
    told = json.loads(Path("outputs/bench/golden/gates.json").read_text())["gates"]
    assert [(gate["name"], gate["passed"]) for gate in told] == [("high", False), ("strict", False)]


def test_a_gate_that_cannot_be_measured_is_not_reached(cosmos_robot, world_model, samples_file, video):
    path = samples_file(
        {"vision_path": video.name, "name": "fine", "extra": {"golden_psnr_min": 1.0}},
        {
            "name": "backwards",
            "model_mode": "inverse_dynamics",
            "vision_path": video.name,
            "action_path": ...,
            "action_chunk_size": 16,
            "extra": {"golden_mse_max": 9.0},
        },
        {
            "name": "no frames",
            "model_mode": "inverse_dynamics",
            "vision_path": video.name,
            "action_chunk_size": 16,
            "extra": {"golden_psnr_min": 1.0, "golden_mse_max": 9.0},
        },
    )
    result = cosmos_robot("bench", "golden", path, "--checkpoint", "nim://here")
    assert result.exit_code == 1, result.output
    told = json.loads(Path("outputs/bench/golden/gates.json").read_text())
    assert [(gate["name"], gate["passed"]) for gate in told["gates"]] == [("fine", True)]
    assert [each["name"] for each in told["failed"]] == ["backwards", "no frames"]
    assert "needs recorded actions (action_path)" in told["failed"][0]["error"]
    assert "inverse_dynamics gave none" in told["failed"][1]["error"]


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


@pytest.mark.slow
def test_golden_gates_of_the_embedded_model(cosmos_robot, tmp_path, monkeypatch):
    """Held-out Push-T in the field's own samples; what is imagined and what is read reach the published bounds."""
    pytest.importorskip("gym_pusht")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    result = cosmos_robot("bench", "golden", "--out", "golden")
    assert result.exit_code in (0, 1), result.output
    told = json.loads((tmp_path / "golden" / "gates.json").read_text())
    assert told["failed"] == []
    by_mode = {}
    for gate in told["gates"]:
        by_mode.setdefault(gate["name"].rpartition("_")[0], []).append(gate)
    assert {mode: len(gates) for mode, gates in by_mode.items()} == {
        "forward_dynamics": 4,
        "inverse_dynamics": 4,
        "policy": 4,
    }
    assert all(gate["passed"] for mode in ("forward_dynamics", "inverse_dynamics") for gate in by_mode[mode])
    assert (result.exit_code == 0) == all(gate["passed"] for gate in told["gates"])
    wanted = {gate["figure"]: gate["wanted"] for gate in told["gates"]}
    assert wanted == {"golden_psnr_min": 14.0, "golden_mse_max": 0.05}
