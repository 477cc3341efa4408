"""OpenAI's own client, in front of a whole checkpoint with random weights: it is given what the library gives."""

import json

import openai
import pytest
from live_server import live_server

from cosmos_robot.serving.settings import ServerSettings
from cosmos_robot.world_model import load_world_model

MODEL = "nvidia/Cosmos3-Nano"
TEXT = {"type": "text", "text": "What is it?"}


@pytest.fixture(scope="module")
def reasoner(reasoner_folder):
    return load_world_model(reasoner_folder("nano"), device="cpu")


@pytest.fixture(scope="module")
def theirs(reasoner, tmp_path_factory):
    settings = ServerSettings(data=tmp_path_factory.mktemp("reasoner"), port=0, api_keys=("right",), checkpoint=MODEL)
    with live_server(settings, reasoner) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="right") as client:
        yield client


def test_openais_client_plain(theirs, reasoner):
    assert [model.id for model in theirs.models.list()] == [MODEL]
    assert theirs.models.retrieve(MODEL).owned_by == "cosmos-robot"
    for settings, same in (
        ({"temperature": 0}, {}),
        ({"temperature": 0.7, "top_p": 0.8, "seed": 3, "extra_body": {"top_k": 20}},
         {"do_sample": True, "temperature": 0.7, "top_p": 0.8, "top_k": 20, "seed": 3}),
    ):  # fmt: skip
        got = theirs.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "What is it?"}], max_tokens=16, **settings
        )
        expected = reasoner.reason("What is it?", max_new_tokens=16, **same)
        assert got.choices[0].message.content == expected.text
        assert got.choices[0].finish_reason == expected.finish_reason
        assert got.usage.completion_tokens == expected.usage.completion_tokens


def test_openais_client_streams(theirs, reasoner):
    stream = theirs.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "What is it?"}], max_tokens=16, temperature=0,
        stream=True, stream_options={"include_usage": True},
    )  # fmt: skip
    chunks = list(stream)
    expected = reasoner.reason("What is it?", max_new_tokens=16)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == expected.text
    assert chunks[-1].usage.total_tokens == expected.usage.total_tokens


def test_openais_client_shows_a_picture_and_a_video(theirs, reasoner, frame, png, mp4):
    uri = f"data:image/png;base64,{png}"

    def answered(*parts):
        chat = [{"role": "user", "content": [*parts, TEXT]}]
        got = theirs.chat.completions.create(model=MODEL, messages=chat, max_tokens=8, temperature=0)
        return got.choices[0].message.content, got.usage.prompt_tokens

    expected = reasoner.reason("What is it?", image=frame, max_new_tokens=8)
    assert answered({"type": "image_url", "image_url": {"url": uri}}) == (expected.text, expected.usage.prompt_tokens)
    assert answered({"type": "image_url", "image_url": {"url": uri}}) != answered()
    assert answered({"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{mp4}"}})[1] > answered()[1]


def test_openais_client_wants_json(theirs):
    pytest.importorskip("xgrammar")
    schema = {"type": "object", "properties": {"cups": {"type": "integer", "maximum": 99}}, "required": ["cups"]}
    got = theirs.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "How many?"}], max_tokens=64, seed=1,
        response_format={"type": "json_schema", "json_schema": {"name": "cups", "schema": schema}},
    )  # fmt: skip
    assert isinstance(json.loads(got.choices[0].message.content)["cups"], int)


def test_openais_client_is_told_what_is_wrong(theirs):
    chat = [{"role": "user", "content": "What is it?"}]
    with pytest.raises(openai.NotFoundError) as missing:
        theirs.chat.completions.create(model="gpt-4", messages=chat)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as bad:
        theirs.chat.completions.create(model=MODEL, messages=chat, temperature=3)
    assert (bad.value.param, bad.value.code) == ("temperature", "invalid_value")
    with pytest.raises(openai.AuthenticationError):
        theirs.with_options(api_key="wrong").models.list()
