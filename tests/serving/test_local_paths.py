"""Paths of this machine are told to nobody: neither in an error's body nor wherever a failed job says why."""

import time
import warnings
from dataclasses import replace
from urllib.parse import unquote

import pytest
from stepping_model import SteppingModel
from webhook_receiver import receiver

from cosmos_robot.errors import InvalidInputError, PromptWarning
from cosmos_robot.serving.local_paths import LocalPaths
from cosmos_robot.serving.settings import ServerSettings
from cosmos_robot.world_model import EMBEDDED

FAL = "/fal/queue/nvidia/cosmos-3-super"
PIXAZO = "/cosmos-3-super-text-to-image/v1/cosmos-3-super-text-to-image-request"
T2I = {"prompt": "A robot."}
TOLD = "<a path on the server> does not decode."


class FailingModel(SteppingModel):
    """Fails with a sentence about a file."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def generate_media(self, requests, *, progress=None):
        raise InvalidInputError(f"{self.path} does not decode.")


@pytest.fixture
def failing(serve, tmp_path):
    with (
        receiver() as taker,
        serve(FailingModel(tmp_path / "secret" / "x.mp4"), allow_urls=True, url_hosts=(taker.host,)) as client,
    ):
        yield client, taker


class NotingModel(SteppingModel):
    """Answers, and says something about a file in the answer and as a warning."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def generate_media(self, requests, *, progress=None):
        warnings.warn(f"{self.path} was looked for.", PromptWarning, stacklevel=2)
        noted = [replace(request, notes=(f"{self.path} was read.",)) for request in requests]
        return super().generate_media(noted, progress=progress)


def ended(client, job_id):
    end = time.monotonic() + 10
    while (job := client.get(f"/jobs/{job_id}").json())["state"] != "failed":
        assert time.monotonic() < end, job
        time.sleep(0.01)
    return job


def test_a_failed_job_tells_no_path(failing, tmp_path):
    client, taker = failing
    hooked = client.post(f"{FAL}/text-to-image", params={"fal_webhook": taker.url()}, json=T2I).json()
    told = client.post(PIXAZO, headers={"X-Webhook-URL": taker.url()}, json=T2I).json()["request_id"]
    video = client.post("/v1/videos", json=T2I).json()["id"]
    job = ended(client, hooked["request_id"])
    ended(client, told.rpartition("_")[2])
    shown = {
        "the job": job["error"],
        "fal's status": client.get(f"{FAL}/requests/{hooked['request_id']}/status").json()["error"],
        "Pixazo's status": client.get(f"/v2/requests/status/{told}").json()["error"],
        **{f"webhook {index}": call.json()["error"] for index, call in enumerate(taker.wait(2))},
    }
    while (found := client.get(f"/v1/videos/{video}").json())["status"] != "failed":
        time.sleep(0.01)
    shown["the video"] = found["error"]["message"]
    assert shown == dict.fromkeys(shown, TOLD)
    asked = ("/v1/infer", "/predict", "/fal/run/nvidia/cosmos-3-super/text-to-image", "/v1/videos/sync")
    bodies = [client.post(path, json=T2I) for path in asked]
    assert all(TOLD in body.text and str(tmp_path) not in body.text for body in bodies), [body.text for body in bodies]


def test_an_answer_tells_no_path(serve, tmp_path):
    said = ["<a path on the server> was read.", "<a path on the server> was looked for."]
    with serve(NotingModel(tmp_path / "secret" / "x.mp4")) as client:
        answer = client.post("/v1/infer", json=T2I)
        assert unquote(answer.headers["X-Cosmos-Robot-Notes"]) == " ".join(said)
        assert client.get(f"/jobs/{answer.headers['X-Request-Id']}").json()["notes"] == said
        job_id = client.post(f"{FAL}/text-to-image", json=T2I).json()["request_id"]
        shown = client.get(f"/jobs/{job_id}/answer", params={"wait": 10}).json()
        assert (shown["notes"], shown["items"][0]["notes"]) == (said, said[:1])


@pytest.mark.parametrize(("served", "name"), [("embedded", "embedded"), ("mine", "mine")])
def test_the_checkpoint_keeps_its_name(served, name, tmp_path):
    """As in the warning that it was not trained for a domain."""
    folder = EMBEDDED
    if served == "mine":
        folder = tmp_path / "mine"
        folder.mkdir()
    settings = ServerSettings(data=tmp_path / "data", checkpoint=served if served == "embedded" else str(folder))
    paths = LocalPaths.of(settings)
    assert paths.hide(f"checkpoint {folder} was not trained for it.") == f"checkpoint {name} was not trained for it."
    assert paths.hide(f"file {folder}/config.json is gone.") == "file <a path on the server> is gone."


def test_a_warning_names_the_checkpoint(serve):
    with serve(NotingModel(EMBEDDED)) as client:
        answer = client.post("/v1/infer", json=T2I)
        assert unquote(answer.headers["X-Cosmos-Robot-Notes"]) == "embedded was read. embedded was looked for."
