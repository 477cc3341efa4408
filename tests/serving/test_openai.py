"""OpenAI's chat completions: every documented field, its default, both ends of its range, a value outside, the error
body; streams, their ends, and clients that leave."""

import json
import threading
import time

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from live_server import live_server
from stepping_model import SteppingModel
from talking_model import PROMPT_TOKENS, TalkingModel

from cosmos_robot.interface.chat import ImagePart, VideoPart
from cosmos_robot.safety.words import default_words
from cosmos_robot.serving.app import create_app
from cosmos_robot.serving.settings import Limits, ServerSettings

PATH = "/v1/chat/completions"
CHAT = {"messages": [{"role": "user", "content": "What is it?"}]}


@pytest.fixture(scope="module")
def talking(tmp_path_factory):
    model = TalkingModel()
    app = create_app(ServerSettings(data=tmp_path_factory.mktemp("talking")), model)
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        client.model = model
        yield client


@pytest.fixture
def client(talking):
    talking.model.asked.clear()
    return talking


def said(*parts, role="user"):
    return {"messages": [{"role": role, "content": list(parts)}]}


def image(url, **more):
    return {"type": "image_url", "image_url": {"url": url, **more}}


def video(url):
    return {"type": "video_url", "video_url": {"url": url}}


TEXT = {"type": "text", "text": "What is it?"}

SAMPLING = [
    ({}, {"max_new_tokens": 1024, "do_sample": True, "temperature": 1.0, "top_p": None, "top_k": None}),
    ({}, {"repetition_penalty": 1.0, "presence_penalty": 0.0}),
    ({"temperature": None, "top_p": None, "presence_penalty": None, "repetition_penalty": None, "n": None},
     {"do_sample": True, "temperature": 1.0, "top_p": None, "repetition_penalty": 1.0, "presence_penalty": 0.0}),
    ({"temperature": 0}, {"do_sample": False}),
    ({"temperature": 1e-6}, {"do_sample": False}),
    ({"temperature": 2}, {"do_sample": True, "temperature": 2}),
    ({"top_p": 0.01}, {"top_p": 0.01}),
    ({"top_p": 1.0}, {"top_p": None}),
    ({"max_tokens": 1}, {"max_new_tokens": 1}),
    ({"max_completion_tokens": 5, "max_tokens": 9}, {"max_new_tokens": 5}),
    ({"seed": 0}, {"seed": 0}),
    ({"seed": 2**63 - 1}, {"seed": 2**63 - 1}),
    ({"presence_penalty": -2}, {"presence_penalty": -2}),
    ({"presence_penalty": 2}, {"presence_penalty": 2}),
    ({"top_k": -1}, {"top_k": None}),
    ({"top_k": 0}, {"top_k": None}),
    ({"top_k": 20}, {"top_k": 20}),
    ({"repetition_penalty": 10}, {"repetition_penalty": 10}),
    ({"n": 1, "frequency_penalty": 0, "logprobs": False, "tools": [], "logit_bias": {}}, {}),
    ({"user": "me", "metadata": {"a": "b"}, "store": False, "service_tier": "auto", "modalities": ["text"]}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), SAMPLING, ids=lambda value: str(value)[:50])
def test_every_field_of_sampling_reaches_the_reasoner(body, expected, client):
    answer = client.post(PATH, json={**CHAT, **body})
    assert answer.status_code == 200, answer.text
    (asked,) = client.model.asked
    assert {name: getattr(asked.sampling, name) for name in expected} == expected
    assert (asked.json, asked.video_fps) == (False, 2.0)


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"response_format": {"type": "text"}}, {"json": False}),
        ({"response_format": {"type": "json_object"}}, {"json": True}),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA, "strict": True}}},
         {"json": SCHEMA}),
        ({"media_io_kwargs": {"video": {"fps": 4}}}, {"video_fps": 4}),
        ({"mm_processor_kwargs": {"fps": 0.5}}, {"video_fps": 0.5}),
    ],
)  # fmt: skip
def test_every_other_field_reaches_the_reasoner(body, expected, client):
    assert client.post(PATH, json={**CHAT, **body}).status_code == 200
    (asked,) = client.model.asked
    assert {name: getattr(asked, name) for name in expected} == expected


