"""/v1/videos: every documented field, its default, both ends of its range, a value outside, the error body; jobs from
their creation to their deletion; all of it again with OpenAI's own client."""

import base64
import json
import time

import numpy as np
import openai
import pytest
from live_server import live_server
from stepping_model import SteppingModel, answered_actions

from cosmos_robot.datasets.video import read_video
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.serving.settings import ServerSettings

PATH, SYNC = "/v1/videos", "/v1/videos/sync"
TEXT = {"prompt": "A robot."}
DOMAIN = "bridge_orig_lerobot"
ROWS = np.random.default_rng(3).uniform(-1, 1, (16, 10)).astype(np.float32).tolist()
FD = {"action_mode": "forward_dynamics", "domain_name": DOMAIN, "action_chunk_size": 16, "action": ROWS}
POLICY = {"action_mode": "policy", "domain_name": DOMAIN}
ID = {"action_mode": "inverse_dynamics", "domain_name": DOMAIN, "raw_action_dim": 10}


@pytest.fixture
def ask(client, png, mp4_bytes):
    """Send a body as a form or as JSON; of a form, "PNG" and "MP4" are files."""
    files = {"PNG": ("a.png", base64.b64decode(png)), "MP4": ("a.mp4", mp4_bytes)}

    def send(body, form=True, path=SYNC, client=client):
        if form:
            fields = {name: value for name, value in body.items() if value not in ("PNG", "MP4")}
            given = {name: files[value] for name, value in body.items() if value in ("PNG", "MP4")}
            texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
            # every part as a file without a name is a form of several parts, also where there is no file
            return client.post(path, files={**{name: (None, text) for name, text in texts.items()}, **given})
        uris = {name: f"data:;base64,{base64.b64encode(content).decode()}" for name, (_, content) in files.items()}
        return client.post(path, json={name: uris[v] if v in ("PNG", "MP4") else v for name, v in body.items()})

    return send


FIELDS = [
    (TEXT, {"mode": "text2video", "negative_prompt": None, "num_frames": None, "fps": None, "num_steps": None}),
    (TEXT, {"guidance": None, "shift": None, "width": None, "height": None, "enable_sound": False}),
    ({**TEXT, "input_reference": "PNG"}, {"mode": "image2video"}),
    ({**TEXT, "input_reference": "MP4"},
     {"mode": "video2video", "condition_frame_indexes_vision": (0, 1), "condition_video_keep": "first"}),
    ({**TEXT, "input_reference": "MP4",
      "extra_params": {"condition_frame_indexes_vision": [2, 0], "condition_video_keep": "last"}},
     {"condition_frame_indexes_vision": (0, 2), "condition_video_keep": "last"}),
    ({**TEXT, "size": "832x480"}, {"width": 832, "height": 480}),
    ({**TEXT, "width": 832, "height": 480}, {"width": 832, "height": 480}),
    ({**TEXT, "width": 64, "height": 64, "size": "832x480"}, {"width": 832, "height": 480}),
    ({**TEXT, "extra_params": {"resolution": 480}}, {"resolution": "480", "width": None}),
    ({**TEXT, "seconds": "2"}, {"num_frames": 48, "fps": None}),
    ({**TEXT, "seconds": 2, "fps": 10}, {"num_frames": 20, "fps": 10.0}),
    ({**TEXT, "seconds": "2", "num_frames": 5}, {"num_frames": 5}),
    ({**TEXT, "fps": 1, "num_inference_steps": 1, "guidance_scale": 0, "flow_shift": 0.1, "seed": 0},
     {"fps": 1.0, "num_steps": 1, "guidance": 1.0, "shift": 0.1, "seed": 0}),
    ({**TEXT, "fps": 60, "num_inference_steps": 200, "guidance_scale": 20, "flow_shift": 100, "seed": 2**63 - 1},
     {"fps": 60.0, "num_steps": 200, "guidance": 20.0, "shift": 100.0, "seed": 2**63 - 1}),
    ({**TEXT, "extra_params": {"flow_shift": 5, "guidance_interval": [400, 1000], "use_system_prompt": False}},
     {"shift": 5.0, "guidance_interval": (400, 1000), "use_system_prompt": False}),
    ({**TEXT, "flow_shift": 7, "extra_params": {"flow_shift": 5}}, {"shift": 7.0}),
    ({**TEXT, "negative_prompt": "blur", "generate_sound": True, "user": "me", "model": "embedded"},
     {"negative_prompt": "blur", "enable_sound": True}),
    ({**TEXT, "num_outputs_per_prompt": 1, "return_stage_metrics": False}, {}),
    ({**TEXT, "input_reference": "PNG", "extra_params": FD},
     {"mode": "forward_dynamics", "action_chunk_size": 16, "num_steps": 30, "guidance": 1.0, "shift": 5.0, "fps": None}),
    ({**TEXT, "input_reference": "PNG", "num_frames": 17, "fps": 5, "num_inference_steps": 4, "flow_shift": 10,
      "guidance_scale": 3, "extra_params": {**FD, "image_size": 256, "view_point": "ego_view"}},
     {"fps": 5.0, "num_steps": 4, "shift": 10.0, "guidance": 3.0, "image_size": "256", "view_point": "ego_view"}),
    ({**TEXT, "input_reference": "PNG", "extra_params": {**FD, "action_chunk_size": None}}, {"action_chunk_size": 16}),
    ({"prompt": " ", "input_reference": "PNG", "num_frames": 9, "extra_params": POLICY}, {"action_chunk_size": 8}),
    ({**TEXT, "input_reference": "PNG", "num_frames": 8, "extra_params": {**POLICY, "action_chunk_size": 8}},
     {"mode": "policy", "action_chunk_size": 8}),
    ({**TEXT, "input_reference": "MP4", "extra_params": POLICY}, {"mode": "policy"}),
    ({**TEXT, "input_reference": "PNG", "extra_params": {"action_mode": "policy", "domain_id": 4, "action_fps": 10}},
     {"fps": 10.0}),
    ({**TEXT, "input_reference": "MP4", "extra_params": {**ID, "domain_id": 7}}, {"mode": "inverse_dynamics"}),
]  # fmt: skip


