"""The core, whatever the interface: batches, cancellation, limits, keys, a free event loop, nothing local in answers."""

import concurrent.futures
import socket
import threading
import time
import tracemalloc
import uuid

import numpy as np
import pytest
from stepping_model import SteppingModel

from cosmos_robot.errors import CosmosRobotError, InvalidInputError
from cosmos_robot.interface.media_request import MediaRequest
from cosmos_robot.serving.job import Job, JobState, new_id
from cosmos_robot.serving.job_store import JobStore
from cosmos_robot.serving.media_input import MediaReader
from cosmos_robot.serving.question import Question
from cosmos_robot.serving.service import Service
from cosmos_robot.serving.settings import Batching, Limits, ServerSettings

ASKED = {"prompt": "A robot.", "num_frames": 25}


def infer(client, **more):
    return client.post("/v1/infer", json={**ASKED, **more})


@pytest.fixture
def pool():
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        yield threads


def wait_until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.01)


def held(model):
    """Whether the model is at work and waits at its gate."""
    return len(model.batches) > 0


def states(client):
    return client.get("/jobs").json()["counts"]


def test_requests_that_can_share_a_forward_pass_do(serve, pool):
    model = SteppingModel()
    model.gate.clear()
    with serve(model, batching=Batching(0.02, 8)) as client:
        first = pool.submit(infer, client, prompt="first")
        wait_until(lambda: held(model))
        alike = [pool.submit(infer, client, prompt=f"alike {seed}", seed=seed) for seed in range(5)]
        other = pool.submit(infer, client, prompt="other", resolution="256")
        wait_until(lambda: states(client)["queued"] == 6)
        model.gate.set()
        answers = [future.result().json() for future in alike]
        assert first.result().status_code == other.result().status_code == 200
        assert sorted(map(len, model.batches)) == [1, 1, 5]
        assert [answer["seed"] for answer in answers] == list(range(5))


def test_batches_are_no_larger_than_wished(serve, pool):
    model = SteppingModel()
    model.gate.clear()
    with serve(model, batching=Batching(0.0, 2)) as client:
        asked = [pool.submit(infer, client) for _ in range(5)]
        wait_until(lambda: held(model) and states(client)["queued"] + states(client)["running"] == 5)
        model.gate.set()
        assert {future.result().status_code for future in asked} == {200}
        assert max(map(len, model.batches)) == 2


def test_one_that_fails_spoils_no_other(serve, pool):
    model = SteppingModel()
    model.gate.clear()
    with serve(model) as client:
        first = pool.submit(infer, client)
        wait_until(lambda: held(model))
        asked = [pool.submit(infer, client, prompt=prompt) for prompt in ("good", "break", "good")]
        wait_until(lambda: states(client)["queued"] == 3)
        model.gate.set()
        assert [first.result().status_code, *(future.result().status_code for future in asked)] == [200, 200, 500, 200]


@pytest.mark.parametrize("prompt", ["break", "die"])
def test_a_model_that_fails_is_500_without_a_word_of_the_machine(prompt, client, caplog):
    answer = infer(client, prompt=prompt)
    assert answer.status_code == 500
    assert answer.json() == {"detail": "the server failed at this request; its log says why."}
    assert "failed" in caplog.text
    assert infer(client).status_code == 200  # and the worker goes on


def test_the_event_loop_is_free_while_something_is_generated(serve, pool):
    model = SteppingModel()
    model.gate.clear()
    with serve(model) as client:
        asked = pool.submit(infer, client)
        wait_until(lambda: held(model))
        for _ in range(5):
            assert client.get("/v1/health/live").status_code == 200
        (job,) = client.get("/jobs").json()["jobs"]
        assert job["state"] == "running"
        assert not asked.done()
        model.gate.set()
        assert asked.result().status_code == 200


def test_progress_is_seen_and_a_running_job_is_cancelled_at_its_next_step(serve, pool):
    model = SteppingModel(step=0.02)
    with serve(model) as client:
        asked = pool.submit(infer, client, steps=1000)
        wait_until(lambda: any(job["steps_done"] >= 2 for job in client.get("/jobs").json()["jobs"]))
        (job,) = client.get("/jobs").json()["jobs"]
        assert job["steps"] == 1000
        assert client.delete(f"/jobs/{job['id']}").status_code == 202
        assert asked.result(10).status_code == 499
        assert model.stopped == 1
        assert client.get(f"/jobs/{job['id']}").json()["state"] == "cancelled"
        again = client.delete(f"/jobs/{job['id']}")
        assert (again.status_code, again.json()["error"]["type"]) == (409, "conflict")


