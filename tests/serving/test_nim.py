"""NIM: every documented field, its default, both ends of its range, a value outside, and the error bodies."""

import base64
import json

import numpy as np
import pytest
from stepping_model import SteppingModel, answered_actions

from cosmos_robot.datasets.video import read_video
from cosmos_robot.domains.registry import get_domain

ACTIONS = np.random.default_rng(3).uniform(-1, 1, (16, 10)).astype(np.float32).tolist()
ACTION_PARAMS = {"domain_name": "bridge_orig_lerobot", "action_chunk_size": 16}
JOINTS, GRIPPER = "observation/joint_position", "observation/gripper_position"
T2V = {"prompt": "A robot."}
T2I = {"prompt": "A robot.", "model_mode": "text2image"}
HEX = "0" * 64


@pytest.fixture
def infer(client, png, mp4):
    """Ask `/v1/infer`; "PNG" and "MP4" stand for the media."""
    words = {"PNG": png, "MP4": mp4, "PNG URI": f"data:image/png;base64,{png}"}

    def ask(body, **more):
        filled = {key: words.get(value, value) if isinstance(value, str) else value for key, value in body.items()}
        return client.post("/v1/infer", json={**filled, **more})

    ask.client = client
    return ask


def asked(infer):
    """The one request that the model was last given."""
    (request,) = infer.client.model.batches[-1]
    return request


FD = {"model_mode": "forward_dynamics", "input_reference": "PNG", "action_params": {**ACTION_PARAMS, "action": ACTIONS}}
POLICY = {"model_mode": "policy", "input_reference": "PNG", "action_params": ACTION_PARAMS}
ID = {"model_mode": "inverse_dynamics", "input_reference": "MP4", "action_params": ACTION_PARAMS}


