"""What would cost too much, or lead out, is refused by every interface alike, with a 4xx in its own error body."""

import base64
import io
import json
import uuid

import pytest
from fastapi.testclient import TestClient
from PIL import Image
from talking_model import TalkingModel

from cosmos_robot.serving.app import INTERFACES, create_app
from cosmos_robot.serving.interface_style import style_of
from cosmos_robot.serving.settings import Limits, ServerSettings

FAL = "/fal/{}/nvidia/cosmos-3-super/image-to-video"
PIXAZO = "/cosmos-3-super-image-to-video/v1/cosmos-3-super-image-to-video-request"
MOST = 200_000
PROMPT = {"prompt": "A robot."}
JSON = {"Content-Type": "application/json"}


def chat(media):
    parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": media}}]
    return {"messages": [{"role": "user", "content": parts}]}


ASKED = {
    "nim": ("POST", "/v1/infer", lambda media: {**PROMPT, "image": media}),
    "baseten": ("POST", "/predict", lambda media: {**PROMPT, "model_mode": "image2video", "vision_path": media}),
    "fal": ("POST", FAL.format("run"), lambda media: {**PROMPT, "image_url": media}),
    "fal's queue": ("POST", FAL.format("queue"), lambda media: {**PROMPT, "image_url": media}),
    "pixazo": ("POST", PIXAZO, lambda media: {**PROMPT, "image_url": media}),
    "own": ("PUT", "/jobs/{}", lambda media: {"requests": [{**PROMPT, "mode": "image2video", "frames": media}]}),
    "openai": ("POST", "/v1/chat/completions", chat),
    "videos": ("POST", "/v1/videos", lambda media: {**PROMPT, "input_reference": media}),
    "cosmic": ("POST", "/v3/buckets/robots/ai/video", lambda media: {**PROMPT, "reference_images": [media]}),
}
"""Of each interface a method, a path, and a body with media in it."""


def bomb():
    """64 megapixels in a few thousand bytes."""
    packed = io.BytesIO()
    Image.new("1", (8000, 8000)).save(packed, format="PNG")
    return packed.getvalue()


def data_uri(content):
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


MEDIA = {
    "a decompression bomb": lambda: data_uri(bomb()),
    "a broken picture": lambda: data_uri(b"\x89PNG\r\n\x1a\n broken"),
    "a playlist of files": lambda: data_uri(b"#EXTM3U\nfile:///etc/passwd"),
    "malformed base64": lambda: "data:image/png;base64,@@@=",
    "a path that leads out": lambda: "../../../../../../etc/passwd",
    "an absolute path": lambda: "/etc/passwd",
    "a file's URL": lambda: "file:///etc/passwd",
    "a private address": lambda: "http://127.0.0.1:1/a.png",
}
BODIES = {
    "NaN": lambda body: body[:-1] + b', "seed": NaN}',
    "infinity": lambda body: body[:-1] + b', "seed": -Infinity}',
    "a number beyond floats": lambda body: body[:-1] + b', "seed": 1e999}',
    "a number of many digits": lambda body: body[:-1] + b', "seed": ' + b"9" * 5000 + b"}",
    "deep JSON": lambda body: body[:-1] + b', "seed": ' + b"[" * 500 + b"]" * 500 + b"}",
    "very deep JSON": lambda body: b"[" * 100_000,
    "half a surrogate pair": lambda body: body[:-1] + b', "user": "\\ud800"}',
    "no UTF-8": lambda body: b"\xff" + body,
    "JSON that ends too early": lambda body: body[:-1],
    "no JSON object": lambda body: b"[]",
    "a body that is too large": lambda body: body + b" " * MOST,
}
NAMES = {
    "files": "/files/{id}/{name}",
    "jobs": "/jobs/{name}",
    "answers": "/jobs/{name}/answer",
    "fal": "/fal/queue/nvidia/cosmos-3-super/requests/{name}/status",
    "pixazo": "/v2/requests/status/{name}",
    "videos": "/v1/videos/{name}/content",
    "models": "/v1/models/{name}",
    "media": "/v3/buckets/{name}/media",
    "a bucket's media": "/v3/buckets/robots/media/{name}",
    "media files": "/files/media/{id}/{name}",
}
LEADING_OUT = (
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "..%5c..%5cetc",
    "%2fetc%2fpasswd",
    "jobs.sqlite%00.mp4",
    "~root",
)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    settings = ServerSettings(
        data=tmp_path_factory.mktemp("limits") / "data", allow_urls=True, limits=Limits(request_bytes=MOST)
    )
    model = TalkingModel()
    app = create_app(settings, model)
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as started:
        started.model = model
        yield started


def require_refusal(answer, cause):
    """Check that an answer is a refusal in the words of the interface that gave it."""
    path = answer.request.url.path
    assert 400 <= answer.status_code < 500, (cause, answer.status_code, answer.text)
    style = style_of(path, [style for style, _, _ in INTERFACES])
    style.error.model_validate(answer.json(), strict=True)  # the models take nothing beside their fields
    assert "root:" not in answer.text


def ask(client, interface, content):
    method, path, _ = ASKED[interface]
    return client.request(method, path.format(uuid.uuid4()), content=content, headers=JSON)


@pytest.mark.parametrize("interface", ASKED)
def test_media(interface, client):
    for name, make in MEDIA.items():
        require_refusal(ask(client, interface, json.dumps(ASKED[interface][2](make()))), name)


@pytest.mark.parametrize("interface", ASKED)
def test_bodies(interface, client, png):
    whole = json.dumps(ASKED[interface][2](png)).encode()
    for name, spoil in BODIES.items():
        require_refusal(ask(client, interface, spoil(whole)), name)
    require_refusal(ask(client, interface, iter([whole, b" " * MOST])), "too large, and its length is not told")
    method, path, _ = ASKED[interface]
    require_refusal(client.request(method, path.format(uuid.uuid4()), data={"prompt": "A robot."}), "another type")


@pytest.mark.parametrize("path", NAMES.values(), ids=list(NAMES))
def test_names_that_lead_out(path, client):
    for name in LEADING_OUT:
        require_refusal(client.get(path.format(name=name, id=uuid.uuid4())), name)


def test_a_form_of_a_video(client):
    for files in (
        {"input_reference": ("../../x.png", bomb(), "image/png")},
        {"prompt": (None, "A robot."), "seed": (None, "NaN")},
        {"prompt": (None, "A robot."), "extra_params": (None, "[" * 500)},
        {"prompt": (None, "x" * MOST)},
    ):
        require_refusal(client.post("/v1/videos", files=files), str(files)[:80])


def test_nothing_of_it_was_generated_and_the_server_goes_on(client, png):
    """Whatever came before, only what fits is taken."""
    assert (client.model.batches, client.model.asked) == ([], [])
    for interface, (_, _, body) in ASKED.items():
        fitting = ask(client, interface, json.dumps(body(f"data:image/png;base64,{png}")))
        assert fitting.status_code < 300, (interface, fitting.text)
    assert client.get("/jobs").json()["counts"]["failed"] == 0
