"""The four questions from flags, down to the request that a world model gets and the folder that is written."""

import json

import numpy as np
import pytest

from cosmos_robot.datasets.action_files import read_actions
from cosmos_robot.datasets.images import read_image
from cosmos_robot.datasets.video import read_video
from cosmos_robot.types import ActionSpace

FILES = {"actions.json", "sample_args.json", "sample_outputs.json", "vision.mp4"}


def outputs(folder):
    return json.loads((folder / "sample_outputs.json").read_text())


def test_forward_dynamics(cosmos_robot, world_model, frame, pixels, tmp_path):
    result = cosmos_robot(
        *("forward-dynamics", "--domain", "pusht", "--frame", frame, "--actions", pixels, "--prompt", "push"),
        *("--seed", 7, "--num-steps", 3, "--guidance", 2, "--shift", 5, "--fps", 12, "--image-size", 256),
        *("--view-point", "ego_view", "--negative-prompt", "blur", "--out", "answer", "--device", "cpu"),
        *("--dtype", "float32", "--checkpoint", "some/checkpoint"),
    )
    assert result.exit_code == 0, result.stderr
    assert world_model.loaded == [("some/checkpoint", "cpu", "float32")]
    [request] = world_model.requests
    assert request.mode == "forward_dynamics"
    assert np.array_equal(request.frames[0], read_image(frame))
    assert request.actions.space is ActionSpace.ROBOT
    assert request.actions.values.tobytes() == read_actions(pixels).tobytes()
    given = (request.prompt, request.negative_prompt, request.seed, request.num_steps, request.guidance)
    assert given == ("push", "blur", 7, 3, 2.0)
    assert (request.shift, request.fps, request.image_size, request.view_point) == (5.0, 12.0, "256", "ego_view")

    folder = tmp_path / "answer"
    assert {entry.name for entry in folder.iterdir()} == FILES
    assert read_actions(folder / "actions.json").tobytes() == read_actions(pixels).tobytes()
    frames, fps = read_video(folder / "vision.mp4")
    assert frames.shape == (17, 64, 96, 3)
    assert fps == 12.0
    record = outputs(folder)
    assert record["status"] == "ok"
    assert record["frames_shape"] == [17, 64, 96, 3]
    assert record["actions_shape"] == [16, 2]
    assert (record["action_space"], record["checkpoint"], record["seed"]) == ("robot", "some/checkpoint", 7)
    assert json.loads((folder / "sample_args.json").read_text())["action_path"] == str(pixels)


def test_actions_in_model_space(cosmos_robot, world_model, frame, normalised):
    result = cosmos_robot(
        *("forward-dynamics", "--domain", "pusht", "--frame", frame, "--actions", normalised),
        *("--action-space", "model"),
    )
    assert result.exit_code == 0, result.stderr
    assert world_model.requests[0].actions.space is ActionSpace.MODEL


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_actions_from_numpy(cosmos_robot, world_model, frame, pixels, tmp_path, suffix):
    actions = read_actions(pixels)
    np.save(tmp_path / "a.npy", actions)
    np.savez(tmp_path / "a.npz", actions=actions)
    result = cosmos_robot(
        "forward-dynamics", "--domain", "pusht", "--frame", frame, "--actions", tmp_path / f"a{suffix}"
    )
    assert result.exit_code == 0, result.stderr
    assert world_model.requests[0].actions.values.tobytes() == actions.tobytes()


def test_inverse_dynamics_reads_the_first_frames(cosmos_robot, world_model, video, tmp_path):
    result = cosmos_robot("inverse-dynamics", "--domain", "pusht", "--video", video, "--out", "answer")
    assert result.exit_code == 0, result.stderr
    [request] = world_model.requests
    assert np.array_equal(request.frames, read_video(video)[0][:17])
    assert outputs(tmp_path / "answer")["notes"] == ["the video is longer; its first 17 frames were read."]


def test_inverse_dynamics_of_a_given_chunk(cosmos_robot, world_model, video, tmp_path):
    result = cosmos_robot(
        "inverse-dynamics", "--domain", "pusht", "--video", video, "--action-chunk-size", 20, "--out", "answer"
    )
    assert result.exit_code == 0, result.stderr
    assert world_model.requests[0].action_chunk_size == 20
    assert outputs(tmp_path / "answer")["notes"] == []