# request, and what of it the model is asked
FIELDS = [
    (T2V, {"mode": "text2video", "seed": 0, "num_frames": None, "num_steps": None, "guidance": None, "shift": None}),
    (T2V, {"prompt": "A robot.", "negative_prompt": None, "resolution": None, "fps": None, "upsample": False}),
    ({**T2V, "negative_prompt": "blurry"}, {"negative_prompt": "blurry"}),
    ({**T2V, "negative_prompt": ""}, {"negative_prompt": ""}),
    ({**T2V, "prompt_upsampling": True}, {"upsample": True}),
    ({**T2V, "seed": 2**63 - 1}, {"seed": 2**63 - 1}),
    ({**T2V, "guidance_scale": 7.5}, {"guidance": 7.5}),
    ({**T2V, "guidance_scale": 0}, {"guidance": 1.0}),
    ({**T2V, "guidance_scale": 100}, {"guidance": 100.0}),
    ({**T2V, "steps": 1}, {"num_steps": 1}),
    ({**T2V, "num_inference_steps": 20}, {"num_steps": 20}),
    ({**T2V, "flow_shift": 0.5}, {"shift": 0.5}),
    ({**T2V, "fps": 1}, {"fps": 1.0}),
    ({**T2V, "fps": 60}, {"fps": 60.0}),
    ({**T2V, "resolution": "256"}, {"resolution": "256_16_9"}),
    ({**T2V, "resolution": "480_9_16"}, {"resolution": "480_9_16"}),
    ({**T2V, "resolution": "720_3_4", "num_frames": 25}, {"resolution": "720_3_4", "num_frames": 25}),
    ({**T2V, "resolution": "256", "num_output_frames": 397}, {"num_frames": 397}),
    ({**T2V, "resolution": "480", "num_frames": 297}, {"num_frames": 297}),
    ({**T2V, "num_frames": 197}, {"num_frames": 197}),
    (
        {**T2V, "video_params": {"height": 704, "width": 1280, "frames_count": 121, "frames_per_sec": 24}},
        {"height": 704, "width": 1280, "num_frames": 121, "fps": 24.0},
    ),
    (
        {**T2V, "video_params": {"height": 8, "width": 8, "frames_count": 397}},
        {"height": 8, "width": 8, "num_frames": 397},
    ),
    (T2I, {"mode": "text2image", "num_frames": None, "num_steps": 50, "guidance": 4.0, "shift": 3.0}),
    ({**T2I, "num_frames": 1, "resolution": "720"}, {"resolution": "720_1_1"}),
    ({**T2V, "edge": None, "transfer": None}, {"mode": "text2video"}),
    ({"image": None, "input_reference": "PNG"}, {"mode": "image2video"}),
    ({**T2V, "steps": None, "num_inference_steps": 1}, {"num_steps": 1}),
    ({"image": "PNG"}, {"mode": "image2video", "prompt": ""}),
    ({"input_reference": "PNG URI"}, {"mode": "image2video"}),
    ({"image": "PNG", "model_mode": "image2video"}, {"mode": "image2video"}),
    ({"video": "MP4"}, {"mode": "video2video", "condition_frame_indexes_vision": (0, 1)}),
    (
        {"input_reference": "MP4", "condition_frame_indexes_vision": [2, 0, 2], "condition_video_keep": "last"},
        {"condition_frame_indexes_vision": (0, 2), "condition_video_keep": "last"},
    ),
    (FD, {"mode": "forward_dynamics", "num_steps": 30, "guidance": 1.0, "fps": 10.0, "image_size": "480"}),
    (POLICY, {"mode": "policy", "action_chunk_size": 16, "action_space": "model", "shift": None}),
    (ID, {"mode": "inverse_dynamics", "actions": None, "prompt": ""}),
    ({**ID, "fps": 60, "steps": 2, "guidance_scale": 2}, {"fps": 60.0, "num_steps": 2, "guidance": 2.0}),
    ({**POLICY, "action_params": {**ACTION_PARAMS, "image_size": "704", "action_fps": 1}}, {"image_size": "704", "fps": 1.0}),
    ({**POLICY, "action_params": {**ACTION_PARAMS, "action_chunk_size": 4, "raw_action_dim": 10}}, {"action_chunk_size": 4}),
    ({**POLICY, "action_params": {**ACTION_PARAMS, "action_space": "midtrain", "history_length": 1}}, {"mode": "policy"}),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), FIELDS, ids=lambda value: str(value)[:60])
def test_every_field_reaches_the_model(body, expected, infer):
    answer = infer(body)
    assert answer.status_code == 200, answer.text
    request = asked(infer)
    assert {name: getattr(request, name) for name in expected} == expected


def params(**more):
    return {"action_params": {**ACTION_PARAMS, **more}}


