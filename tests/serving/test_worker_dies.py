"""A worker that dies of a bug of its own: every job that was accepted ends once, and the server goes on."""

import concurrent.futures
import logging
import sqlite3
import time
import uuid

import httpx
import pytest
from live_server import live_server
from stepping_model import SteppingModel
from webhook_receiver import receiver

from cosmos_robot.errors import InvalidInputError
from cosmos_robot.serving.settings import Batching, ServerSettings

FAL = "/fal/{}/nvidia/cosmos-3-super/text-to-image"
PIXAZO = "/cosmos-3-super-text-to-image/v1/cosmos-3-super-text-to-image-request"
BUG = {"prompt": "bug"}
WAITING = {
    "/v1/infer": (BUG, lambda body: body["detail"]),
    "/predict": ({**BUG, "model_mode": "text2image"}, lambda body: body["error"]),
    FAL.format("run"): (BUG, lambda body: body["detail"]),
    "/v1/videos/sync": (BUG, lambda body: body["error"]["message"]),
    "/v3/buckets/robots/ai/image": (BUG, lambda body: body["message"]),
    PIXAZO: ({**BUG, "sync_mode": True}, lambda body: body["message"]),
}
"""Of each interface a path whose answer a client waits for, a body, and where in its error body the sentence is."""


class UnspeakableError(InvalidInputError):
    """What the worker dies of: whoever asks what is wrong gets another exception."""

    def __str__(self):
        raise ArithmeticError("a bug beyond the job's own error handling")


class KillingModel(SteppingModel):
    """Kills the worker at the prompt "bug"; `times` is how often."""

    def __init__(self, times):
        super().__init__()
        self.times = times

    def generate_media(self, requests, *, progress=None):
        results = super().generate_media(requests, progress=progress)
        if self.times and any(request.prompt == "bug" for request in requests):
            self.times -= len(requests) == 1  # of a batch each is tried alone at once
            raise UnspeakableError("x")
        return results


@pytest.fixture
def started(tmp_path):
    def start(model, **more):
        settings = ServerSettings(data=tmp_path / "data", port=0, batching=Batching(0.1, 8), **more)
        return live_server(settings, model)

    return start


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.005)
    return found


def ready(client):
    """What of readiness is told to NIM's and openpi's clients, and to who asks for more."""
    refused = (
        client.post("/v1/infer", json={"prompt": "another"}) if client.get("/healthz").status_code == 503 else None
    )
    return client.get("/v1/health/ready").status_code, refused


def test_who_waits_is_answered_where_the_next_worker_gets_through(started, caplog):
    with started(KillingModel(2)) as url, concurrent.futures.ThreadPoolExecutor(3) as pool:
        asked = [{"prompt": prompt, "seed": seed} for seed, prompt in enumerate(("first", "bug", "last"))]
        answers = list(pool.map(lambda body: httpx.post(f"{url}/v1/infer", json=body, timeout=30), asked))
        assert [(answer.status_code, answer.json()["seed"]) for answer in answers] == [(200, 0), (200, 1), (200, 2)]
        jobs = httpx.get(f"{url}/jobs").json()
        assert (jobs["counts"]["done"], sum(jobs["counts"].values())) == (3, 3)
        assert max(job["attempts"] for job in jobs["jobs"]) == 3
        until(lambda: httpx.get(f"{url}/v1/health/ready").status_code == 200)
    deaths = [row for row in caplog.records if "another takes over" in row.message]
    assert [type(row.exc_info[1]) for row in deaths] == [ArithmeticError] * 2
    assert {row.levelno for row in deaths} == {logging.ERROR}


def test_who_waits_is_told_in_each_interface_s_words(started):
    model = KillingModel(1_000)
    model.gate.clear()
    with (
        receiver() as taker,
        started(model, allow_urls=True, url_hosts=(taker.host,)) as url,
        httpx.Client(base_url=url, timeout=60) as client,
        concurrent.futures.ThreadPoolExecutor(len(WAITING)) as pool,
    ):
        hooked = client.post(FAL.format("queue"), params={"fal_webhook": taker.url()}, json=BUG).json()["request_id"]
        waiting = {path: pool.submit(client.post, path, json=body) for path, (body, _) in WAITING.items()}
        until(lambda: sum(client.get("/jobs").json()["counts"].values()) == len(WAITING) + 1)
        model.gate.set()
        refused = until(lambda: (found := ready(client))[0] == 503 and found[1])
        assert refused.status_code == 503
        assert "failure of its own" in refused.json()["detail"]
        assert client.get("/v1/health/live").status_code == 200
        for path, answer in waiting.items():
            body = answer.result().json()
            assert answer.result().status_code == 500, (path, body)
            assert "the server failed" in str(WAITING[path][1](body))
        (call,) = taker.wait(1)
        assert (call.json()["request_id"], call.json()["status"]) == (hooked, "ERROR")
        until(lambda: ready(client)[0] == 200)
        assert client.post("/v1/infer", json={"prompt": "good"}).status_code == 200
        counts = client.get("/jobs").json()["counts"]
        assert (counts["failed"], counts["done"], sum(counts.values())) == (len(WAITING) + 1, 1, len(WAITING) + 2)
        assert len(taker.calls) == 1


def test_a_job_that_cannot_even_be_read_stands_in_nobody_s_way(started, tmp_path):
    model = SteppingModel()
    model.gate.clear()
    with started(model) as url, httpx.Client(base_url=url, timeout=30) as client:
        ids = [str(uuid.uuid4()) for _ in range(3)]
        for index, job_id in enumerate(ids):
            body = {"requests": [{"mode": "text2image", "prompt": f"{index}", "num_steps": 1 + index}]}
            assert client.put(f"/jobs/{job_id}", json=body).status_code == 202
            until(lambda: model.batches)
        with sqlite3.connect(tmp_path / "data" / "jobs.sqlite") as connection:
            connection.execute("UPDATE jobs SET options = '{' WHERE id = ?", (ids[1],))
        model.gate.set()
        assert client.get(f"/jobs/{ids[2]}/answer", params={"wait": 20}).status_code == 200
        refused = client.get(f"/jobs/{ids[1]}/answer")
        assert (refused.status_code, refused.json()["error"]["type"]) == (500, "internal")
        with sqlite3.connect(tmp_path / "data" / "jobs.sqlite") as connection:
            states = dict(connection.execute("SELECT id, state FROM jobs"))
        assert [states[job_id] for job_id in ids] == ["done", "failed", "done"]
        assert len(model.batches) == 2
