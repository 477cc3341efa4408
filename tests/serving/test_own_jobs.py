"""This server's own jobs: nothing is lost on the way, a job that is sent again is accepted once, answers wait."""

import base64
import io
import threading
import time
import uuid

import numpy as np
import pytest
from PIL import Image
from stepping_model import SteppingModel, answered_actions

from cosmos_robot.datasets.lossless_video import write_lossless_video
from cosmos_robot.datasets.video import read_video
from cosmos_robot.domains.registry import get_domain

ROWS = np.random.default_rng(0).uniform(-1, 1, (16, 2)).astype(np.float32).tolist()


def put(client, *requests, job_id=None, **more):
    job_id = job_id or str(uuid.uuid4())
    return client.put(f"/jobs/{job_id}", json={"requests": list(requests), **more}), f"/jobs/{job_id}"


def answered(client, *requests, **more):
    accepted, url = put(client, *requests, **more)
    assert accepted.status_code == 202, accepted.text
    answer = client.get(f"{url}/answer?wait=10")
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Five frames of noise without loss, and the same in base64."""
    frames = np.random.default_rng(1).integers(0, 255, (5, 32, 48, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"
    write_lossless_video(path, frames, 10)
    return frames, base64.b64encode(path.read_bytes()).decode()


def test_every_field_of_an_action_mode_arrives(client, png, frame):
    words = {
        "prompt": "go",
        "negative_prompt": "stand",
        "image_size": 480,
        "fps": 7.0,
        "view_point": "ego_view",
        "num_steps": 2,
        "guidance": 2.5,
        "shift": 3.0,
        "seed": 9,
    }
    request = {"mode": "forward_dynamics", "domain": "pusht", "frames": png, "action_chunk_size": 16, "actions": ROWS}
    (item,) = answered(client, {**request, **words})
    ((seen,),) = client.model.batches
    assert {name: getattr(seen, name) for name in words} == words
    np.testing.assert_array_equal(seen.frames, frame[None])
    np.testing.assert_array_equal(seen.actions.values, np.float32(ROWS))
    assert seen.action_space == "model"
    assert (item["fps"], item["seed"], item["media_type"]) == (7.0, 9, "video/mp4")


def test_every_field_of_the_other_modes_arrives(client, clip):
    words = {
        "prompt": "go",
        "negative_prompt": "",
        "height": 480,
        "width": 832,
        "num_frames": 9,
        "fps": 12.0,
        "enable_sound": True,
        "num_steps": 2,
        "guidance": 2.5,
        "shift": 3.0,
        "use_system_prompt": True,
        "condition_video_keep": "last",
        "seed": 9,
    }
    more = {"guidance_interval": [100.0, 900.0], "condition_frame_indexes_vision": [0]}
    answered(client, {"mode": "video2video", "frames": clip[1], **words, **more})
    ((seen,),) = client.model.batches
    assert {name: getattr(seen, name) for name in words} == words
    assert (seen.guidance_interval, seen.condition_frame_indexes_vision) == ((100.0, 900.0), (0,))
    np.testing.assert_array_equal(seen.frames, clip[0][-1:])


def test_answers_without_loss(client, clip, png, tmp_path):
    inverse = {"mode": "inverse_dynamics", "domain": "pusht", "frames": clip[1], "action_chunk_size": 4, "seed": 3}
    video, again = answered(client, inverse, {**inverse, "seed": 4}, lossless=True)
    assert [len(batch) for batch in client.model.batches] == [2]
    (tmp_path / "a.mkv").write_bytes(base64.b64decode(video["media"]))
    np.testing.assert_array_equal(read_video(tmp_path / "a.mkv")[0], clip[0])
    for item, seed in ((video, 3), (again, 4)):
        np.testing.assert_array_equal(np.float32(item["actions"]), answered_actions(seed, 4, get_domain("pusht")))
    (image,) = answered(client, {"mode": "text2image", "prompt": "a cup", "seed": 7}, lossless=True)
    with Image.open(io.BytesIO(base64.b64decode(image["media"]))) as shown:
        assert (shown.format, np.asarray(shown).min(), np.asarray(shown).max()) == ("PNG", 7, 7)
    (silent,) = answered(client, {**inverse, "mode": "policy", "frames": png, "return_frames": False})
    assert (silent["media"], silent["media_type"]) == (None, None)


def test_a_job_that_is_sent_again_is_accepted_once(serve):
    model = SteppingModel()
    request = {"mode": "text2video", "prompt": "a cup"}
    with serve(model) as client:
        job_id = str(uuid.uuid4())
        model.gate.clear()
        sent = []
        threads = [
            threading.Thread(target=lambda: sent.append(put(client, request, job_id=job_id)[0])) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {answer.status_code for answer in sent} == {202}
        url = f"/jobs/{job_id}"
        begun = time.monotonic()
        waiting = client.get(f"{url}/answer?wait=0.2")
        assert (waiting.status_code, waiting.json()["state"]) == (202, "running")
        assert time.monotonic() - begun >= 0.2
        assert client.delete(f"{url}/answer").status_code == 409
        model.gate.set()
        assert client.get(f"{url}/answer?wait=10").status_code == 200
        assert put(client, request, job_id=job_id)[0].json()["state"] == "done"
        assert len(model.batches) == 1
        assert client.get(f"{url}/answer").status_code == 200
        assert client.delete(f"{url}/answer").status_code == 204
        assert client.get(f"{url}/answer").status_code == 404
        assert client.get("/jobs").json()["counts"]["done"] == 1


ACTION = {"mode": "policy", "domain": "pusht", "action_chunk_size": 16}
REFUSED = [
    ([], "requests"),
    ([{"mode": "dance"}], "dance"),
    ([{"mode": "text2image", "prompt": "x"}, {"mode": "text2video", "prompt": "x"}], "one mode"),
    ([{"mode": "text2image"}], "prompt is empty"),
    ([{"mode": "text2image", "prompt": "x", "wish": 1}], "wish"),
    ([{"mode": "image2video", "frames": "%"}], "requests.0.frames"),
    ([{**ACTION, "frames": "PNG", "domain": "nobody"}], "unknown domain"),
    ([{**ACTION, "frames": "PNG", "domain": "../a.toml"}], "not given by a path"),
    ([{**ACTION, "frames": "PNG", "actions": ROWS}], "requests.0.actions"),
    ([{**ACTION, "frames": "PNG", "state": [1.0]}], "requests.0.state"),
    ([{**ACTION, "frames": "PNG", "domain": "droid_lerobot_joint"}], "requests.0.state"),
    ([{**ACTION, "frames": "PNG", "guidance": 0.5}], "guidance"),
    ([{**ACTION, "frames": "PNG", "fps": 1e300}], "fps"),
    ([{"mode": "text2video", "prompt": "x", "fps": 0.001}], "fps"),
    ([{**ACTION, "frames": "PNG", "mode": "forward_dynamics", "actions": ROWS[:3]}], "16 rows"),
    ([{**ACTION, "frames": "PNG", "mode": "inverse_dynamics"}], "17 frames"),
]


@pytest.mark.parametrize(("requests", "said"), REFUSED, ids=lambda value: str(value)[-40:])
def test_what_is_refused(requests, said, client, png):
    filled = [{**item, "frames": png} if item.get("frames") == "PNG" else item for item in requests]
    answer, _ = put(client, *filled)
    assert answer.status_code == 422, answer.text
    assert said in answer.json()["error"]["message"]
    assert client.model.batches == []


def test_an_id_is_a_uuid(client):
    assert put(client, {"mode": "text2image", "prompt": "x"}, job_id="mine")[0].status_code == 422
    assert client.get(f"/jobs/{uuid.uuid4()}/answer").status_code == 404


def test_a_job_that_fails_says_why(client):
    accepted, url = put(client, {"mode": "text2image", "prompt": "break"})
    assert accepted.status_code == 202
    answer = client.get(f"{url}/answer?wait=10")
    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "internal"


def test_the_media_of_a_question_go_when_its_job_ends(serve, png, tmp_path):
    model = SteppingModel()
    with serve(model, data=tmp_path / "kept") as client:
        for seed, end in enumerate(("answered", "failed", "cancelled")):
            model.gate.clear()
            prompt = "break" if end == "failed" else ""
            accepted, url = put(client, {**ACTION, "frames": png, "prompt": prompt, "seed": seed})
            numbers = tmp_path / "kept" / url.removeprefix("/") / "question.npz"
            assert (accepted.status_code, numbers.is_file()) == (202, True)
            if end == "cancelled":
                client.delete(url)
            model.gate.set()
            client.get(f"{url}/answer?wait=10")
            begun = time.monotonic()
            while numbers.exists():
                assert time.monotonic() - begun < 10, end
                time.sleep(0.01)