# request, status, and the field that the error body names
REFUSED = [
    ({**T2V, "sede": 1}, 422, "sede"),
    ({**T2V, "video_params": {"hight": 8}}, 422, "hight"),
    ({**T2V, "seed": -1}, 400, "seed"),
    ({**T2V, "seed": 2**63}, 400, "seed"),
    ({**T2V, "seed": "4"}, 400, "seed"),
    ({**T2V, "guidance_scale": -0.1}, 400, "guidance_scale"),
    ({**T2V, "guidance_scale": 100.1}, 400, "guidance_scale"),
    ({**T2V, "steps": 0}, 400, "steps"),
    ({**T2V, "num_inference_steps": 1001}, 400, "num_inference_steps"),
    ({**T2V, "steps": 1, "num_inference_steps": 1}, 400, "give one"),
    ({**T2V, "flow_shift": 0}, 400, "flow_shift"),
    ({**T2V, "fps": 0.9}, 400, "fps"),
    ({**T2V, "fps": 60.1}, 400, "fps"),
    ({**T2V, "resolution": "1080"}, 400, "resolution"),
    ({**T2V, "resolution": "480_2_1"}, 400, "resolution"),
    ({**T2V, "num_frames": 24}, 400, "num_frames"),
    ({**T2V, "num_frames": 198}, 400, "num_frames"),
    ({**T2V, "resolution": "480", "num_frames": 298}, 400, "num_frames"),
    ({**T2V, "resolution": "256", "num_frames": 398}, 400, "num_frames"),
    ({**T2V, "video_params": {"height": 700, "width": 1280}}, 400, "height"),
    ({**T2V, "video_params": {"height": 704}}, 400, "go together"),
    ({**T2V, "video_params": {"height": 704, "width": 1280, "frames_count": 198}}, 400, "num_frames"),
    ({**T2V, "video_params": {"frames_per_sec": 61}}, 400, "frames_per_sec"),
    ({**T2V, "fps": 10, "video_params": {"frames_per_sec": 10}}, 400, "give one"),
    ({**T2I, "num_frames": 2}, 400, "num_frames"),
    ({**T2V, "model_mode": "text2sound"}, 400, "model_mode"),
    ({"prompt": " "}, 400, "prompt is empty"),
    ({**T2V, "image": "PNG", "video": "MP4"}, 400, "together"),
    ({**T2V, "image": "not base64!"}, 400, "image"),
    ({**T2V, "image": ""}, 400, "image"),
    ({**T2V, "image": "data:image/png,abc"}, 400, "image"),
    ({**T2V, "image": HEX}, 400, "image"),
    ({**T2V, "image": "https://example.com/a.png"}, 400, "--allow-urls"),
    ({**T2V, "model_mode": "text2video", "image": "PNG"}, 400, "image"),
    ({"video": "MP4", "model_mode": "image2video"}, 400, "video"),
    ({"image": "PNG", "model_mode": "video2video"}, 400, "image"),
    ({"video": "MP4", "condition_frame_indexes_vision": [9]}, 400, "shorter"),
    ({"video": "MP4", "condition_frame_indexes_vision": [-1]}, 400, "condition_frame_indexes_vision"),
    ({"video": "MP4", "condition_video_keep": "middle"}, 400, "condition_video_keep"),
    ({**T2V, "condition_video_keep": "last"}, 422, "condition_video_keep"),
    ({**T2V, "action_params": ACTION_PARAMS}, 400, "model_mode"),
    *[({"video": "MP4", control: {"control_weight": 1.0}}, 422, control) for control in ("edge", "depth", "vis", "seg")],
    ({**T2V, "transfer": {}}, 422, "not supported by this checkpoint"),
    ({**FD, "num_frames": 17}, 422, "num_frames"),
    ({**FD, "resolution": "480"}, 422, "resolution"),
    ({**ID, "condition_video_keep": "last"}, 422, "condition_video_keep"),
    ({"model_mode": "policy", "input_reference": "PNG"}, 400, "action_params"),
    ({"model_mode": "policy", **params()}, 400, "input_reference"),
    ({"model_mode": "policy", "input_reference": "MP4", **params()}, 400, "input_reference"),
    ({"model_mode": "inverse_dynamics", "input_reference": "PNG", **params()}, 400, "input_reference"),
    ({**FD, **params()}, 400, "action"),
    ({**FD, **params(action=ACTIONS[:15])}, 400, "16 rows of 10"),
    ({**FD, **params(action=[row[:9] for row in ACTIONS])}, 400, "16 rows of 10"),
    ({**FD, **params(action=[[1e39] * 10] * 16)}, 400, "too large"),
    ({**FD, **params(action=[["a"] * 10] * 16)}, 400, "action"),
    ({**FD, **params(action=ACTIONS, history_length=1)}, 422, "history_length"),
    ({**ID, **params(action=ACTIONS)}, 422, "action"),
    ({**POLICY, **params(domain_name="brigde")}, 400, "unknown domain"),
    ({**POLICY, **params(domain_name="../../etc/x.toml")}, 400, "domain_name"),
    ({**POLICY, **params(action_chunk_size=3)}, 400, "action_chunk_size"),
    ({**POLICY, **params(action_chunk_size=0)}, 400, "action_chunk_size"),
    ({**POLICY, **params(raw_action_dim=9)}, 400, "raw_action_dim"),
    ({**POLICY, **params(image_size="1080")}, 400, "image_size"),
    ({**POLICY, **params(action_fps=0)}, 400, "action_fps"),
    ({**POLICY, **params(action_fps=61)}, 400, "action_fps"),
    ({**POLICY, **params(action_space="joints")}, 400, "action_space"),
    ({**POLICY, **params(history_length=2)}, 400, "history"),
    ({**POLICY, **params(observation={"observation/joint_position": [0.0] * 6})}, 400, "observation"),
    ({**POLICY, **params(observation={JOINTS: [1e300] * 7, GRIPPER: 0.0})}, 400, f"{JOINTS}\"], \"msg\": \"a number"),
    ({**POLICY, **params(observation={JOINTS: [0.0] * 7, GRIPPER: 1e300})}, 400, f"{GRIPPER}\"], \"msg\": \"a number"),
    ({**ID, **params(action_chunk_size=24)}, 400, "video has 21"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status", "said"), REFUSED, ids=lambda value: str(value)[:60])
def test_what_is_refused_and_how(body, status, said, infer):
    answer = infer(body)
    assert answer.status_code == status, answer.text
    assert said in json.dumps(answer.json()["detail"])
    assert infer.client.model.batches == []


@pytest.mark.parametrize("body", ["{", '{"prompt": NaN}', '{"prompt": 1e999}', "[" * 10_000, '"\\ud800"', b"\xff", ""])
def test_malformed_json_is_400(client, body):
    answer = client.post("/v1/infer", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert isinstance(answer.json()["detail"], str)
    assert set(answer.json()) == {"detail"}


def test_a_field_that_is_wrong_is_named_by_its_place(infer):
    detail = infer({**T2V, "video_params": {"height": 7, "width": 8}}).json()["detail"]
    assert detail[0]["loc"] == ["body", "video_params", "height"]
    assert set(detail[0]) == {"loc", "msg", "type"}


def decoded(answer, tmp_path):
    path = tmp_path / "video.mp4"
    path.write_bytes(base64.b64decode(answer.json()["b64_video"]))
    return read_video(path)


def test_answers_of_video_and_image(infer, tmp_path):
    answer = infer({**T2V, "seed": 42, "num_frames": 25, "fps": 12})
    frames, fps = decoded(answer, tmp_path)
    assert (frames.shape, fps) == ((25, 32, 48, 3), 12.0)
    assert abs(frames.mean() - 42) < 2
    assert set(answer.json()) == {"b64_video", "seed"}
    assert answer.json()["seed"] == 42
    assert answer.headers["x-cosmos-robot-canvas"] == "48x32"
    image = infer(T2I).json()
    assert set(image) == {"b64_image", "seed"}
    assert base64.b64decode(image["b64_image"]).startswith(b"\xff\xd8\xff")  # JPEG


def test_upsampling_that_is_not_there_gives_the_prompt_back(infer):
    assert infer({**T2V, "prompt_upsampling": True}).json()["upsampled_prompt"] == "A robot."


def test_answers_of_the_action_modes(infer, tmp_path):
    bridge = get_domain("bridge_orig_lerobot")
    forward = infer({**FD, "seed": 7})
    assert forward.json()["action"] is None
    assert len(decoded(forward, tmp_path)[0]) == 17
    np.testing.assert_array_equal(asked(infer).actions.values, np.float32(ACTIONS))
    for body in (POLICY, ID):
        action = infer({**body, "seed": 7}).json()["action"]
        np.testing.assert_array_equal(np.float32(action.pop("data")), answered_actions(7, 16, bridge))
        assert action == {
            "shape": [16, 10],
            "dtype": "float32",
            "raw_action_dim": 10,
            "action_mode": body["model_mode"],
            "domain_id": 7,
        }


def test_droids_joint_policy_answers_with_actions_alone(infer):
    observation = {"observation/joint_position": [0.1] * 7, "observation/gripper_position": 0.25}
    chosen = {"domain_name": "droid_lerobot", "action_chunk_size": 32, "observation": observation, "use_state": True}
    answer = infer({**POLICY, "action_params": chosen}).json()
    request = asked(infer)
    np.testing.assert_allclose(request.state, [*[0.1] * 7, 0.75])
    assert (request.num_steps, request.guidance, request.fps) == (4, 3.0, 15.0)
    assert "b64_video" not in answer
    expected = answered_actions(0, 32, request.domain)
    expected[:, -1] = 1 - expected[:, -1]
    np.testing.assert_allclose(answer["action"]["data"], expected, atol=1e-6)


def test_a_small_checkpoint_answers_at_its_canvas_and_says_so(serve, png):
    body = {**T2V, "resolution": "720", "num_frames": 189}
    with serve(SteppingModel(native=(96, 96), longest=16, num_steps=4)) as client:
        answer = client.post("/v1/infer", json=body)
        assert answer.headers["x-cosmos-robot-canvas"] == "96x96"
        assert answer.headers["x-cosmos-robot-frames"] == "17"
        assert "17 frames" in answer.headers["x-cosmos-robot-notes"]
        client.post("/v1/infer", json=T2I)
        assert client.model.batches[-1][0].num_steps is None  # the checkpoint's own
        rows = ACTIONS * 2
        long = {**ACTION_PARAMS, "action_chunk_size": 32, "action": rows}
        chained = client.post("/v1/infer", json={**FD, "input_reference": png, "action_params": long})
        assert chained.headers["x-cosmos-robot-frames"] == "33"
        assert [batch[0].action_chunk_size for batch in client.model.batches[-2:]] == [16, 16]


@pytest.mark.parametrize(
    "more",
    [{"resolution": "720"}, {"num_frames": 25}, {"video_params": {"height": 704, "width": 1280}}],
    ids=lambda more: next(iter(more)),
)
def test_strict_refuses_what_does_not_fit(more, serve):
    with serve(SteppingModel(native=(96, 96), longest=16), strict=True) as client:
        assert client.post("/v1/infer", json={**T2V, **more}).status_code == 422
        assert client.post("/v1/infer", json=T2V).status_code == 200
        fitting = {**T2V, "video_params": {"height": 96, "width": 96}}
        assert client.post("/v1/infer", json=fitting).status_code == 200


def test_the_endpoints_around_it(serve):
    with serve(fine_tuned="my/checkpoint") as client:
        ready = client.get("/v1/health/ready")
        assert (ready.status_code, ready.json()) == (200, {"description": "Triton readiness check", "status": "ready"})
        assert client.get("/v1/health/live").json()["status"] == "live"
        assert client.get("/v1/license").json()["name"] == "Apache-2.0"
        assert client.get("/v1/metadata").json()["checkpoint"] == "my/checkpoint"
        assert len(client.get("/v1/manifest").json()["profiles"]) == 1
        assert set(client.get("/v1/version").json()) == {"release", "api", "python"}
        client.post("/v1/infer", json=T2V)
        metrics = client.get("/v1/metrics")
        assert metrics.headers["content-type"].startswith("text/plain")
        assert 'cosmos_robot_jobs{state="done"} 1.0' in metrics.text
        described = client.get("/openapi.json").json()
        body = described["paths"]["/v1/infer"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert body == {"$ref": "#/components/schemas/NimRequest"}
        assert set(T2V) < set(described["components"]["schemas"]["NimRequest"]["properties"])
        assert client.get("/v1/nothing").json() == {"detail": "Not Found."}
        assert client.get("/v1/infer").status_code == 405
