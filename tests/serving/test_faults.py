"""A disk that is really full, and what a process left behind that was killed between two writes."""

import sqlite3
import time
import uuid

import numpy as np
from small_disk import small_disk
from stepping_model import SteppingModel

FAL = "/fal/queue/nvidia/cosmos-3-super"
T2I = {"prompt": "A robot.", "seed": 3}


def submit(client):
    answer = client.post(f"{FAL}/text-to-image", json=T2I)
    assert answer.status_code == 200, answer.text
    return answer.json()["request_id"]


def wait_for(client, job_id, *states):
    end = time.monotonic() + 30
    while (job := client.get(f"/jobs/{job_id}").json())["state"] not in states:
        assert time.monotonic() < end, job
        time.sleep(0.02)
    return job


def fill(path):
    """Take all the space that is left."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


def test_a_disk_that_is_full(serve, tmp_path):
    """What arrives is refused with 507; what was accepted ends once, and with space there is service again."""
    model = SteppingModel()
    with small_disk(tmp_path / "disk", 2000) as disk, serve(model, data=disk / "data") as client:
        model.gate.clear()
        accepted = submit(client)
        wait_for(client, accepted, "running")
        fill(disk / "filler")
        for _ in range(3):
            refused = client.post(f"{FAL}/text-to-image", json=T2I)
            assert (refused.status_code, refused.json()["error_type"]) == (507, "storage")
            assert str(disk) not in refused.text
        model.gate.set()
        time.sleep(0.3)
        assert client.get("/v1/health/ready").status_code == 200
        (disk / "filler").unlink()
        ended = wait_for(client, accepted, "done", "failed")
        assert ended["state"] == "done" or "cannot store" in ended["error"]
        assert wait_for(client, submit(client), "done")["attempts"] == 1
        counts = client.get("/jobs").json()["counts"]
        assert (counts["queued"], counts["running"], sum(counts.values())) == (0, 0, 2)


def test_killed_between_the_answer_and_its_row(serve, tmp_path):
    """An answer that is there whole is not made again."""
    data = tmp_path / "data"
    with serve(data=data) as client:
        job_id = submit(client)
        wait_for(client, job_id, "done")
        before = client.get(f"/files/{job_id}/0.jpg").content
    with sqlite3.connect(data / "jobs.sqlite") as connection:
        connection.execute("UPDATE jobs SET state = 'running', finished = NULL")
    with serve(data=data) as client:
        assert client.get(f"/jobs/{job_id}").json()["state"] == "done"
        assert client.get(f"/files/{job_id}/0.jpg").content == before
        assert client.model.batches == []


def test_killed_in_the_midst_of_an_answer(serve, tmp_path):
    """Half an answer is none: the job is done again, whole."""
    data = tmp_path / "data"
    with serve(data=data) as client:
        job_id = submit(client)
        wait_for(client, job_id, "done")
    (data / "jobs" / job_id / "answer").rename(data / "jobs" / job_id / ".answer")
    (data / "jobs" / job_id / ".answer" / "answer.json").unlink()
    np.savez(data / "jobs" / job_id / "question.npz")  # one that has not ended has its arrays still; here are none
    with sqlite3.connect(data / "jobs.sqlite") as connection:
        connection.execute("UPDATE jobs SET state = 'running', finished = NULL")
    with serve(data=data) as client:
        assert wait_for(client, job_id, "done")["attempts"] == 2
        assert client.get(f"/files/{job_id}/0.jpg").content.startswith(b"\xff\xd8\xff")


def test_killed_between_a_question_and_its_row(serve, tmp_path):
    """What nobody was told that it is accepted leaves nothing."""
    left = tmp_path / "data" / "jobs" / str(uuid.uuid4())
    left.mkdir(parents=True)
    (left / "question.json").write_text("{")
    with serve(data=tmp_path / "data") as client:
        assert not left.exists()
        assert sum(client.get("/jobs").json()["counts"].values()) == 0
