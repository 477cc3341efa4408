"""Baseten: every documented field, its default, both ends of its range, a value outside, and the error body."""

import base64
import json

import numpy as np
import pytest
from stepping_model import answered_actions

from cosmos_robot.datasets.video import read_video
from cosmos_robot.domains.registry import get_domain

ACTIONS = np.random.default_rng(3).uniform(-1, 1, (16, 10)).astype(np.float32).tolist()
T2V = {"prompt": "A street."}
FD = {
    "model_mode": "forward_dynamics",
    "vision_path": "video.mp4",
    "action_path": "actions.json",
    "prompt": "Put the pot to the left.",
    "domain_name": "bridge_orig_lerobot",
}
POLICY = {"model_mode": "policy", "vision_path": "frame.png", "domain_name": "bridge_orig_lerobot"}
ID = {"model_mode": "inverse_dynamics", "vision_path": "video.mp4", "domain_name": "bridge_orig_lerobot"}


@pytest.fixture(scope="module")
def media_root(tmp_path_factory, png, mp4_bytes):
    root = tmp_path_factory.mktemp("root") / "inside"
    (root / "folder").mkdir(parents=True)
    (root / "frame.png").write_bytes(base64.b64decode(png))
    (root / "video.mp4").write_bytes(mp4_bytes)
    (root / "actions.json").write_text(json.dumps(ACTIONS))
    (root / "few.json").write_text(json.dumps(ACTIONS[:15]))
    (root / "named.json").write_text(json.dumps({"action": ACTIONS, "fps": 5}))
    (root / "broken.json").write_text('[["a"]]')
    (root / "nan.json").write_text("[[NaN]]")
    (root.parent / "outside.json").write_text(json.dumps(ACTIONS))
    (root / "link.json").symlink_to(root.parent / "outside.json")
    return root


@pytest.fixture(scope="module")
def baseten(media_root, tmp_path_factory):
    """A server whose requests may name files under one folder."""
    from fastapi.testclient import TestClient
    from stepping_model import SteppingModel

    from cosmos_robot.serving.app import create_app
    from cosmos_robot.serving.settings import ServerSettings

    model = SteppingModel()
    settings = ServerSettings(data=tmp_path_factory.mktemp("data"), media_root=media_root)
    with TestClient(create_app(settings, model), base_url="http://localhost", raise_server_exceptions=False) as client:
        client.model = model
        yield client


@pytest.fixture
def predict(baseten):
    baseten.model.batches.clear()

    def ask(body, path="/predict"):
        return baseten.post(path, json=body)

    return ask


FIELDS = [
    (T2V, {"mode": "text2video", "seed": 0, "num_frames": None, "num_steps": None, "guidance": None, "fps": None}),
    ({**T2V, "model_mode": "text2image", "num_frames": 1}, {"mode": "text2image"}),
    ({**T2V, "negative_prompt": "", "name": "mine"}, {"negative_prompt": ""}),
    ({**T2V, "resolution": "256", "aspect_ratio": "9,16"}, {"resolution": "256", "aspect_ratio": "9,16"}),
    ({**T2V, "resolution": 720, "aspect_ratio": "16:9"}, {"resolution": "720", "aspect_ratio": "16,9"}),
    ({**T2V, "num_frames": 2, "fps": 1}, {"num_frames": 2, "fps": 1.0}),
    ({**T2V, "num_frames": 197, "fps": 60}, {"num_frames": 197, "fps": 60.0}),
    ({**T2V, "num_frames": 397, "resolution": "256"}, {"num_frames": 397}),
    ({**T2V, "num_steps": 1, "guidance": 0, "shift": 0.1}, {"num_steps": 1, "guidance": 1.0, "shift": 0.1}),
    ({**T2V, "num_steps": 1000, "guidance": 100, "shift": 100}, {"num_steps": 1000, "guidance": 100.0, "shift": 100.0}),
    ({**T2V, "seed": 2**63 - 1}, {"seed": 2**63 - 1}),
    ({**T2V, "model_mode": "image2video", "vision_path": "frame.png"}, {"mode": "image2video"}),
    ({**T2V, "model_mode": "image2video", "vision_path": "video.mp4"}, {"mode": "image2video"}),
    (FD, {"mode": "forward_dynamics", "action_chunk_size": 16, "image_size": None, "fps": None, "view_point": None}),
    ({**FD, "action_path": "named.json", "action_chunk_size": 4}, {"action_chunk_size": 4}),
    ({**FD, "image_size": 480, "fps": 5, "num_steps": 30, "guidance": 1.0, "shift": 5.0, "action_chunk_size": 16},
     {"image_size": "480", "fps": 5.0, "num_steps": 30, "guidance": 1.0, "shift": 5.0}),
    ({**POLICY, "raw_action_dim": 10, "view_point": "ego_view", "action_path": "not/looked/at"},
     {"mode": "policy", "view_point": "ego_view", "actions": None}),
    ({**ID, "image_size": "704"}, {"mode": "inverse_dynamics", "image_size": "704"}),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), FIELDS, ids=lambda value: str(value)[:60])
def test_every_field_reaches_the_model(body, expected, predict, baseten):
    answer = predict(body)
    assert answer.status_code == 200, answer.text
    ((request,),) = baseten.model.batches
    assert {name: getattr(request, name) for name in expected} == expected


