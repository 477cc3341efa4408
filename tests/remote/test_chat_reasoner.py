"""A reasoner behind chat completions: what is sent, and what is made of the answer, by a real server."""

import base64
import io

import numpy as np
import pytest
from chat_service import chat_service
from live_server import live_server
from PIL import Image
from talking_model import TalkingModel

from cosmos_robot.errors import AnswerError, InvalidInputError, ServiceError
from cosmos_robot.interface.chat import ImagePart, Message, VideoPart
from cosmos_robot.interface.reason import ReasonRequest, ReasonSampling, Usage
from cosmos_robot.remote.chat_reasoner import ChatReasoner
from cosmos_robot.safety.checker import NoChecker
from cosmos_robot.serving.settings import ServerSettings
from cosmos_robot.world_model import load_world_model


@pytest.fixture(scope="module")
def service():
    with chat_service() as running:
        yield running


def ask(service, model, *parts, timeout=5.0, api_key=None, extensions=False, **request):
    reasoner = ChatReasoner(service.url, model, api_key, timeout, extensions)
    stream = reasoner.answer(ReasonRequest((Message.of("user", *(parts or ("Hello?",))),), **request))
    return stream, service.requests[-1]


def test_an_answer(service):
    stream, asked = ask(service, "polite", api_key="secret")
    assert [piece.text for piece in stream] == ["Hello."]
    assert stream.result().usage == Usage(7, 5)
    assert (stream.result().finish_reason, stream.result().thinking) == ("stop", "")
    assert asked["messages"] == [{"role": "user", "content": "Hello?"}]
    assert asked["authorization"] == "Bearer secret"
    assert (asked["max_tokens"], asked["temperature"]) == (1024, 0.0)
    assert not {"top_k", "top_p", "response_format", "presence_penalty"} & set(asked)


def test_think_parts_are_told_apart(service):
    result = ask(service, "thinks")[0].result()
    assert result.thinking == "Hm, {a cup}."
    assert result.text.startswith("```json")
    assert result.data()["audio_description"] == "a thud"


def test_what_is_said_in_parts_is_sent_in_parts(service):
    """As the checkpoint's own template reads them, with nothing between."""
    _, asked = ask(service, "polite", "One ", "thing.")
    assert asked["messages"][0]["content"] == [{"type": "text", "text": text} for text in ("One ", "thing.")]


def test_sampling_settings(service):
    sampling = ReasonSampling.advised(max_new_tokens=9, seed=4)
    _, asked = ask(service, "polite", sampling=sampling)
    sent = {name: asked[name] for name in ("temperature", "top_p", "presence_penalty", "max_tokens", "seed")}
    assert sent == {"temperature": 0.7, "top_p": 0.8, "presence_penalty": 1.5, "max_tokens": 9, "seed": 4}
    assert "top_k" not in asked
    assert ask(service, "polite", sampling=sampling, extensions=True)[1]["top_k"] == 20


@pytest.mark.parametrize(
    ("wanted", "sent"),
    [
        (True, {"type": "json_object"}),
        ({"type": "object"}, {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}),
    ],
)
def test_json(service, wanted, sent):
    assert ask(service, "polite", json=wanted)[1]["response_format"] == sent


def test_pictures_and_videos_are_sent_as_pictures(service):
    picture = np.full((32, 48, 3), 200, np.uint8)
    video = np.stack([np.full((32, 48, 3), 10 * index, np.uint8) for index in range(21)])
    _, asked = ask(service, "polite", ImagePart(picture), VideoPart(video, 10.0), "What?", video_fps=2.0)
    *pictures, text = asked["messages"][0]["content"]
    assert text == {"type": "text", "text": "What?"}
    means = []
    for part in pictures:
        data = part["image_url"]["url"].removeprefix("data:image/jpeg;base64,")
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            assert image.size == (48, 32)
            means.append(round(float(np.asarray(image).mean()), -1))
    assert means == [200, 0, 70, 130, 200]


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("error", ServiceError),
        ("busy", ServiceError),
        ("cut", ServiceError),
        ("html", AnswerError),
        ("moved", ServiceError),
        ("deep", AnswerError),
        ("endless usage", AnswerError),
        ("empty", AnswerError),
        ("mute", AnswerError),
        ("refuses", AnswerError),
        ("filtered", AnswerError),
    ],
)
def test_services_that_fail(service, model, error):
    with pytest.raises(error, match=r"\S"):
        ask(service, model)


def test_a_service_that_takes_too_long(service):
    with pytest.raises(ServiceError, match=r"within 0\.2 s"):
        ask(service, "slow", timeout=0.2)


def test_a_service_that_drips(service):
    """It is never silent for long, and never done."""
    with pytest.raises(ServiceError, match=r"within 0\.5 s"):
        ask(service, "drips", timeout=0.5)


def test_an_answer_that_is_too_long(service):
    with pytest.raises(AnswerError, match="more than 16777216 bytes"):
        ask(service, "huge", timeout=60.0)


def test_a_redirect_is_not_followed(service):
    before = len(service.requests)
    with pytest.raises(ServiceError, match="answered 307"):
        ask(service, "moved", api_key="secret")
    assert len(service.requests) == before + 1


def test_a_service_that_is_not_there():
    with pytest.raises(ServiceError, match="cannot be reached"):
        ChatReasoner("http://127.0.0.1:9/v1", "m").answer(ReasonRequest((Message.of("user", "Hello?"),)))


@pytest.mark.parametrize(
    ("url", "timeout"),
    [
        ("localhost:8000", 1.0),
        ("http://localhost", 0.0),
        ("http://localhost", float("inf")),
        ("http://localhost", "5"),
        ("http://[::1", 1.0),
        ("http://localhost:x", 1.0),
        ("http://", 1.0),
        ("http://exa..mple", 1.0),
        ("http://xn--zz", 1.0),
    ],
)
def test_settings_that_cannot_be(url, timeout):
    with pytest.raises(InvalidInputError):
        ChatReasoner(url, "m", timeout=timeout)


@pytest.mark.parametrize("key", ["secret\n", "schl\u00fcssel"])
def test_a_key_that_no_header_carries_is_not_shown(key):
    with pytest.raises(InvalidInputError, match="api_key is printable ASCII") as raised:
        ChatReasoner("http://localhost", "m", api_key=key)
    assert key.strip() not in str(raised.value)


def test_the_key_is_not_shown():
    assert "secret" not in repr(ChatReasoner("http://localhost", "m", api_key="secret"))


@pytest.mark.parametrize("safety", ["off", "words"])
def test_a_chat_with_a_server_says_which_safety_checker_ran(safety, tmp_path):
    settings = ServerSettings(data=tmp_path, port=0, safety=safety)
    with live_server(settings, TalkingModel()) as url:
        assert load_world_model(url).reason("hi").safety == safety
        assert load_world_model(url, safety=Named()).reason("hi").safety == "named"


class Named(NoChecker):
    """A checker of this side of the connection."""

    name = "named"
