"""The same server on a real PostgreSQL; skipped where there is none."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from server_process import server
from webhook_receiver import receiver

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("initdb") is None, reason="PostgreSQL is not installed"),
]


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@contextmanager
def postgres(folder):
    """A cluster of one's own, run by a user other than root, as PostgreSQL demands."""
    user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"] if os.geteuid() == 0 else []
    if user:
        os.chown(folder, 65534, 65534)
    port, cluster = free_port(), folder / "cluster"
    subprocess.run(
        [*user, "initdb", "-D", cluster, "-U", "tester", "-A", "trust", "--no-sync"],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=folder,
    )
    process = subprocess.Popen(
        [*user, "postgres", "-D", cluster, "-p", str(port), "-k", folder, "-c", "listen_addresses=127.0.0.1"],
        stderr=(folder / "log").open("w"),
        cwd=folder,
    )
    try:
        url = f"postgresql+psycopg://tester@127.0.0.1:{port}/postgres"
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        time.sleep(1)
        yield url
    finally:
        process.terminate()
        process.wait()


def test_a_killed_server_on_postgres_goes_on(tmp_path):
    pytest.importorskip("psycopg")
    # A folder of its own under /tmp: other users may not enter pytest's.
    with tempfile.TemporaryDirectory() as folder, postgres(Path(folder)) as url, receiver() as taker:
        data = tmp_path / "data"
        flags = ("--database", url, "--allow-urls", "--allow-host", taker.host)
        with server(data, 0.02, *flags, "--batch-size", "1") as first:
            image = {
                "prompt": "A robot.",
                "alt_text": "nul \x00 and \U0001f916",
                "folder": "kept",
                "metadata": {"a": [None]},
            }
            media = first.client.post("/v3/buckets/tests/ai/image", json=image).json()["media"]
            done = first.submit(num_inference_steps=2)
            first.wait_for(done, "done")
            running = first.submit(num_inference_steps=50)
            waiting = [first.submit(seed=5 + index, prompt="nul \x00 and \U0001f916") for index in range(3)]
            first.wait_for(running, "running")
            told = first.client.post(
                "/fal/queue/nvidia/cosmos-3-super/text-to-image",
                params={"fal_webhook": taker.url()},
                json={"prompt": "A robot.", "seed": 9},
            ).json()["request_id"]
            first.kill()
        with server(data, 0.0, *flags) as second:
            kept = second.get(f"/v3/buckets/tests/media/{media['id']}").json()["media"]
            assert (kept["alt_text"], kept["folder"], kept["metadata"]) == (
                "nul \x00 and \U0001f916",
                "kept",
                {"a": [None]},
            )
            assert len(second.get(kept["url"]).content) == media["size"]
            for job_id in (running, *waiting, told):
                second.wait_for(job_id, "done")
            (call,) = taker.wait(1)
            assert (call.json()["request_id"], call.json()["payload"]["seed"]) == (told, 9)
            jobs = second.jobs()
            assert [jobs[job_id]["attempts"] for job_id in (done, running, *waiting)] == [1, 2, 1, 1, 1]
            assert [second.result(job_id).json()["seed"] for job_id in waiting] == [5, 6, 7]
            assert second.client.put(f"/fal/queue/nvidia/cosmos-3-super/requests/{done}/cancel").status_code == 400
        assert not (data / "jobs.sqlite").exists()