@pytest.mark.parametrize("form", [True, False], ids=["form", "json"])
@pytest.mark.parametrize(("body", "expected"), FIELDS, ids=lambda value: str(value)[:60])
def test_every_field_reaches_the_model(body, expected, form, ask, client):
    answer = ask(body, form)
    assert answer.status_code == 200, answer.text
    assert answer.content[4:8] == b"ftyp"
    ((request,),) = client.model.batches
    assert {name: getattr(request, name) for name in expected} == expected


def test_references_by_their_names(client, png, mp4):
    for body, mode in (
        ({"input_reference": {"image_url": png}}, "image2video"),
        ({"image_reference": {"image_url": png}}, "image2video"),
        ({"video_reference": {"video_url": mp4}}, "video2video"),
    ):
        client.model.batches.clear()
        assert client.post(SYNC, json={**TEXT, **body}).status_code == 200
        assert client.model.batches[0][0].mode == mode
    files = {"prompt": (None, "A robot."), "input_reference[image_url]": (None, png)}
    assert client.post(SYNC, files=files).status_code == 200
    files = {"prompt": (None, "A robot."), "video_reference": (None, json.dumps({"video_url": mp4}))}
    assert client.post(SYNC, files=files).status_code == 200


EXTRA = "extra_params."
REFUSED = [
    ({"user": "me"}, "prompt", "invalid_value"),
    ({"prompt": ""}, None, "invalid_value"),
    ({**TEXT, "promt": "x"}, "promt", "unknown_parameter"),
    ({**TEXT, "model": "sora-2"}, "model", "model_not_found"),
    ({**TEXT, "seconds": "0"}, "seconds", "invalid_value"),
    ({**TEXT, "size": "832*480"}, "size", "invalid_value"),
    ({**TEXT, "size": "0x480"}, "size", "invalid_value"),
    ({**TEXT, "width": 0, "height": 1}, "width", "invalid_value"),
    ({**TEXT, "width": 64}, None, "invalid_value"),
    ({**TEXT, "num_frames": 0}, "num_frames", "invalid_value"),
    ({**TEXT, "num_frames": 10_002}, "num_frames", "invalid_value"),
    ({**TEXT, "fps": 0}, "fps", "invalid_value"),
    ({**TEXT, "fps": 61}, "fps", "invalid_value"),
    ({**TEXT, "num_inference_steps": 0}, "num_inference_steps", "invalid_value"),
    ({**TEXT, "num_inference_steps": 201}, "num_inference_steps", "invalid_value"),
    ({**TEXT, "guidance_scale": -0.1}, "guidance_scale", "invalid_value"),
    ({**TEXT, "guidance_scale": 20.1}, "guidance_scale", "invalid_value"),
    ({**TEXT, "flow_shift": 0}, "flow_shift", "invalid_value"),
    ({**TEXT, "seed": -1}, "seed", "invalid_value"),
    ({**TEXT, "quality": "low"}, "quality", "invalid_value"),
    ({**TEXT, "lora": {"name": "x"}}, "lora", "unsupported_value"),
    ({**TEXT, "num_outputs_per_prompt": 2}, "num_outputs_per_prompt", "unsupported_value"),
    ({**TEXT, "control_type": "edge"}, "control_type", "unsupported_value"),
    ({**TEXT, "input_reference": "nonsense!"}, "input_reference", "invalid_value"),
    ({**TEXT, "input_reference": "https://example.com/a.png"}, "input_reference", "invalid_value"),
    ({**TEXT, "image_reference": {"file_id": "x"}}, "image_reference.file_id", "unknown_parameter"),
    ({**TEXT, "input_reference": "PNG", "image_reference": {"image_url": "x"}}, "input_reference", "invalid_value"),
    ({**TEXT, "extra_params": {"acton_mode": "policy"}}, EXTRA + "acton_mode", "unknown_parameter"),
    ({**TEXT, "extra_params": {"action_mode": "wam"}}, EXTRA + "action_mode", "invalid_value"),
    ({**TEXT, "extra_params": {"domain_name": DOMAIN}}, EXTRA + "domain_name", "invalid_value"),
    ({**TEXT, "extra_params": {"image_size": 512}}, EXTRA + "image_size", "invalid_value"),
    ({**TEXT, "extra_params": {"guidance_interval": [1]}}, EXTRA + "guidance_interval", "invalid_value"),
    ({**TEXT, "extra_params": POLICY}, "input_reference", "invalid_value"),
    ({**TEXT, "input_reference": "PNG", "extra_params": {"action_mode": "policy"}}, EXTRA + "domain_name", "invalid_value"),
    ({**TEXT, "input_reference": "PNG", "extra_params": {**POLICY, "domain_name": "../x.toml"}},
     EXTRA + "domain_name", "invalid_value"),
    ({**TEXT, "input_reference": "PNG", "extra_params": {"action_mode": "policy", "domain_id": 8}},
     EXTRA + "domain_id", "invalid_value"),
    ({**TEXT, "input_reference": "PNG", "extra_params": {**POLICY, "domain_id": 8}}, EXTRA + "domain_id", "invalid_value"),
    ({**TEXT, "input_reference": "PNG", "extra_params": {**POLICY, "raw_action_dim": 9}},
     EXTRA + "raw_action_dim", "invalid_value"),
    ({**TEXT, "input_reference": "PNG", "extra_params": {**POLICY, "domain_name": "droid_lerobot_joint"}},
     EXTRA + "domain_name", "unsupported_value"),
    ({**TEXT, "input_reference": "PNG", "extra_params": {**POLICY, "action_chunk_size": 5}},
     EXTRA + "action_chunk_size", "invalid_value"),
    ({**TEXT, "input_reference": "PNG", "extra_params": {**POLICY, "action": ROWS}}, EXTRA + "action", "invalid_value"),
    ({**TEXT, "input_reference": "PNG", "extra_params": {**POLICY, "view_point": "from_mars"}},
     EXTRA + "view_point", "invalid_value"),
    ({**TEXT, "input_reference": "PNG", "extra_params": {**FD, "action": None}}, EXTRA + "action", "invalid_value"),
    ({**TEXT, "input_reference": "PNG", "extra_params": {**FD, "action": ROWS[:15]}}, EXTRA + "action", "invalid_value"),
    ({**TEXT, "input_reference": "PNG", "num_frames": 20, "extra_params": FD}, "num_frames", "invalid_value"),
    ({**TEXT, "input_reference": "PNG", "seconds": "2", "extra_params": FD}, "seconds", "invalid_value"),
    ({**TEXT, "input_reference": "PNG", "generate_sound": True, "extra_params": FD}, "generate_sound", "invalid_value"),
    ({**TEXT, "input_reference": "PNG", "extra_params": {**FD, "use_system_prompt": True}},
     EXTRA + "use_system_prompt", "invalid_value"),
    ({**TEXT, "input_reference": "PNG", "extra_params": {**FD, "condition_video_keep": "last"}},
     EXTRA + "condition_video_keep", "invalid_value"),
    ({**TEXT, "input_reference": "PNG", "extra_params": ID}, "input_reference", "invalid_value"),
    ({**TEXT, "input_reference": "MP4", "extra_params": {**ID, "action_chunk_size": 24}}, "input_reference", "invalid_value"),
]  # fmt: skip