def test_seeds_differ_where_none_is_given(client):
    for _ in range(3):
        client.post(PATH, json=CHAT)
    assert len({asked.sampling.seed for asked in client.model.asked}) == 3


REFUSED = [
    ({"messages": []}, "messages", "invalid_value"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role", "invalid_value"),
    ({"messages": [{"role": "user"}]}, "messages.0.content", "invalid_value"),
    ({"messages": [{"role": "user", "content": None}]}, "messages.0.content", "invalid_value"),
    ({"messages": [{"role": "user", "content": ""}]}, None, "invalid_value"),
    ({"messages": [{"role": "assistant", "content": "x"}]}, None, "invalid_value"),
    (said({"type": "sound", "text": "x"}), "messages.0.content.0", "invalid_value"),
    (said(TEXT, image("nonsense!")), "messages.0.content.1.image_url.url", "invalid_value"),
    (said(TEXT, image("https://example.com/a.png")), "messages.0.content.1.image_url.url", "invalid_value"),
    (said(TEXT, image("file:///etc/passwd")), "messages.0.content.1.image_url.url", "invalid_value"),
    (said(TEXT, image("")), "messages.0.content.1.image_url.url", "invalid_value"),
    (said(TEXT, image("MP4")), "messages.0.content.1.image_url.url", "invalid_value"),
    (said(TEXT, video("PNG")), "messages.0.content.1.video_url.url", "invalid_value"),
    (said(TEXT, image("PNG"), role="system"), None, "invalid_value"),
    ({**CHAT, "mesages": []}, "mesages", "unknown_parameter"),
    ({**CHAT, "temperature": -0.1}, "temperature", "invalid_value"),
    ({**CHAT, "temperature": 2.1}, "temperature", "invalid_value"),
    ({**CHAT, "temperature": "1"}, "temperature", "invalid_value"),
    ({**CHAT, "top_p": 0}, "top_p", "invalid_value"),
    ({**CHAT, "top_p": 1.1}, "top_p", "invalid_value"),
    ({**CHAT, "max_tokens": 0}, "max_tokens", "invalid_value"),
    ({**CHAT, "max_completion_tokens": 0}, "max_completion_tokens", "invalid_value"),
    ({**CHAT, "seed": -1}, "seed", "invalid_value"),
    ({**CHAT, "seed": 2**63}, "seed", "invalid_value"),
    ({**CHAT, "stop": ""}, "stop.0", "invalid_value"),
    ({**CHAT, "stop": ["a"] * 5}, "stop", "invalid_value"),
    ({**CHAT, "presence_penalty": 2.1}, "presence_penalty", "invalid_value"),
    ({**CHAT, "presence_penalty": -2.1}, "presence_penalty", "invalid_value"),
    ({**CHAT, "top_k": -2}, "top_k", "invalid_value"),
    ({**CHAT, "repetition_penalty": 0}, "repetition_penalty", "invalid_value"),
    ({**CHAT, "mm_processor_kwargs": {"fps": 0}}, "mm_processor_kwargs.fps", "invalid_value"),
    ({**CHAT, "response_format": {"type": "xml"}}, "response_format", "invalid_value"),
    ({**CHAT, "stream_options": {"include_usage": True}}, "stream_options", "invalid_value"),
    ({**CHAT, "n": 2}, "n", "unsupported_value"),
    ({**CHAT, "logprobs": True}, "logprobs", "unsupported_value"),
    ({**CHAT, "frequency_penalty": 1}, "frequency_penalty", "unsupported_value"),
    ({**CHAT, "tools": [{"type": "function"}]}, "tools", "unsupported_value"),
    ({**CHAT, "reasoning_effort": "low"}, "reasoning_effort", "unsupported_value"),
]


@pytest.mark.parametrize(("body", "param", "code"), REFUSED, ids=lambda value: str(value)[-50:])
def test_what_is_refused_and_how(body, param, code, client, png, mp4):
    text = json.dumps(body).replace('"PNG"', json.dumps(png)).replace('"MP4"', json.dumps(mp4))
    answer = client.post(PATH, content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)
    assert client.model.asked == []


def test_other_errors(client, serve):
    malformed = client.post(PATH, content="{", headers={"Content-Type": "application/json"})
    assert (malformed.status_code, malformed.json()["error"]["code"]) == (400, "malformed")
    assert client.post(PATH, content="x", headers={"Content-Type": "text/plain"}).status_code == 415
    other = client.post(PATH, json={**CHAT, "model": "gpt-4"})
    assert (other.status_code, other.json()["error"]["code"], other.json()["error"]["param"]) == (
        404, "model_not_found", "model")  # fmt: skip
    assert "embedded" in other.json()["error"]["message"]
    wrong = client.get(PATH)
    assert (wrong.status_code, wrong.json()["error"]["type"]) == (405, "invalid_request_error")
    bug = client.post(PATH, json=said({"type": "text", "text": "break at once"}))
    assert (bug.status_code, bug.json()["error"]["type"]) == (500, "server_error")
    assert "hostname" not in bug.text
    with serve(TalkingModel(), api_keys=("right",)) as keyed:
        refused = keyed.post(PATH, json=CHAT)
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
        assert keyed.post(PATH, json=CHAT, headers={"Authorization": "Bearer right"}).status_code == 200
    with serve(TalkingModel(), safety="words") as safe:
        refused = safe.post(PATH, json=said({"type": "text", "text": f"a {default_words()[0]}"}))
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "content_policy_violation")
        assert safe.model.asked == []