def test_policy_takes_a_video_for_its_first_frame(cosmos_robot, world_model, video):
    result = cosmos_robot("policy", "--domain", "pusht", "--frame", video, "--prompt", "push the T to the left")
    assert result.exit_code == 0, result.stderr
    [request] = world_model.requests
    assert np.array_equal(request.frames, read_video(video)[0][:1])
    assert (request.mode, request.prompt, request.action_chunk_size) == ("policy", "push the T to the left", 16)


def test_policy_with_a_state_and_without_frames(cosmos_robot, world_model, frame, tmp_path):
    state = [0.0, -0.5, 0.0, -2.0, 0.0, 1.5, 0.0, 1.0]
    result = cosmos_robot(
        *("policy", "--domain", "droid_lerobot_joint", "--frame", frame, "--out", "answer"),
        *("--state", ",".join(map(str, state))),
    )
    assert result.exit_code == 0, result.stderr
    assert world_model.requests[0].state.tolist() == state
    assert {entry.name for entry in (tmp_path / "answer").iterdir()} == FILES - {"vision.mp4"}
    assert outputs(tmp_path / "answer")["frames_shape"] is None


def test_rollout_takes_any_length(cosmos_robot, world_model, frame, tmp_path):
    (tmp_path / "long.json").write_text(json.dumps(np.linspace(100, 400, 2 * 37).reshape(37, 2).tolist()))
    result = cosmos_robot(
        *("rollout", "--domain", "pusht", "--frame", frame, "--actions", "long.json", "--out", "answer"),
        *("--action-chunk-size", 8),
    )
    assert result.exit_code == 0, result.stderr
    assert outputs(tmp_path / "answer")["frames_shape"] == [38, 64, 96, 3]
    assert len(world_model.requests) == 5


def test_a_domain_file_of_the_users_own(cosmos_robot, world_model, frame, pixels, tmp_path):
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\nrobot = "a pusher of mine"\nsource = "me"\ndomain_id = 4\nraw_action_dim = 2\n'
        'action_chunk_size = 16\nfps = 10.0\nview_point = "ego_view"\ntier = 256\ngripper = "none"\n'
        '[[channels]]\nnames = ["x", "y"]\nunit = "px"\n'
        '[normaliser]\nmethod = "minmax"\nsource = "me"\nmin = [0.0, 0.0]\nmax = [512.0, 512.0]\n'
    )
    result = cosmos_robot("forward-dynamics", "--domain", "mine.toml", "--frame", frame, "--actions", pixels)
    assert result.exit_code == 0, result.stderr
    assert world_model.requests[0].domain.name == "mine"


def test_the_default_folder_and_a_second_call(cosmos_robot, world_model, frame, tmp_path):
    arguments = ("policy", "--domain", "pusht", "--frame", frame)
    assert "wrote outputs/policy" in cosmos_robot(*arguments).stdout
    assert (tmp_path / "outputs" / "policy" / "vision.mp4").is_file()
    again = cosmos_robot(*arguments)
    assert again.exit_code == 0
    assert "finished already" in again.stdout
    assert len(world_model.loaded) == 1  # the second call did not even load the checkpoint
    assert cosmos_robot(*arguments, "--overwrite").exit_code == 0
    assert len(world_model.calls) == 2


def test_an_inexact_answer_is_not_taken_for_the_exact_one(cosmos_robot, world_model, frame, tmp_path):
    arguments = ("policy", "--domain", "pusht", "--frame", frame, "--out", "answer")
    quick = (*arguments, "--preset", "few-steps")
    assert cosmos_robot(*quick).exit_code == 0
    assert (outputs(tmp_path / "answer")["preset"], outputs(tmp_path / "answer")["safety"]) == ("few-steps", "off")
    exact = cosmos_robot(*arguments)
    assert exact.exit_code == 2
    assert "preset was 'few-steps' and is 'exact'" in exact.stderr
    assert "finished already" in cosmos_robot(*quick).stdout
    assert cosmos_robot(*arguments, "--overwrite").exit_code == 0
    assert outputs(tmp_path / "answer")["preset"] == "exact"


def test_progress_of_the_denoising_steps_reaches_the_program(cosmos_robot, world_model, frame, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "cosmos_robot.cli.progress.ProgressBars.step", lambda _, done, total: seen.append((done, total))
    )
    assert cosmos_robot("policy", "--domain", "pusht", "--frame", frame).exit_code == 0
    assert seen == [(1, 1)]
