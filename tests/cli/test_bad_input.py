"""Bad input on the command line: one sentence, exit status 2, no traceback, nothing half-written."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from cosmos_robot.datasets.video import write_video


@pytest.fixture
def refused(cosmos_robot, tmp_path):
    """Call the program and check that it refuses; gives the sentence."""

    def call(*arguments):
        before = sorted(tmp_path.rglob("*"))
        result = cosmos_robot(*arguments)
        assert result.exit_code == 2, (result.stdout, result.stderr, result.exception)
        assert result.stdout == ""
        assert "Traceback" not in result.stderr
        assert sorted(tmp_path.rglob("*")) == before
        [line] = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        return line.removeprefix("error: ")

    return call


@pytest.fixture
def forward(refused, world_model, frame, pixels):
    """Forward dynamics of Push-T with one thing wrong."""

    def call(**wrong):
        arguments = {"--domain": "pusht", "--frame": frame, "--actions": pixels, "--out": "out", **wrong}
        sentence = refused("forward-dynamics", *(part for pair in arguments.items() for part in pair))
        assert world_model.loaded == []  # it was found before the checkpoint was loaded
        return sentence

    return call


def save(path, rows):
    path.write_text(json.dumps(rows))
    return path


def test_an_unknown_domain(forward):
    assert "unknown domain 'push'" in (sentence := forward(**{"--domain": "push"}))
    assert "did you mean 'pusht'" in sentence


def test_a_wrong_action_width_names_the_channels(forward, tmp_path):
    sentence = forward(**{"--actions": save(tmp_path / "a.json", [[1.0, 2.0, 3.0]] * 16)})
    assert "2 channels (target_x, target_y); got 3" in sentence


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_actions_that_are_not_finite(forward, tmp_path, value):
    rows = [[100.0, 200.0]] * 15 + [[100.0, value]]
    assert f"row 15, channel 1 is {value}" in forward(**{"--actions": save(tmp_path / "a.json", rows)})


def test_a_chunk_that_is_not_a_multiple_of_4(forward, tmp_path):
    sentence = forward(**{"--actions": save(tmp_path / "a.json", [[100.0, 200.0]] * 15)})
    assert "multiple of 4" in sentence
    assert "Use 12 or 16" in sentence


@pytest.mark.parametrize("mode", ["policy", "rollout"])
def test_a_chunk_size_that_is_not_a_multiple_of_4(refused, world_model, frame, pixels, mode):
    actions = ["--actions", pixels] if mode == "rollout" else []
    sentence = refused(mode, "--domain", "pusht", "--frame", frame, "--action-chunk-size", 10, *actions)
    assert "multiple of 4" in sentence


def test_an_image_that_does_not_decode(forward, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing")
    assert "bad.jpg" in forward(**{"--frame": tmp_path / "bad.jpg"})


def test_an_image_of_the_wrong_shape(forward, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "tiny.png")
    assert "at least 16 pixels high and wide; got 8x8" in forward(**{"--frame": tmp_path / "tiny.png"})


def test_an_image_of_the_wrong_dtype(forward, tmp_path):
    Image.fromarray(np.zeros((64, 64), np.uint16)).save(tmp_path / "depth.png")
    assert "8 bits a channel" in forward(**{"--frame": tmp_path / "depth.png"})


def test_a_frame_that_is_neither_an_image_nor_a_video(forward, pixels):
    assert "expected an image (.png, .jpg, .jpeg, .webp) or a video" in forward(**{"--frame": pixels})


@pytest.mark.parametrize("content", [b"", b"no video"])
def test_an_empty_or_undecodable_video(refused, world_model, tmp_path, content):
    (tmp_path / "bad.mp4").write_bytes(content)
    assert "bad.mp4" in refused("inverse-dynamics", "--domain", "pusht", "--video", "bad.mp4")
    assert "bad.mp4" in refused("policy", "--domain", "pusht", "--frame", "bad.mp4")


def test_too_few_frames(refused, world_model, tmp_path):
    write_video(tmp_path / "short.mp4", np.zeros((16, 32, 32, 3), np.uint8), 10)
    sentence = refused("inverse-dynamics", "--domain", "pusht", "--video", "short.mp4")
    assert "short.mp4 has too few frames: 16, where 16 actions lie between 17" in sentence


def test_an_image_where_a_video_is_wanted(refused, world_model, frame):
    assert "inverse dynamics reads a video" in refused("inverse-dynamics", "--domain", "pusht", "--video", frame)


def test_an_unknown_view_point_and_an_unknown_tier(forward):
    assert "did you mean 'ego_view'" in forward(**{"--view-point": "ego"})
    assert "unknown resolution tier '500'; expected one of 256, 480, 704, 720" in forward(**{"--image-size": "500"})


@pytest.mark.parametrize(
    ("option", "value"),
    [("--num-steps", 0), ("--fps", -1), ("--fps", 10000000000.0), ("--guidance", 0), ("--seed", -1)],
)
def test_a_number_out_of_its_range(forward, option, value):
    key = option.removeprefix("--").replace("-", "_")
    assert f"{key} is {value}" in forward(**{option: value})


def test_a_fact_that_nobody_has_published(refused, world_model, frame):
    sentence = refused("policy", "--domain", "galbot", "--frame", frame)
    assert "not been published" in sentence


def test_a_missing_and_a_needless_state(refused, world_model, frame):
    sentence = refused("policy", "--domain", "droid_lerobot_joint", "--frame", frame)
    assert "state as 8 numbers: joint_1, " in sentence
    assert "no place for a state" in refused("policy", "--domain", "pusht", "--frame", frame, "--state", "1,2")
    assert "numbers with commas" in refused("policy", "--domain", "pusht", "--frame", frame, "--state", "a")
    assert "8 channels" in refused("policy", "--domain", "droid_lerobot_joint", "--frame", frame, "--state", "1,2")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"raw_action_dim": 7}, "raw_action_dim is 7, but actions of domain 'pusht' have 2 channels (target_x, "),
        ({"num_frames": 16}, "num_frames is 16, but 16 actions lie between 17 frames"),
        ({"action_chunk_size": 12}, "action_chunk_size is 12, but"),
        ({"model_mode": "image2image"}, "forward_dynamics, inverse_dynamics, policy, rollout, text2image"),
        ({"model_mode": "text2video"}, "unknown key 'domain_name'"),
        ({"promt": "x"}, "did you mean 'prompt'"),
    ],
)
def test_keys_of_a_sample(refused, world_model, samples_file, keys, message):
    assert message in refused("run", samples_file(keys), "--out", "out")
    assert world_model.loaded == []


def test_an_existing_file_where_the_folder_should_be(forward, tmp_path):
    (tmp_path / "out").write_text("")
    assert "--out" in forward(**{"--out": "out"})


@pytest.mark.parametrize("out", [".", "..", "/"])
def test_folders_that_are_not_the_programs_to_replace(forward, out):
    assert forward(**{"--out": out})


def test_a_wrong_option_is_an_error_of_usage(cosmos_robot):
    result = cosmos_robot("policy", "--domain", "pusht")
    assert result.exit_code == 2
    assert "--frame" in result.stderr


def test_a_bug_is_not_dressed_up_as_bad_input(cosmos_robot, world_model, frame):
    def fail(requests):
        raise ZeroDivisionError

    world_model.before_answer = fail
    result = cosmos_robot("policy", "--domain", "pusht", "--frame", frame)
    assert isinstance(result.exception, ZeroDivisionError)


# From here on with real checkpoints of random weights.


def policy_on(checkpoint, frame, *options):
    return (
        *("policy", "--domain", "pusht", "--frame", frame, "--action-chunk-size", 4, "--num-steps", 1),
        *("--checkpoint", checkpoint, "--device", "cpu", "--out", "out", *options),
    )


@pytest.fixture
def checkpoint(checkpoint_folder, tmp_path_factory):
    """A checkpoint that a test may break."""
    return shutil.copytree(checkpoint_folder, tmp_path_factory.mktemp("broken") / "checkpoint")


def test_actions_far_outside_the_range_warn_of_the_channel(
    cosmos_robot, checkpoint_folder, frame, normalised, tmp_path
):
    result = cosmos_robot(
        *("forward-dynamics", "--domain", "pusht", "--frame", frame, "--actions", normalised, "--num-steps", 1),
        *("--checkpoint", checkpoint_folder, "--device", "cpu", "--out", "out"),
    )
    assert result.exit_code == 0, result.stderr
    [line] = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
    assert "target_x" in line
    assert "action_space='model'" in line
    record = json.loads((tmp_path / "out" / "sample_outputs.json").read_text())
    assert record["warnings"] == [line.removeprefix("warning: ")]


def test_a_domain_that_the_checkpoint_was_not_trained_for_warns(cosmos_robot, checkpoint, frame):
    (checkpoint / "cosmos_robot.json").write_text('{"domain_ids": [7]}')
    result = cosmos_robot(*policy_on(checkpoint, frame))
    assert result.exit_code == 0, result.stderr
    [line] = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
    assert "not trained for domain 'pusht'" in line


def test_a_checkpoint_without_action_heads(refused, pipelines, frame, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    pipelines("no actions").save_pretrained(folder)
    assert "has no action heads" in refused(*policy_on(folder, frame))


def test_a_checkpoint_without_a_component(refused, checkpoint, frame):
    shutil.rmtree(checkpoint / "vae")
    assert "vae" in refused(*policy_on(checkpoint, frame))


def test_a_checkpoint_without_a_tensor(refused, checkpoint, frame):
    from safetensors.torch import load_file, save_file

    [weights] = (checkpoint / "transformer").glob("*.safetensors")
    tensors = load_file(weights)
    del tensors["proj_in.weight"]
    save_file(tensors, weights)
    assert "proj_in.weight" in refused(*policy_on(checkpoint, frame))


def test_a_checkpoint_that_is_not_there(refused, frame, tmp_path):
    assert "nowhere" in refused(*policy_on(tmp_path / "nowhere", frame))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA here")
def test_cuda_where_there_is_none(refused, checkpoint_folder, frame):
    assert "cuda" in refused(*policy_on(checkpoint_folder, frame, "--device", "cuda")).lower()


def test_a_hub_id_without_a_network(refused, frame, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "nobody/nothing" in refused(*policy_on("nobody/nothing", frame))
