"""Speech: texts are split where they may be, espeak-ng speaks them, the file plays; Cosmic's audio around it."""

import io
import re
import shutil

import av
import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from live_server import live_server
from stepping_model import SteppingModel

from cosmos_robot.errors import InvalidInputError, MissingDependencyError
from cosmos_robot.serving import speech
from cosmos_robot.serving.cosmic_speech import SPEAKERS
from cosmos_robot.serving.problems import RequestError
from cosmos_robot.serving.settings import ServerSettings
from cosmos_robot.serving.speech import CHUNK, Speaker, speak, split_text

AUDIO = "/v3/buckets/tests/ai/audio"
SENTENCE = "A robot waves its hand. "
BLANK = " " * CHUNK

spoken = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")


def played(content):
    """Samples in [-1, 1] and their rate, and the bits a second, of an MP3."""
    with av.open(io.BytesIO(content)) as container:
        stream = container.streams.audio[0]
        assert stream.codec_context.name.startswith("mp3")
        samples = np.concatenate([frame.to_ndarray() for frame in container.decode(stream)], axis=1)
        return samples[0], stream.rate, container.bit_rate


@given(some.text(alphabet="ab .!\n\t", max_size=300), some.integers(1, 40))
def test_nothing_is_lost_in_splitting(text, most):
    parts = split_text(text, most)
    assert "".join(parts) == text
    assert all(0 < len(part) <= most for part in parts)


def test_where_a_text_is_split():
    assert split_text("") == []
    paragraph = "word " * 600  # 3,000 characters
    assert [len(part) for part in split_text(f"{paragraph}\n\n" * 3)] == [3002] * 3
    assert [len(part) for part in split_text("short.\n\n" * 600)] == [4096, 704]
    lines = split_text(("x" * 2999 + "\n") * 3 + "last")
    assert [len(part) for part in lines] == [3000, 3000, 3004]
    sentences = split_text(SENTENCE * 400)
    assert [part.endswith(". ") for part in sentences] == [True] * 3
    assert [len(part) for part in split_text("x" * 10_000)] == [CHUNK, CHUNK, 10_000 - 2 * CHUNK]


@spoken
def test_a_file_that_plays(tmp_path):
    said = speak(SENTENCE * 2, tmp_path / "a.mp3", Speaker("f2"), bits_a_second=64_000)
    samples, rate, bits = played((tmp_path / "a.mp3").read_bytes())
    assert said.chunks == 1
    assert 2 < said.seconds < 8
    assert abs(len(samples) / rate - said.seconds) < 0.15  # MP3 is padded to whole frames
    assert 0.02 < samples.std() < 0.5
    assert 55_000 < bits < 75_000


@spoken
def test_a_long_text_is_all_of_its_parts(tmp_path, monkeypatch):
    parts = ["One robot.\n\n", "Two robots are here.\n\n", "Three."]
    alone = [speak(part, tmp_path / "a.mp3", Speaker("m3"), bits_a_second=64_000).seconds for part in parts]
    whole = split_text("".join(parts), 22)
    assert whole == parts
    monkeypatch.setattr(speech, "split_text", lambda text: split_text(text, 22))
    said = speak("".join(parts), tmp_path / "b.mp3", Speaker("m3"), bits_a_second=64_000)
    assert said.chunks == 3
    assert said.seconds == pytest.approx(sum(alone), abs=0.01)


@spoken
def test_what_is_said_decides_what_is_heard(tmp_path):
    def heard(text, **speaker):
        said = speak(text, tmp_path / "a.mp3", Speaker(**{"variant": "f2", **speaker}), bits_a_second=64_000)
        return said.seconds, (tmp_path / "a.mp3").read_bytes()

    plain = heard(SENTENCE)
    assert heard(SENTENCE) == plain
    assert heard("Nine cups fall off.")[1] != plain[1]
    assert heard(SENTENCE, words_a_minute=300)[0] < 0.7 * plain[0]
    # neither an option, nor markup, nor phonemes
    for text in ("--help me", "<speak>one</speak>", "[[wVn]]", "a\x00b", "\U0001f916 robot", "-f /etc/hostname"):
        assert heard(text)[0] > 0.2, text


