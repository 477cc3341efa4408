"""Every curl command of NIM's and fal's pages, and that the pages beside them have none."""

import base64
import json

import pytest
from curl_lines import api_page, curl_commands
from file_server import file_server
from live_server import live_server
from stepping_model import SteppingModel

from cosmos_robot.serving.settings import ServerSettings

FILES = {
    "https://assets.ngc.nvidia.com/products/api-catalog/cosmos/industry_01_prompt.jpg": "png",
    "https://assets.ngc.nvidia.com/products/api-catalog/cosmos/ar_result_default_robot.mp4": "mp4",
    "https://raw.githubusercontent.com/abhinavg4/cosmos-transfer2.5/main/assets_nim/low/robot_input.mp4": "mp4",
    "https://raw.githubusercontent.com/abhinavg4/cosmos-transfer2.5/main/assets_nim/low/edge/robot_edge.mp4": "mp4",
    "https://example.com/first_frame.jpg": "png",
    "https://storage.googleapis.com/falserverless/example_inputs/hunyuan_i2v.jpg": "png",
}
NIM = ["GET", "text2video", "image2video", "video2video", "edge", "text2video", "image2video"]


@pytest.fixture(scope="module")
def served(tmp_path_factory, png, mp4_bytes):
    """A server with a key, and what stands in its words for those of the pages."""
    contents = {"png": base64.b64decode(png), "mp4": mp4_bytes}
    with file_server({f"/{index}.{kind}": contents[kind] for index, kind in enumerate(FILES.values())}) as host:
        settings = ServerSettings(
            data=tmp_path_factory.mktemp("pages") / "data",
            port=0,
            api_keys=("secret",),
            allow_urls=True,
            url_hosts=(host,),
        )
        model = SteppingModel()
        with live_server(settings, model) as url:
            words = {old: f"http://{host}/{index}.{kind}" for index, (old, kind) in enumerate(FILES.items())}
            yield (
                model,
                {**words, "http://0.0.0.0:8000": url, "https://fal.run": f"{url}/fal/run", "$FAL_KEY": "secret"},
            )


def run(command, words, *more):
    text = " ".join(command.arguments)
    return command.replaced({old: new for old, new in words.items() if old in text}).run(*more)


def asked_body(command):
    (body,) = (word for word in command.arguments if word.startswith("{"))
    return json.loads(body)


def test_nim(served):
    model, words = served
    commands = curl_commands(api_page("nim.md"))
    assert len(commands) == len(NIM)
    for command, mode in zip(commands, NIM, strict=True):
        model.batches.clear()
        answer = run(command, words, "--header", "Authorization: Bearer secret")
        if mode == "GET":
            assert answer.json() == {"description": "Triton readiness check", "status": "ready"}
            continue
        body = asked_body(command)
        if mode == "edge":  # of another model, Cosmos Transfer
            assert (answer.status, model.batches) == (422, []), answer.body
            assert "edge" in str(answer.json()["detail"])
            continue
        assert answer.status == 200, (command.line, answer.body)
        ((request,),) = model.batches
        assert (request.mode, request.prompt, request.seed) == (mode, body["prompt"], body["seed"])
        upsampled = {"upsampled_prompt"} if body.get("prompt_upsampling") else set()
        assert set(answer.json()) == {"b64_video", "seed"} | upsampled
        assert base64.b64decode(answer.json()["b64_video"])[4:8] == b"ftyp"
        assert run(command, words).status == 401


def test_fal(served):
    model, words = served
    (command,) = curl_commands(api_page("fal.md"))
    model.batches.clear()
    answer = run(command, words)
    assert answer.status == 200, answer.body
    ((request,),) = model.batches
    assert (request.mode, request.prompt) == ("image2video", asked_body(command)["prompt"])
    assert answer.json()["video"]["content_type"] == "video/mp4"
    assert run(command, {**words, "$FAL_KEY": "wrong"}).status == 401


@pytest.mark.parametrize("page", ["baseten.md", "fal-queue.md", "nim-action.md"])
def test_pages_without_commands(page):
    """One that gets a command needs a test of it."""
    assert curl_commands(api_page(page)) == []
