"""One sample of the field's JSON, and the sentences for what is not one."""

from pathlib import Path

import pytest

from cosmos_robot.cli.samples import Sample, parse_sample
from cosmos_robot.errors import InvalidInputError, UnsupportedModeError

# The keys and values of a published example, `action_forward_dynamics_av.json`, with paths for its URLs.
PUBLISHED = {
    "action_chunk_size": 60,
    "action_path": "av.json",
    "domain_name": "av",
    "extra": {"golden_psnr_min": 14.0},
    "fps": 10,
    "image_size": 480,
    "view_point": "ego_view",
    "model_mode": "forward_dynamics",
    "name": "action_forward_dynamics_av",
    "prompt": "You are an autonomous vehicle planning system.",
    "seed": 0,
    "vision_path": "av.mp4",
}


def parse(without=(), **changes):
    raw = {key: value for key, value in {**PUBLISHED, **changes}.items() if key not in without}
    return parse_sample(raw, place="samples.jsonl, line 3", folder=Path("/data"))


def test_a_published_sample_is_taken_as_it_is():
    sample = parse()
    assert sample.model_mode == "forward_dynamics"
    assert sample.action_space == "model"
    assert sample.vision_path == "/data/av.mp4"
    assert sample.action_path == "/data/av.json"
    assert sample.extra == {"golden_psnr_min": 14.0}


def test_what_is_written_reads_back_as_the_same_sample():
    sample = parse(model_mode="wam", guidance=1.0, shift=5.0, num_steps=30, image_size="480", num_frames=61)
    again = parse_sample(sample.model_dump(mode="json"), place="sample_args.json", folder=Path("/elsewhere"))
    assert again == sample


def test_wam_is_policy():
    assert parse(model_mode="wam").model_mode == "policy"
    assert parse(model_mode="policy").model_mode == "policy"


def test_paths():
    sample = parse(vision_path="/absolute/av.mp4", action_path="https://example.org/a.json", domain_name="mine.toml")
    assert sample.vision_path == "/absolute/av.mp4"
    assert sample.action_path == "https://example.org/a.json"
    assert sample.domain_name == "/data/mine.toml"


def test_the_tier_is_the_resolution_where_there_is_no_image_size():
    assert parse(resolution="720").tier == 480
    assert parse(without=["image_size"], resolution="720").tier == "720"
    assert parse(without=["image_size"]).tier is None


def test_null_is_as_if_the_key_were_not_there():
    assert parse(negative_prompt=None, seed=None, shift=None) == parse()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"promt": "x"}, r"unknown key 'promt' \(did you mean 'prompt'.*\); the keys are name, model_mode"),
        ({"golden": 1}, "Put what is your own under 'extra'"),
        ({"model_mode": "forward"}, "model_mode is 'forward', which is wrong: .*'forward_dynamics'"),
        ({"model_mode": None}, "model_mode is missing; expected one of forward_dynamics"),
        ({"model_mode": ["wam"]}, "model_mode"),
        ({"name": "a/b"}, "name is 'a/b', which is wrong: it becomes a folder's name"),
        ({"name": "../up"}, "folder's name"),
        ({"name": ".hidden"}, "folder's name"),
        ({"name": ""}, "folder's name"),
        ({"name": 3}, "name is 3"),
        ({"action_chunk_size": "60"}, "action_chunk_size is '60'"),
        ({"action_chunk_size": 0}, "action_chunk_size is 0"),
        ({"fps": 0}, "fps is 0"),
        ({"fps": float("nan")}, "fps is nan"),
        ({"fps": 1e10}, "fps is 10000000000.0, which is wrong: input should be less than or equal to 1000"),
        ({"fps": 0.001}, "fps is 0.001"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"num_steps": 0}, "num_steps is 0"),
        ({"guidance": 0.5}, "guidance is 0.5"),
        ({"guidance": float("inf")}, "guidance is inf"),
        ({"shift": -5}, "shift is -5"),
        ({"action_space": "joint_pos"}, "action_space is 'joint_pos'.*'robot' or 'model'"),
        ({"image_size": 4.5}, "image_size is 4.5"),
        ({"aspect_ratio": "wide"}, "aspect_ratio is 'wide'.*'16,9'"),
        ({"extra": 3}, "extra is 3"),
        ({"action_path": None}, "forward_dynamics needs action_path"),
        ({"state": [1.0]}, "a state is for policy"),
        ({"model_mode": "wam", "state": [float("nan")]}, "state"),
        ({"vision_path": None}, "the key 'vision_path' is missing"),
        ({"domain_name": None}, "the key 'domain_name' is missing"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(changes, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        parse(**changes)
    assert str(caught.value).startswith("samples.jsonl, line 3: ")
    assert "\n" not in str(caught.value)
    assert "pydantic" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "location"),
    [("vision_path", "~nouser/x.png"), ("action_path", "a\0.json"), ("domain_name", "~nouser/mine.toml")],
)
def test_what_is_no_path(key, location):
    with pytest.raises(InvalidInputError, match="cannot be read as a path"):
        parse(**{key: location})


@pytest.mark.parametrize("mode", ["text2video", "image2video", "reasoner"])
def test_modes_without_actions(mode):
    with pytest.raises(UnsupportedModeError, match=f"{mode}.*forward_dynamics, inverse_dynamics, policy, rollout"):
        parse(model_mode=mode)


def test_a_sample_is_an_object():
    with pytest.raises(InvalidInputError, match="must be a json object; got list"):
        parse_sample([], place="a.json", folder=Path())


def test_every_key_is_explained():
    for key in Sample.model_fields:
        assert f"\n        {key}: " in Sample.__doc__