def test_a_waiting_job_is_cancelled_at_once(serve, pool):
    model = SteppingModel()
    model.gate.clear()
    with serve(model) as client:
        first = pool.submit(infer, client)
        wait_until(lambda: held(model))
        second = pool.submit(infer, client)
        wait_until(lambda: states(client)["queued"] == 1)
        waiting = next(job for job in client.get("/jobs").json()["jobs"] if job["state"] == "queued")
        client.delete(f"/jobs/{waiting['id']}")
        assert second.result(10).status_code == 499
        model.gate.set()
        assert first.result(10).status_code == 200
        assert len(model.batches) == 1


def test_a_full_queue_is_429_with_retry_after(serve, pool):
    model = SteppingModel()
    model.gate.clear()
    with serve(model, limits=Limits(queued=2, retry_after=7)) as client:
        first = pool.submit(infer, client)
        wait_until(lambda: held(model))
        waiting = [pool.submit(infer, client) for _ in range(2)]
        wait_until(lambda: states(client)["queued"] == 2)
        refused = infer(client)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "7")
        model.gate.set()
        assert {future.result().status_code for future in (first, *waiting)} == {200}


def test_a_request_that_is_too_large_is_413(serve, png):
    with serve(limits=Limits(request_bytes=1000)) as client:
        assert client.post("/v1/infer", json={"prompt": "x" * 1000}).status_code == 413

        def parts():
            for _ in range(100):
                yield b" " * 100

        headers = {"Content-Type": "application/json"}  # no length is told
        assert client.post("/v1/infer", content=parts(), headers=headers).status_code == 413
        assert client.post("/v1/infer", json=ASKED).status_code == 200
    with serve(limits=Limits(image_bytes=1000)) as client:
        assert client.post("/v1/infer", json={"image": png}).status_code == 413


def test_deep_json_and_other_content_types(serve):
    with serve(limits=Limits(json_depth=3)) as client:
        for body, status in (({"action_params": {"action": [[1]]}}, 400), ({"prompt": "A"}, 200)):
            assert client.post("/v1/infer", json=body).status_code == status
        form = client.post("/v1/infer", data={"prompt": "A"})
        assert form.status_code == 415


def test_a_video_that_is_too_long_is_413(serve, mp4):
    body = {"video": mp4, "condition_video_keep": "last"}
    with serve(limits=Limits(video_frames=20)) as client:
        assert client.post("/v1/infer", json=body).status_code == 413
    with serve(limits=Limits(video_pixels=64 * 96 * 20)) as client:
        assert client.post("/v1/infer", json=body).status_code == 413
    with serve(limits=Limits(video_pixels=64 * 96 * 21, video_frames=21)) as client:
        assert client.post("/v1/infer", json=body).status_code == 200
        np.testing.assert_allclose(client.model.batches[0][0].frames.mean(axis=(1, 2, 3)), range(170, 220, 10), atol=1)


def test_decompression_bombs_and_broken_files_are_refused(client):
    import base64
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("1", (8000, 8000)).save(buffer, format="PNG")
    for content, status in (
        (buffer.getvalue(), 413),
        (b"\x89PNG\r\n\x1a\n broken", 400),
        (b"\x00\x00\x00\x18ftypmp42 broken", 400),
        (b"#EXTM3U\nfile:///etc/passwd", 400),
        (b"ffconcat version 1.0\nfile /etc/passwd", 400),
    ):
        answer = client.post("/v1/infer", json={"input_reference": base64.b64encode(content).decode()})
        assert answer.status_code == status, answer.text
        assert "/tmp" not in answer.text
        assert "'input_reference'" in answer.text or "input_reference" in answer.text


def test_keys(serve):
    with serve(api_keys=("first", "second")) as client:
        for headers in (
            {"Authorization": "Bearer first"},
            {"Authorization": "Api-Key second"},
            {"Authorization": "Key second"},
            {"X-API-Key": "first"},
            {"Ocp-Apim-Subscription-Key": "first"},
        ):
            assert client.get("/jobs", headers=headers).status_code == 200
        for headers in ({}, {"Authorization": "Bearer firs"}, {"Authorization": "first"}, {"X-API-Key": b"third\xe9"}):
            refused = client.get("/v1/metadata", headers=headers)
            assert (refused.status_code, set(refused.json())) == (401, {"detail"})
        assert client.get("/v1/health/ready").status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.1", "::", "example.com"])