class Mute(SteppingModel):
    """A world model of another maker, without any call for chats."""

    answer = None


@pytest.mark.parametrize("model", [SteppingModel(), Mute()])
@pytest.mark.parametrize("stream", [False, True])
def test_a_model_without_a_reasoner_says_so(model, stream, serve):
    with serve(model) as client:
        answer = client.post(PATH, json={**CHAT, "stream": stream})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "unsupported_value"
    assert "cannot reason" in answer.json()["error"]["message"]


def test_messages_and_their_parts(client, png, mp4, frame):
    uri = f"data:image/png;base64,{png}"
    body = {
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [image(uri, detail="low"), TEXT], "name": "me"},
            {"role": "assistant", "content": "A cup.", "reasoning_content": "hm", "refusal": None},
            {"role": "user", "content": [video(f"data:video/mp4;base64,{mp4}"), {"type": "text", "text": "And it?"}]},
        ]
    }
    assert client.post(PATH, json=body).status_code == 200
    (asked,) = client.model.asked
    assert [message.role for message in asked.messages] == ["system", "user", "assistant", "user"]
    picture, words = asked.messages[1].parts
    assert isinstance(picture, ImagePart)
    np.testing.assert_array_equal(picture.frame, frame)
    assert (words, asked.messages[2].parts) == ("What is it?", ("A cup.",))
    shown = asked.messages[3].parts[0]
    assert isinstance(shown, VideoPart)
    assert (shown.frames.shape, shown.fps) == ((21, 64, 96, 3), 10)


def ask(client, text, **body):
    return client.post(PATH, json={**said({"type": "text", "text": text}), "temperature": 0, **body})