@pytest.mark.parametrize("form", [True, False], ids=["form", "json"])
@pytest.mark.parametrize(("body", "param", "code"), REFUSED, ids=lambda value: str(value)[-60:])
def test_what_is_refused_and_how(body, param, code, form, ask, client):
    answer = ask(body, form, PATH)
    assert answer.status_code == (404 if code == "model_not_found" else 400), answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    told = str(error["param"]).split(".")[: 2 if param and "." in param else 1]  # pydantic adds which of several it was
    assert (".".join(told), error["code"]) == (str(param), code)
    assert client.model.batches == []


def test_forms_that_are_none(client, png):
    picture = base64.b64decode(png)
    for files, said in (
        ([("prompt", (None, "a")), ("prompt", (None, "b"))], "more than once"),
        ([("prompt", (None, "a")), ("extra_params", (None, "{"))], "as JSON"),
        ([("prompt", (None, "a")), ("extra_params", (None, "[]"))], "extra_params"),
        ([("prompt", (None, "a")), ("source_video", ("a.mp4", picture))], "source_video"),
        ([("prompt", (None, "a")), ("thing", ("a.mp4", picture))], "thing"),
        ([("prompt", (None, "a")), ("input_reference", ("a.txt", b"words"))], "neither an image"),
        ([("prompt", (None, "a")), *[("input_reference", ("a.png", picture))] * 2], "files"),
        ([("prompt", (None, "a")), *[(f"x{n}", (None, "y")) for n in range(101)]], "fields"),
    ):
        answer = client.post(PATH, files=files)
        assert answer.status_code == 400, answer.text
        assert said in answer.json()["error"]["message"]
    broken = client.post(PATH, content=b"x", headers={"Content-Type": "multipart/form-data; boundary=y"})
    assert broken.status_code == 400
    assert client.post(PATH, content=b"x", headers={"Content-Type": "text/plain"}).status_code == 415
    assert client.model.batches == []