def test_others_reach_no_server_without_a_key(host, tmp_path):
    with pytest.raises(InvalidInputError, match="COSMOS_ROBOT_API_KEY"):
        ServerSettings(data=tmp_path, host=host)
    assert ServerSettings(data=tmp_path, host=host, api_keys=("key",)).host == host
    assert ServerSettings(data=tmp_path, host=host, allow_no_key=True).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_this_machine_needs_none(host, tmp_path):
    assert ServerSettings(data=tmp_path, host=host).api_keys == ()


@pytest.mark.parametrize(
    "wrong",
    [{"api_keys": ("",)}, {"api_keys": ("a b",)}, {"port": 65536}, {"public_url": "example.com"}, {"keep_hours": 0}],
)
def test_settings_that_cannot_be(wrong, tmp_path):
    with pytest.raises(InvalidInputError):
        ServerSettings(data=tmp_path, **wrong)


def test_an_unsafe_prompt_is_refused_before_anything_is_generated(serve):
    from cosmos_robot.safety.words import WordChecker

    word = next(iter(line for line in read_words() if line.isalpha()))
    assert WordChecker().name == "words"
    with serve(safety="words") as client:
        refused = infer(client, prompt=f"a {word}")
        assert refused.status_code == 400, refused.text
        assert client.model.batches == []
        assert infer(client).status_code == 200


def read_words():
    from importlib.resources import files

    text = files("cosmos_robot.safety").joinpath("words.txt").read_text()
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def test_one_folder_has_one_server(serve, tmp_path):
    with (
        serve(data=tmp_path / "one"),
        pytest.raises(InvalidInputError, match="another server"),
        serve(data=tmp_path / "one"),
    ):
        pass


def test_a_full_disk_is_507_and_the_server_goes_on(serve, monkeypatch):
    """The real one is in `test_faults.py`; here it is the writer alone that finds the disk full."""
    from cosmos_robot.serving import worker

    written = worker.write_answer

    def full(*_, **__):
        raise OSError(28, "No space left on device", "/somewhere/secret")

    with serve() as client:
        monkeypatch.setattr(worker, "write_answer", full)
        answer = infer(client)
        assert answer.status_code == 507
        assert "secret" not in answer.text
        monkeypatch.setattr(worker, "write_answer", written)
        assert infer(client).status_code == 200


def test_finished_jobs_are_forgotten_in_time(serve, tmp_path):
    with serve(data=tmp_path / "kept", keep_hours=24) as client:
        infer(client)
        assert states(client)["done"] == 1
    with serve(data=tmp_path / "kept", keep_hours=1e-9) as client:
        assert states(client)["done"] == 0
        assert list((tmp_path / "kept" / "jobs").iterdir()) == []


def test_many_at_once_are_each_answered_once(serve, pool):
    with serve() as client:
        seeds = [answer.json()["seed"] for answer in pool.map(lambda seed: infer(client, seed=seed), range(40))]
        assert seeds == list(range(40))
        assert sorted(request.seed for batch in client.model.batches for request in batch) == list(range(40))
        assert threading.active_count() < 80


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "URL as SQLAlchemy"),
        ("postgresql+pg8000://localhost/x", "cosmos-robot\\[postgres\\]"),
        ("sqlite:////nowhere/at/all.sqlite", "cannot be used"),
    ],
)
def test_a_database_that_cannot_be_used(url, said, tmp_path):
    with pytest.raises(CosmosRobotError, match=said):
        JobStore(url, queued=1, retry_after=1)


# What a request may cost


def test_a_prompt_that_is_absurdly_long_never_waits(serve):
    with serve(limits=Limits(prompt_characters=100)) as client:
        for field in ("prompt", "negative_prompt"):
            refused = infer(client, **{field: "x" * 101})
            assert refused.status_code == 400
            assert refused.json()["detail"][0]["loc"] == ["body", field]
            assert "too long: 101 characters" in refused.text
        assert sum(states(client).values()) == 0
        assert infer(client, prompt="x" * 100).status_code == 200