def streamed(answer):
    """The chunks of a stream, whose end is checked."""
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = [line for line in answer.text.split("\n\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def test_a_whole_answer(client):
    body = ask(client, "<think>Let me see.</think>It is a cup.").json()
    (choice,) = body["choices"]
    assert choice == {
        "index": 0,
        "message": {"role": "assistant", "content": "It is a cup.", "refusal": None,
                    "reasoning_content": "Let me see.", "reasoning": "Let me see."},
        "logprobs": None,
        "finish_reason": "stop",
    }  # fmt: skip
    tokens = -(-len("<think>Let me see.</think>It is a cup.") // 3)
    assert body["usage"] == {
        "prompt_tokens": PROMPT_TOKENS, "completion_tokens": tokens, "total_tokens": PROMPT_TOKENS + tokens,
    }  # fmt: skip
    assert (body["object"], body["model"]) == ("chat.completion", "embedded")
    assert body["id"].startswith("chatcmpl-")
    assert abs(body["created"] - time.time()) < 60
    cut = ask(client, "It is a cup.", max_tokens=2, model="embedded").json()["choices"][0]
    assert (cut["message"]["content"], cut["finish_reason"]) == ("It is ", "length")
    assert cut["message"]["reasoning_content"] is None


@pytest.mark.parametrize("usage", [False, True])
def test_a_stream(usage, client):
    options = {"stream_options": {"include_usage": True}} if usage else {}
    answer = ask(client, "<think>Let me see.</think>It is a cup.", stream=True, **options)
    chunks = streamed(answer)
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    if usage:
        last = chunks.pop()
        assert (last["choices"], last["usage"]["prompt_tokens"]) == ([], PROMPT_TOKENS)
        assert all(chunk["usage"] is None for chunk in chunks)
    else:
        assert not any("usage" in chunk for chunk in chunks)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("content", "") for delta in deltas) == "It is a cup."
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "Let me see."
    assert len(deltas) > 6, "it came in pieces"
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
    assert (reasons[-1], set(reasons[:-1])) == ("stop", {None})


@pytest.mark.parametrize(
    ("stop", "expected"),
    [
        ("END", "one two "),
        (["three", "END"], "one two "),
        (["two END", "END"], "one "),
        ("o E", "one tw"),
        ("nowhere", "one two END three"),
        ("threes", "one two END three"),  # its beginning is held back, and given in the end
        ("e", "on"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_stop_words_end_an_answer_wherever_its_pieces_are_cut(stop, expected, stream, client):
    # what stands in <think> is not looked at
    answer = ask(client, "<think>END e</think>one two END three", stop=stop, stream=stream)
    if stream:
        text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in streamed(answer))
        reason = streamed(answer)[-1]["choices"][0]["finish_reason"]
    else:
        text, reason = (answer.json()["choices"][0][key] for key in ("message", "finish_reason"))
        text = text["content"]
    assert (text, reason) == (expected, "stop")


def test_a_failure_in_a_stream_is_an_event(client):
    chunks = streamed(ask(client, "onetwoboo", stream=True))  # the third token breaks
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks[:-1]) == "onetwo"
    assert chunks[-1]["error"]["type"] == "server_error"
    assert "hostname" not in str(chunks[-1])


def test_models(client):
    listed = client.get("/v1/models").json()
    assert (listed["object"], [row["id"] for row in listed["data"]]) == ("list", ["embedded"])
    assert client.get("/v1/models/embedded").json() == listed["data"][0]
    missing = client.get("/v1/models/gpt-4")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


@pytest.fixture
def live(tmp_path):
    """A server on a real connection, whose reasoner waits at the gate; of two chats, one may wait."""
    model = TalkingModel()
    model.gate.clear()
    with live_server(ServerSettings(data=tmp_path / "live", port=0, limits=Limits(queued=2)), model) as url:
        model.url = url
        yield model
        model.gate.set()


def until(what, seconds=10.0):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_too_many_chats_are_told_to_come_later_and_nobody_waits_for_them(live):
    answers = []

    def until_taken():
        while (answer := httpx.post(live.url + PATH, json=CHAT, timeout=30)).status_code == 429:
            time.sleep(0.01)
        answers.append(answer)

    threads = [threading.Thread(target=until_taken) for _ in range(2)]
    for thread in threads:
        thread.start()

    def full():
        refused = httpx.post(live.url + PATH, json={**CHAT, "stream": True}, timeout=0.3)
        return refused.status_code == 429 and refused

    until(lambda: _in_time(full))
    refused = full()
    assert (refused.headers["retry-after"], refused.json()["error"]["code"]) == ("5", "rate_limit_exceeded")
    assert httpx.get(live.url + "/v1/health/live").status_code == 200  # the event loop goes on
    assert len(live.asked) == 1, "one chat is answered at a time"
    live.gate.set()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [200, 200]
    assert httpx.post(live.url + PATH, json=CHAT).status_code == 200


def _in_time(call):
    try:
        return call()
    except httpx.TimeoutException:
        return False


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_stops_its_chat(stream, live):
    live.step = 0.02
    live.gate.set()
    body = {**said({"type": "text", "text": "a long story" * 1000}), "stream": stream}
    with httpx.Client() as client:
        if stream:
            with client.stream("POST", live.url + PATH, json=body) as answer:
                next(answer.iter_lines())
        else:
            with pytest.raises(httpx.ReadTimeout):
                client.post(live.url + PATH, json=body, timeout=0.3)
    until(lambda: live.stopped == 1)
    assert httpx.post(live.url + PATH, json=CHAT).status_code == 200  # the next one has its turn
