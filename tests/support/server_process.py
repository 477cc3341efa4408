"""A real server in a process of its own, to be asked, killed and started again."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx

SCRIPT = Path(__file__).parent / "serve_stepping.py"


class ServerProcess:
    """Args: the data folder, seconds of a denoising step, and flags of the command."""

    def __init__(self, data, step=0.0, *flags, environment=None):
        command = [sys.executable, str(SCRIPT), str(step), "--port", "0", "--data", str(data), *flags]
        self.log = Path(data).parent / f"{Path(data).name}.log"
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **(environment or {})}
            )
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+", line)
        if found is None:
            self.process.kill()
            raise AssertionError(f"the server did not start: {line}{self.log.read_text()}")
        self.url = found[0]
        self.client = httpx.Client(base_url=self.url, timeout=30.0)

    def get(self, path):
        return self.client.get(path)

    def jobs(self):
        return {job["id"]: job for job in self.get("/jobs").json()["jobs"]}

    def submit(self, **body):
        answer = self.client.post(
            "/fal/queue/nvidia/cosmos-3-super/text-to-image", json={"prompt": "A robot.", "seed": 1, **body}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["request_id"]

    def result(self, job_id):
        return self.get(f"/fal/queue/nvidia/cosmos-3-super/requests/{job_id}")

    def wait_for(self, job_id, *states, seconds=20.0):
        end = time.monotonic() + seconds
        while (job := self.get(f"/jobs/{job_id}").json())["state"] not in states:
            assert time.monotonic() < end, json.dumps(job)
            time.sleep(0.02)
        return job

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.client.close()

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.client.close()


@contextmanager
def server(data, step=0.0, *flags, environment=None):
    """Start one, and end it with the block."""
    process = ServerProcess(data, step, *flags, environment=environment)
    try:
        yield process
    finally:
        process.close()