REFUSED = [
    ({**T2V, "promt": "x"}, 422, "promt"),
    ({**T2V, "model_mode": "video2video"}, 422, "model_mode"),
    ({"prompt": ""}, 422, "prompt is empty"),
    ({**T2V, "resolution": "1080"}, 422, "resolution"),
    ({**T2V, "aspect_ratio": "2,1"}, 422, "aspect_ratio"),
    ({**T2V, "num_frames": 1}, 422, "num_frames"),
    ({**T2V, "num_frames": 198}, 422, "num_frames"),
    ({**T2V, "model_mode": "text2image", "num_frames": 2}, 422, "one frame"),
    ({**T2V, "fps": 0}, 422, "fps"),
    ({**T2V, "fps": 61}, 422, "fps"),
    ({**T2V, "num_steps": 0}, 422, "num_steps"),
    ({**T2V, "guidance": -1}, 422, "guidance"),
    ({**T2V, "shift": 0}, 422, "shift"),
    ({**T2V, "seed": -1}, 422, "seed"),
    ({**T2V, "name": ""}, 422, "name"),
    ({**T2V, "image_size": 480}, 422, "image_size"),
    ({**T2V, "vision_path": "frame.png"}, 422, "vision_path"),
    ({**T2V, "model_mode": "image2video"}, 422, "vision_path"),
    ({**T2V, "model_mode": "image2video", "vision_path": "actions.json"}, 422, "neither an image"),
    ({**T2V, "model_mode": "image2video", "vision_path": "https://example.com/a.png"}, 422, "--allow-urls"),
    ({**POLICY, "vision_path": "missing.png"}, 422, "no such file"),
    ({**POLICY, "vision_path": "../outside.json"}, 422, "no such file"),
    ({**POLICY, "vision_path": "folder"}, 422, "no such file"),
    ({**POLICY, "vision_path": "/etc/hostname"}, 422, "no such file"),
    ({**POLICY, "vision_path": "frame.png\x00"}, 422, "NUL"),
    ({**POLICY, "resolution": "480"}, 422, "resolution"),
    ({**POLICY, "domain_name": None}, 422, "domain_name"),
    ({**POLICY, "domain_name": "nobody"}, 422, "unknown domain"),
    ({**POLICY, "raw_action_dim": 9}, 422, "raw_action_dim"),
    ({**POLICY, "action_chunk_size": 5}, 422, "action_chunk_size"),
    ({**POLICY, "vision_path": None}, 422, "vision_path"),
    ({**POLICY, "view_point": "from_mars"}, 422, "view_point"),
    ({**ID, "vision_path": "frame.png"}, 422, "video"),
    ({**ID, "action_chunk_size": 24}, 422, "21"),
    ({**FD, "action_path": None}, 422, "action_path"),
    ({**FD, "action_path": "few.json"}, 422, "15 rows"),
    ({**FD, "action_path": "broken.json"}, 422, "rows of numbers"),
    ({**FD, "action_path": "nan.json"}, 400, "NaN"),
    ({**FD, "action_path": "link.json"}, 422, "no such file"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status", "said"), REFUSED, ids=lambda value: str(value)[-60:])
def test_what_is_refused_and_how(body, status, said, predict, baseten, media_root):
    answer = predict(body)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    assert said in answer.json()["error"]
    assert str(media_root.parent) not in answer.text
    assert baseten.model.batches == []


def decoded(data, tmp_path):
    path = tmp_path / "video.mp4"
    path.write_bytes(base64.b64decode(data))
    return read_video(path)[0]


def test_answers_with_media(predict, tmp_path):
    video = predict({**T2V, "seed": 42, "num_frames": 5, "name": "mine"}, "/environments/production/predict").json()
    assert abs(decoded(video.pop("data"), tmp_path).mean() - 42) < 2
    assert video == {"name": "mine", "model_mode": "text2video", "format": "mp4"}
    image = predict({**T2V, "model_mode": "text2image"}).json()
    assert base64.b64decode(image["data"]).startswith(b"\xff\xd8\xff")
    assert (image["format"], set(image)) == ("jpg", {"name", "model_mode", "format", "data"})


def test_answers_with_actions(predict, mp4_bytes, baseten, tmp_path):
    expected = answered_actions(7, 16, get_domain("bridge_orig_lerobot"))
    for body in (ID, POLICY):
        answer = predict({**body, "seed": 7}).json()
        (output,) = answer["sample_outputs"]["outputs"]
        assert answer["sample_outputs"]["status"] == "success"
        np.testing.assert_array_equal(np.float32(output["content"]["action"]), expected)
        if body is ID:
            assert base64.b64decode(answer["data"]) == mp4_bytes
    forward = predict({**FD, "seed": 7}).json()
    assert "sample_outputs" not in forward
    assert len(decoded(forward["data"], tmp_path)) == 17
    np.testing.assert_array_equal(baseten.model.batches[-1][0].actions.values, np.float32(ACTIONS))
    # of a video the first frame is the observation
    assert abs(int(baseten.model.batches[-1][0].frames.mean()) - 10) <= 1


def test_no_path_is_read_where_none_is_allowed(client):
    answer = client.post("/predict", json=POLICY)
    assert answer.status_code == 422
    assert "reads no paths" in answer.json()["error"]
