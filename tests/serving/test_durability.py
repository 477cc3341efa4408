"""Real servers that are killed, ended and started again: no accepted job is lost, doubled or left open."""

import concurrent.futures
import sqlite3
import subprocess
import sys
import time

import httpx
import pytest
from server_process import SCRIPT, server

STEPS = {"num_inference_steps": 5}
LONG = {"num_inference_steps": 50}


def rows(data):
    """State and attempts of every job, straight from the database's file."""
    with sqlite3.connect(data / "jobs.sqlite") as connection:
        return {row[0]: row[1:] for row in connection.execute("SELECT id, state, attempts FROM jobs")}


def test_killed_in_each_state_and_started_again(tmp_path):
    data = tmp_path / "data"
    with server(data, 0.02, "--batch-size", "1") as first, concurrent.futures.ThreadPoolExecutor(2) as pool:
        done = first.submit(**STEPS)
        first.wait_for(done, "done")
        before = first.result(done).json()
        picture = first.client.get(before["images"][0]["url"]).content
        cancelled = first.submit(**LONG)
        first.wait_for(cancelled, "running")
        first.client.delete(f"/jobs/{cancelled}")
        first.wait_for(cancelled, "cancelled")
        running = first.submit(**LONG)
        waiting = [first.submit(seed=10 + index, **STEPS) for index in range(3)]
        # a client that waits on its connection, whose answer nobody could fetch afterwards
        attached = pool.submit(httpx.post, f"{first.url}/v1/infer", json={"prompt": "A robot."}, timeout=30)
        first.wait_for(running, "running")
        while len(first.jobs()) < 7:
            time.sleep(0.02)
        first.kill()
        assert isinstance(attached.exception(10), httpx.TransportError)
    assert sorted(state for state, _ in rows(data).values()) == ["cancelled", "done", *["queued"] * 4, "running"]
    with server(data, 0.0) as second:
        for job_id in (running, *waiting):
            second.wait_for(job_id, "done")
        jobs = second.jobs()
        assert len(jobs) == 7
        assert [jobs[job_id]["attempts"] for job_id in (done, running, *waiting)] == [1, 2, 1, 1, 1]
        assert second.result(done).json()["seed"] == before["seed"]
        name = before["images"][0]["url"].partition("/files/")[2]
        assert second.get(f"/files/{name}").content == picture
        assert [second.result(job_id).json()["seed"] for job_id in waiting] == [10, 11, 12]
        (lost,) = [job for job in jobs.values() if job["interface"] == "nim"]
        assert (lost["state"], "started again" in lost["error"]) == ("failed", True)
        assert jobs[cancelled]["state"] == "cancelled"


@pytest.mark.slow
def test_killed_again_and_again_in_the_midst(tmp_path):
    """Whatever the moment, every accepted job ends once."""
    data, accepted = tmp_path / "data", []
    for attempt in range(2):
        with server(data, 0.005) as running:
            accepted += [running.submit(seed=6 * attempt + index, **STEPS) for index in range(6)]
            time.sleep(0.05 * attempt)
            running.kill()
    with server(data, 0.0) as last:
        for job_id in accepted:
            last.wait_for(job_id, "done")
        assert [last.result(job_id).json()["seed"] for job_id in accepted] == list(range(12))
    found = rows(data)
    assert set(found) == set(accepted)
    assert {state for state, _ in found.values()} == {"done"}


@pytest.mark.slow
def test_a_job_that_ends_the_process_is_given_up(tmp_path):
    """A job that was running when the process died three times fails; the others go on."""
    data = tmp_path / "data"
    for _ in range(3):
        with server(data, 0.05, "--batch-size", "1") as running:
            if not rows(data):
                bad = running.submit(**LONG)
            running.wait_for(bad, "running")
            running.kill()
    with server(data) as last:
        failed = last.wait_for(bad, "failed")
        assert "3 times" in failed["error"]
        good = last.submit(**STEPS)
        last.wait_for(good, "done")