@spoken
@pytest.mark.parametrize("text", [" ", "\n\n\t"])
def test_nothing_to_say(text, tmp_path):
    with pytest.raises(InvalidInputError, match="nothing that can be spoken"):
        speak(text, tmp_path / "a.mp3", Speaker("f2"), bits_a_second=64_000)


@spoken
def test_nobody_listens_any_more(tmp_path):
    asked = []
    with pytest.raises(RequestError, match="went away"):
        speak(
            f"One.{BLANK}Two.{BLANK}Three.",
            tmp_path / "a.mp3",
            Speaker("f2"),
            bits_a_second=64_000,
            wanted=lambda: bool(asked.append(1)) or len(asked) < 2,
        )
    assert len(asked) == 2


def test_without_espeak_the_answer_says_what_to_install(client, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependencyError, match="apt-get install espeak-ng"):
        speak("x", tmp_path / "a.mp3", Speaker("f2"), bits_a_second=64_000)
    answer = client.post(AUDIO, json={"prompt": "A robot."})
    assert (answer.status_code, answer.json()["status"]) == (503, 503)
    assert "apt-get install espeak-ng" in answer.json()["message"]


# Cosmic's audio


@spoken
@pytest.mark.parametrize(
    ("model", "price", "bits"), [(None, 3_600, 64_000), ("tts-1", 3_600, 64_000), ("tts-1-hd", 7_200, 128_000)]
)
def test_audio_as_it_is_asked(model, price, bits, client):
    body = {
        "prompt": "Welcome to our podcast. Today we explore robots.",
        "folder": "podcasts",
        "metadata": {"episode": 42},
    }
    answer = client.post(AUDIO, json=body if model is None else {**body, "model": model})
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert (set(shown), shown["model"]) == ({"media", "usage", "model"}, "espeak-ng")
    assert shown["usage"] == {"input_tokens": 12, "output_tokens": price, "total_tokens": price + 12}
    media = shown["media"]
    assert re.fullmatch(r"tts-[0-9a-f-]{36}\.mp3", media["name"])
    assert (media["type"], media["folder"], media["alt_text"]) == ("audio/mpeg", "podcasts", body["prompt"])
    assert media["metadata"] == {
        "episode": 42, "prompt": body["prompt"], "model": "espeak-ng", "voice": "nova", "duration_estimate": "1 min",
        "char_count": 48, "chunk_count": 1,
    }  # fmt: skip
    file = client.get(media["url"])
    assert (file.headers["content-type"], len(file.content)) == ("audio/mpeg", media["size"])
    assert abs(played(file.content)[2] / bits - 1) < 0.2


@spoken
def test_every_voice_is_another(client):
    heard = {}
    for voice in SPEAKERS:
        media = client.post(AUDIO, json={"prompt": "Hello.", "voice": voice}).json()["media"]
        assert media["metadata"]["voice"] == voice
        heard[voice] = client.get(media["url"]).content
    assert len(set(heard.values())) == len(SPEAKERS) == 9


@spoken
def test_a_text_of_more_than_one_chunk(client):
    prompt = f"One.{BLANK}\n\nTwo."
    media = client.post(AUDIO, json={"prompt": prompt, "voice": "sage"}).json()
    told = media["media"]["metadata"]
    assert (told["char_count"], told["chunk_count"]) == (len(prompt), 2)
    assert told["prompt"] == media["media"]["alt_text"] == prompt[:200] + "..."
    assert media["usage"]["output_tokens"] == 3_600 * 5
    blank = client.post(AUDIO, json={"prompt": "  "})
    assert (blank.status_code, "nothing that can be spoken" in blank.json()["message"]) == (400, True)


@spoken
@pytest.mark.slow
def test_a_client_that_goes_away_ends_its_speech(tmp_path):
    data = tmp_path / "data"
    with live_server(ServerSettings(data=data, port=0), SteppingModel()) as url:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(url + AUDIO, json={"prompt": SENTENCE * 20_000}, timeout=0.5)
        assert httpx.post(url + AUDIO, json={"prompt": "Hello."}, timeout=30).status_code == 200
    # the server is down, so nothing is on its way any more
    assert len(list((data / "media").iterdir())) == 1
