"""One safety checker for the server and its model, asked once, and named in every answer."""

import uuid

import pytest
from stepping_model import SteppingModel
from talking_model import TalkingModel

from cosmos_robot.errors import UnsafeContentError
from cosmos_robot.serving import app, served_safety
from cosmos_robot.serving.settings import ServerSettings

ASKED = {"prompt": "A robot.", "num_frames": 25}


def infer(client, **more):
    return client.post("/v1/infer", json={**ASKED, **more})


FAL = "/fal/run/nvidia/cosmos-3-super/text-to-image"
PIXAZO = "/cosmos-3-super-text-to-image/v1/cosmos-3-super-text-to-image-request"
CHAT = {"messages": [{"role": "user", "content": "Hello?"}]}
ANSWERED = {
    "nim": ("/v1/infer", ASKED),
    "baseten": ("/predict", {**ASKED, "model_mode": "text2video"}),
    "fal": (FAL, {"prompt": "A robot."}),
    "pixazo": (PIXAZO, {"prompt": "A robot.", "sync_mode": True}),
    "videos": ("/v1/videos/sync", {"prompt": "A robot."}),
    "chat": ("/v1/chat/completions", CHAT),
    "chat's stream": ("/v1/chat/completions", {**CHAT, "stream": True}),
    "cosmic's image": ("/v3/buckets/robots/ai/image", {"prompt": "A robot."}),
    "cosmic's text": ("/v3/buckets/robots/ai/text", {"prompt": "A robot."}),
    "cosmic's stream": ("/v3/buckets/robots/ai/text", {"prompt": "A robot.", "stream": True}),
}


@pytest.mark.parametrize("safety", ["words", "off"])
def test_every_interface_says_which_safety_checker_ran(safety, serve):
    with serve(TalkingModel(), safety=safety) as client:
        for interface, (path, body) in ANSWERED.items():
            answer = client.post(path, json=body)
            assert answer.status_code == 200, (interface, answer.text)
            assert answer.headers["x-cosmos-robot-safety"] == safety, interface
        job = f"/jobs/{uuid.uuid4()}"
        client.put(job, json={"requests": [{"mode": "text2image", "prompt": "A robot."}]})
        answer = client.get(f"{job}/answer?wait=10")
        assert (answer.headers["x-cosmos-robot-safety"], answer.json()["items"][0]["safety"]) == (safety, safety)


class Counting:
    """A checker that remembers what it was asked."""

    name = "counting"

    def __init__(self):
        self.asked = []

    def check_prompt(self, prompt):
        self.asked.append(prompt)
        if "bad" in prompt:
            raise UnsafeContentError("refused.")

    def check_frames(self, frames):
        return frames


class CheckedModel(SteppingModel):
    """Asks its checker as a model on this machine does."""

    def __init__(self, safety):
        super().__init__()
        self.safety = safety

    def generate_media(self, requests, **options):
        for request in requests:
            self.safety.check_prompt(request.prompt)
        return super().generate_media(requests, **options)


def test_a_prompt_goes_through_one_checker_once(serve):
    checker = Counting()
    model = CheckedModel(served_safety.AskedOnce(checker))
    with serve(model) as client:
        assert client.app.state.service.safety is model.safety
        assert infer(client).headers["x-cosmos-robot-safety"] == "counting"
        assert checker.asked == ["A robot."]
        assert [infer(client, prompt="bad").status_code for _ in range(2)] == [400, 400]
        assert checker.asked == ["A robot.", "bad", "bad"]


@pytest.mark.parametrize("starter", ["application", "command"])
def test_a_server_builds_its_checker_once(starter, tmp_path, monkeypatch):
    built, given = [], []

    def build(choice):
        built.append(choice)
        return Counting()

    def load(*_, safety, **__):
        given.append(safety)
        return SteppingModel()

    served_safety.served_safety.cache_clear()
    monkeypatch.setattr(served_safety, "choose_safety", build)
    if starter == "application":
        monkeypatch.setattr("cosmos_robot.world_model.load_world_model", load)
        made = [app.create_app(ServerSettings(data=tmp_path, safety="guardrail"))]
    else:
        from cosmos_robot.cli.serve import serve

        made = []
        monkeypatch.setattr("cosmos_robot.cli.model_choice.ModelChoice.load", load)
        run = "cosmos_robot.serving.run_server.run_server"
        monkeypatch.setattr(run, lambda settings, model, **_: made.append(app.create_app(settings, model)))
        serve(data=tmp_path, safety="guardrail")
    assert built == ["guardrail"]
    assert made[0].state.service.safety is given[0]
    served_safety.served_safety.cache_clear()