def completed(client, shown):
    end = time.monotonic() + 20
    while (video := client.get(f"{PATH}/{shown}").json())["status"] not in ("completed", "failed"):
        assert time.monotonic() < end
        time.sleep(0.01)
    return video


def test_a_video_from_its_creation_to_its_deletion(ask, client, tmp_path):
    created = ask({**TEXT, "seed": 42, "num_frames": 5, "size": "832x480"}, path=PATH).json()
    assert (created["object"], created["status"], created["progress"]) == ("video", "queued", 0)
    assert (created["size"], created["num_frames"], created["model"]) == ("832x480", 5, "embedded")
    assert created["id"].startswith("video_gen_")
    video = completed(client, created["id"])
    assert (video["status"], video["progress"], video["error"]) == ("completed", 100, None)
    assert (video["size"], video["num_frames"], video["fps"], video["seed"]) == ("48x32", 5, 24.0, 42)
    assert (video["prompt"], video["seconds"], video["action"]) == ("A robot.", "1", None)
    assert video["created_at"] <= video["completed_at"] <= time.time() + 1 < video["expires_at"]
    content = client.get(f"{PATH}/{created['id']}/content")
    assert (content.headers["content-type"], content.content[4:8]) == ("video/mp4", b"ftyp")
    (tmp_path / "a.mp4").write_bytes(content.content)
    frames, _ = read_video(tmp_path / "a.mp4")
    assert len(frames) == 5
    assert abs(frames.mean() - 42) < 2
    assert client.get(f"{PATH}/{created['id']}/content?variant=thumbnail").status_code == 400
    deleted = client.delete(f"{PATH}/{created['id']}")
    assert deleted.json() == {"id": created["id"], "object": "video.deleted", "deleted": True}
    for gone in (client.get(f"{PATH}/{created['id']}"), client.delete(f"{PATH}/{created['id']}")):
        assert (gone.status_code, gone.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("extra", [POLICY, ID], ids=["policy", "inverse dynamics"])
def test_actions_are_in_model_space(extra, ask, client):
    reference = "MP4" if extra is ID else "PNG"
    created = ask({**TEXT, "seed": 7, "input_reference": reference, "extra_params": extra}, path=PATH).json()
    video = completed(client, created["id"])
    domain = get_domain(DOMAIN)
    expected = answered_actions(7, domain.action_chunk_size, domain)
    np.testing.assert_array_equal(np.float32(video["action"].pop("data")), expected)
    assert video["action"] == {
        "shape": list(expected.shape), "dtype": "float32", "raw_action_dim": 10,
        "action_mode": extra["action_mode"], "domain_id": 7,
    }  # fmt: skip
    assert client.model.batches[-1][0].action_space == "model"


def test_given_actions_are_in_model_space(ask, client):
    created = ask({**TEXT, "size": "96x64", "input_reference": "PNG", "extra_params": FD}, path=PATH).json()
    video = completed(client, created["id"])
    ((request,),) = client.model.batches
    np.testing.assert_array_equal(request.actions.values, np.float32(ROWS))
    assert (request.actions.space, video["action"], video["notes"]) == ("model", None, [])
    other = ask({**TEXT, "size": "640x480", "input_reference": "PNG", "extra_params": FD}, path=PATH).json()
    assert "not looked at" in completed(client, other["id"])["notes"][0]


def test_what_is_wished_in_vain_is_noted(ask, client):
    extra = {"guardrails": True, "use_duration_template": True}
    created = ask({**TEXT, "quality": "high", "num_frames": 5, "extra_params": extra}, path=PATH).json()
    notes = " ".join(completed(client, created["id"])["notes"])
    assert all(word in notes for word in ("guardrails", "quality", "use_duration_template"))


def test_the_synchronous_form_leaves_nothing(ask, client):
    before = client.get(PATH).json()["data"]
    answer = ask({**TEXT, "num_frames": 5})
    assert (answer.headers["content-type"], answer.headers["x-model"]) == ("video/mp4", "embedded")
    assert float(answer.headers["x-inference-time-s"]) >= 0
    assert client.get(f"/jobs/{answer.headers['x-request-id']}").status_code == 404
    assert client.get(PATH).json()["data"] == before


def test_the_list(serve, ask):
    with serve() as client:
        empty = client.get(PATH).json()
        assert empty == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
        ids = [ask({**TEXT, "num_frames": 5}, path=PATH, client=client).json()["id"] for _ in range(5)]
        client.post("/predict", json={"prompt": "of another interface", "num_frames": 5})
        newest = client.get(f"{PATH}?limit=2").json()
        assert [row["id"] for row in newest["data"]] == ids[:2:-1]
        assert (newest["has_more"], newest["first_id"], newest["last_id"]) == (True, ids[4], ids[3])
        rest = client.get(f"{PATH}?limit=3&after={newest['last_id']}").json()
        assert ([row["id"] for row in rest["data"]], rest["has_more"]) == (ids[2::-1], False)
        oldest = client.get(f"{PATH}?order=asc&limit=100&after={ids[1]}").json()
        assert [row["id"] for row in oldest["data"]] == ids[2:]
        assert client.get(f"{PATH}?limit=0").json()["has_more"]
        unknown = "video_gen_" + "0" * 32
        assert client.get(f"{PATH}?after={unknown}").json()["data"] == []
        for wrong in ("limit=101", "limit=-1", "limit=x", "order=up", "after=../x", "pages=2"):
            assert client.get(f"{PATH}?{wrong}").status_code in (400, 404), wrong


def test_videos_that_do_not_come(serve, ask):
    model = SteppingModel(step=0.01)
    model.gate.clear()
    with serve(model) as client:
        running, waiting = (ask({**TEXT, "num_frames": 5}, path=PATH, client=client).json()["id"] for _ in range(2))
        while client.get(f"{PATH}/{running}").json()["status"] != "in_progress":
            time.sleep(0.01)
        early = client.get(f"{PATH}/{running}/content")
        assert (early.status_code, early.json()["error"]["type"]) == (404, "invalid_request_error")
        model.gate.set()
        for shown in (waiting, running):
            assert client.delete(f"{PATH}/{shown}").json()["deleted"]
        broken = ask({"prompt": "break"}, path=PATH, client=client).json()["id"]
        failed = completed(client, broken)
        assert (failed["status"], failed["error"]["code"]) == ("failed", "internal")
        assert "hostname" not in str(failed)
        assert client.get(f"{PATH}/{broken}/content").status_code == 500
        assert client.delete(f"{PATH}/{broken}").json()["deleted"]
    with serve() as client:
        other = client.post("/fal/queue/nvidia/cosmos-3-super/text-to-image", json=TEXT).json()["request_id"]
        assert client.get(f"{PATH}/video_gen_{other.replace('-', '')}").status_code == 404
        assert client.get(f"{PATH}/{other}").status_code == 404


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """OpenAI's client in front of a server."""
    settings = ServerSettings(data=tmp_path_factory.mktemp("live"), port=0, api_keys=("right",))
    with live_server(settings, SteppingModel()) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="right") as client:
        yield client


@pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")  # OpenAI's own service, not the interface
def test_openais_client(theirs, png, tmp_path):
    video = theirs.videos.create_and_poll(
        prompt="A robot.", size="832x480", seconds="1", poll_interval_ms=20, extra_body={"seed": 9, "fps": 12}
    )
    assert (video.status, video.object, video.progress) == ("completed", "video", 100)
    assert (video.size, video.seconds, video.error) == ("48x32", "1", None)
    theirs.videos.download_content(video.id).write_to_file(tmp_path / "a.mp4")
    frames, fps = read_video(tmp_path / "a.mp4")
    assert (len(frames), fps, round(frames.mean())) == (12, 12, 9)
    shown = theirs.videos.create_and_poll(
        prompt="Lift the cup.", input_reference=("a.png", base64.b64decode(png)), poll_interval_ms=20,
        extra_body={"seed": 3, "extra_params": json.dumps(POLICY)},
    )  # fmt: skip
    domain = get_domain(DOMAIN)
    expected = answered_actions(3, domain.action_chunk_size, domain)
    np.testing.assert_array_equal(np.float32(shown.action["data"]), expected)
    reference = {"image_reference": json.dumps({"image_url": f"data:image/png;base64,{png}"})}
    named = theirs.videos.create(prompt="A robot.", extra_body=reference)
    assert theirs.videos.poll(named.id, poll_interval_ms=20).status == "completed"
    assert [row.id for row in theirs.videos.list(limit=1)] == [named.id, shown.id, video.id]  # page by page
    assert theirs.videos.retrieve(named.id).prompt == "A robot."
    assert theirs.videos.delete(named.id).deleted
    with pytest.raises(openai.NotFoundError):
        theirs.videos.retrieve(named.id)
    failed = theirs.videos.create_and_poll(prompt="break", poll_interval_ms=20)
    assert (failed.status, failed.error.code) == ("failed", "internal")
    with pytest.raises(openai.BadRequestError) as wrong:
        theirs.videos.create(prompt="A robot.", size="big")
    assert (wrong.value.param, wrong.value.code) == ("size", "invalid_value")