INVERSE = {"action_mode": "inverse_dynamics", "domain_name": "pusht", "action_chunk_size": 20}
TOO_LONG = {
    "nim": ("POST", "/v1/infer", lambda video: {
        "model_mode": "inverse_dynamics", "input_reference": video,
        "action_params": {"domain_name": "pusht", "action_chunk_size": 20}}),
    "baseten": ("POST", "/predict", lambda video: {
        "model_mode": "inverse_dynamics", "vision_path": f"data:video/mp4;base64,{video}", "domain_name": "pusht",
        "action_chunk_size": 20}),
    "videos": ("POST", "/v1/videos", lambda video: {
        "prompt": "x", "input_reference": f"data:video/mp4;base64,{video}", "extra_params": INVERSE}),
    "own": ("PUT", f"/jobs/{uuid.uuid4()}", lambda video: {
        "requests": [{"mode": "inverse_dynamics", "domain": "pusht", "frames": video, "action_chunk_size": 20}]}),
}  # fmt: skip


@pytest.mark.parametrize("interface", TOO_LONG)
def test_a_chunk_past_the_checkpoints_longest_is_refused_before_its_video_is_decoded(
    interface, serve, mp4, monkeypatch
):
    method, path, body = TOO_LONG[interface]
    monkeypatch.setattr(MediaReader, "clip", lambda *_, **__: pytest.fail("it was decoded"))
    with serve(SteppingModel(longest=16)) as client:
        refused = client.request(method, path, json=body(mp4))
        assert 400 <= refused.status_code < 500, refused.text
        assert "checkpoint embedded takes chunks of at most 16 actions; got 20." in refused.text
        assert sum(states(client).values()) == 0


def test_a_request_that_fails_leaves_no_files(serve, png, tmp_path):
    with serve(data=tmp_path / "kept") as client:
        assert infer(client, prompt="break", image=png).status_code == 500
        assert states(client)["failed"] == 1
        assert list((tmp_path / "kept" / "jobs").iterdir()) == []


def test_the_media_of_what_a_restart_ends_go_too(serve, tmp_path):
    left = Service(ServerSettings(data=tmp_path / "kept"), SteppingModel())
    question = Question((MediaRequest(mode="text2video", prompt="A robot."),))
    job = Job(new_id(), "nim", "/v1/infer", "text2video", JobState.QUEUED, True, question.batch_key, time.time())
    question.write(left.folder.make_job(job.id))
    left.store.accept(job, ())
    left.store.close()
    left.folder.close()
    with serve(data=tmp_path / "kept") as client:
        assert states(client)["failed"] == 1
        assert [path.name for path in left.folder.job(job.id).iterdir()] == ["question.json"]


@pytest.mark.parametrize(("most", "last", "shown"), [(None, False, 21), (20, False, 20), (20, True, 20)])
def test_a_video_is_held_once_while_it_is_decoded(most, last, shown, serve, mp4_bytes):
    with serve() as client:
        reader = client.app.state.service.reader()
        given = reader.sort(mp4_bytes, "video")
        reader.clip(given)
        tracemalloc.start()
        frames, _ = reader.clip(given, most=most, last=last)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert frames.shape == (shown, 64, 96, 3)
        assert peak < 1.6 * frames.nbytes
        np.testing.assert_allclose(frames[0].mean(), 20 if last else 10, atol=1)


def test_slow_addresses_hold_up_nothing_but_what_has_media(serve):
    with socket.create_server(("127.0.0.1", 0), backlog=128) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        with (
            serve(allow_urls=True, url_hosts=(host,), limits=Limits(fetch_seconds=2.0)) as client,
            concurrent.futures.ThreadPoolExecutor(60) as many,
        ):
            asked = [many.submit(infer, client, image=f"http://{host}/a.png") for _ in range(60)]
            time.sleep(0.5)
            begun = time.monotonic()
            assert client.get("/jobs").status_code == 200
            assert time.monotonic() - begun < 1.0
            assert {future.result().status_code for future in asked} == {400}


# Which safety checker ran


def test_sentences_of_the_server_end_once_and_name_every_interface(client):
    from cosmos_robot.cli.serve import serve

    files = [("input_reference", (f"{name}.png", b"x")) for name in "ab"]
    refused = client.post("/v1/videos", files=files).json()["error"]["message"]
    assert refused.endswith("Maximum number of files is 1.")
    assert all(
        name in serve.__doc__ for name in ("NIM", "OpenAI", "vLLM", "Baseten", "fal", "Pixazo", "Cosmic", "openpi")
    )