@pytest.mark.slow
def test_sigterm_answers_who_waits_and_keeps_the_rest(tmp_path):
    data = tmp_path / "data"
    with server(data, 0.02, "--batch-size", "1") as first, concurrent.futures.ThreadPoolExecutor(1) as pool:
        attached = pool.submit(httpx.post, f"{first.url}/v1/infer", json={"prompt": "A", "steps": 20}, timeout=30)
        while not first.jobs():
            time.sleep(0.01)
        kept = [first.submit(**LONG) for _ in range(2)]
        first.client.close()
        first.terminate()
        assert attached.result(20).status_code == 200
        assert first.process.wait(20) in (0, -15)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{first.url}/v1/health/live")
    states = {job_id: state for job_id, (state, _) in rows(data).items()}
    assert "running" not in states.values()
    with server(data) as second:
        for job_id in kept:
            second.wait_for(job_id, "done")


@pytest.mark.slow
def test_a_client_that_goes_away_takes_its_question_back(tmp_path):
    with server(tmp_path / "data", 0.05) as running:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{running.url}/v1/infer", json={"prompt": "A", "steps": 1000}, timeout=0.3)
        (job_id,) = running.jobs()
        running.wait_for(job_id, "cancelled", seconds=5)


@pytest.mark.slow
def test_two_servers_and_a_bad_start_are_a_sentence(tmp_path):
    with server(tmp_path / "data"):
        command = [sys.executable, str(SCRIPT), "0", "--data", str(tmp_path / "data"), "--port", "0"]
        other = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
        assert (other.returncode, other.stderr.startswith("error: another server")) == (2, True)
    open_to_all = subprocess.run(
        [*command, "--host", "0.0.0.0"], check=False, capture_output=True, text=True, timeout=120
    )
    assert open_to_all.returncode == 2
    assert "--api-key" in open_to_all.stderr
    assert "Traceback" not in open_to_all.stderr


def test_what_the_environment_says(tmp_path):
    environment = {"COSMOS_ROBOT_API_KEY": "secret", "NIM_FT_CHECKPOINT": "my/own"}
    with server(tmp_path / "data", environment=environment) as running:
        assert running.get("/v1/metadata").status_code == 401
        headers = {"Authorization": "Bearer secret"}
        assert httpx.get(f"{running.url}/v1/metadata", headers=headers).json()["checkpoint"] == "my/own"


def test_the_real_fal_client(tmp_path, monkeypatch):
    fal_client = pytest.importorskip("fal_client")
    from fal_client import client as module

    monkeypatch.setenv("FAL_KEY", "secret")
    with server(tmp_path / "data", 0.02, "--api-key", "secret") as running:
        monkeypatch.setattr(module, "RUN_URL_FORMAT", f"{running.url}/fal/run/")
        monkeypatch.setattr(module, "QUEUE_URL_FORMAT", f"{running.url}/fal/queue/")
        app, updates = "nvidia/cosmos-3-super/text-to-image", []
        arguments = {"prompt": "A robot.", "seed": 3}
        assert fal_client.run(app, arguments=arguments)["seed"] == 3
        result = fal_client.subscribe(app, arguments=arguments, with_logs=True, on_queue_update=updates.append)
        assert (result["seed"], result["images"][0]["content_type"]) == (3, "image/jpeg")
        assert isinstance(updates[-1], fal_client.Completed)
        assert any("denoising step" in row["message"] for row in updates[-1].logs)
        handle = fal_client.submit(app, arguments={**arguments, "num_inference_steps": 50})
        handle.cancel()
        with pytest.raises(module.FalClientHTTPError) as refused:
            handle.get()
        assert refused.value.error_type == "cancelled"
        with pytest.raises(module.FalClientHTTPError) as wrong:
            fal_client.run(app, arguments={"prompt": ""})
        assert wrong.value.status_code == 422
