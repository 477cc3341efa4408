"""Cosmic on servers of several kinds: full, careful, strict, with small checkpoints; every curl line of its page."""

import base64
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from curl_lines import api_page, curl_commands
from file_server import file_server
from live_server import live_server
from stepping_model import SteppingModel
from talking_model import TalkingModel

from cosmos_robot.safety.words import default_words
from cosmos_robot.serving.settings import Limits, ServerSettings
from cosmos_robot.world_model import load_world_model

AI = "/v3/buckets/tests/ai"
T = {"prompt": "A robot."}


@pytest.mark.parametrize("stream", [False, True])
def test_the_embedded_model_has_no_reasoner_and_says_so(serve, stream):
    with serve(load_world_model()) as client:
        answer = client.post(f"{AI}/text", json={**T, "stream": stream})
    assert answer.status_code == 400
    assert "reasoner" in answer.json()["message"]


def test_too_many_are_told_to_come_back(serve):
    model = TalkingModel()
    with serve(model, limits=Limits(queued=1, retry_after=7)) as client:
        model.gate.clear()
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(client.post, f"{AI}/text", json=T)
            end = time.monotonic() + 60
            while not model.asked:  # with sleep: a loop that only looks leaves the server's threads little of a core
                assert not waiting.done(), waiting.result().text
                assert time.monotonic() < end
                time.sleep(0.01)
            answer = client.post(f"{AI}/text", json=T)
            assert (answer.status_code, answer.json()["status"], answer.headers["retry-after"]) == (429, 429, "7")
            model.gate.set()
            assert waiting.result().status_code == 200


@pytest.mark.parametrize("path", ["text", "image", "video", "audio"])
def test_the_safety_checker_looks_at_every_prompt(path, serve):
    with serve(TalkingModel(), safety="words") as client:
        answer = client.post(f"{AI}/{path}", json={"prompt": f"I want {default_words()[0]}."})
        assert answer.status_code == 400, answer.text
        assert client.model.batches == client.model.asked == []


# Checkpoints with limits of their own


def test_a_checkpoint_with_a_canvas_of_its_own_answers_at_that_and_says_so(serve):
    model = SteppingModel(native=(96, 96), longest=16, num_steps=4)
    model.facts.fps = 10.0
    with serve(model) as client:
        plain = client.post(f"{AI}/image", json=T)
        assert (plain.headers["x-cosmos-robot-canvas"], model.batches[-1][0].width) == ("96x96", None)
        video = client.post(f"{AI}/video", json={**T, "duration": 8, "resolution": "720p"})
        request = model.batches[-1][0]
        assert (request.num_frames, request.fps, request.resolution) == (17, 10.0, 720)
        assert "17 frames" in video.headers["x-cosmos-robot-notes"]
        told = video.json()["media"]["metadata"]
        assert (told["duration"], told["resolution"]) == (1.7, "96x96")
        extended = client.post(f"{AI}/video/extend", json={**T, "media_id": video.json()["media"]["id"]})
        assert extended.json()["media"]["metadata"]["duration"] == 1.2
        assert extended.headers["x-cosmos-robot-frames"] == "12"


def test_a_strict_server_refuses_what_does_not_fit(serve):
    with serve(SteppingModel(native=(96, 96), longest=16), strict=True) as client:
        for path, named in (
            ("image", {"size": "512x512"}),
            ("image", {"aspect_ratio": "1:1"}),
            ("video", {"duration": 4}),
            ("video", {"resolution": "720p"}),
        ):
            answer = client.post(f"{AI}/{path}", json={**T, **named})
            assert (answer.status_code, "this checkpoint" in answer.json()["message"]) == (400, True), named
        assert client.post(f"{AI}/image", json=T).status_code == 200
        assert client.post(f"{AI}/video", json=T).status_code == 200
    with serve(SteppingModel(), strict=True) as client:
        assert client.post(f"{AI}/image", json={**T, "size": "4096x4096"}).status_code == 400
        assert client.post(f"{AI}/video", json={**T, "resolution": "1080p"}).status_code == 400


def test_the_embedded_model_makes_images_and_videos_of_its_own_size(serve, png):
    reference = {"reference_images": [f"data:image/png;base64,{png}"]}
    with serve(load_world_model()) as client:
        for path, body in (("image", {**T, **reference}), ("video", {**T, "duration": 4})):
            answer = client.post(f"{AI}/{path}", json=body)
            assert (answer.status_code, answer.headers["x-cosmos-robot-canvas"]) == (200, "96x96"), answer.text
            assert answer.json()["model"] == "embedded"


# Its page


def test_every_curl_line_of_its_page(tmp_path, png):
    commands = curl_commands(api_page("cosmic.md"))
    assert len(commands) == 22
    files = {name: base64.b64decode(png) for name in ("/style-reference.jpg", "/composition-reference.jpg")}
    with file_server({**files, "/document.pdf": b"%PDF-1.7\n"}) as host:
        settings = ServerSettings(
            data=tmp_path / "data", port=0, api_keys=("secret",), allow_urls=True, url_hosts=(host,)
        )
        with live_server(settings, TalkingModel()) as url:
            source = httpx.post(
                f"{url}/v3/buckets/page/ai/video", json=T, headers={"Authorization": "Bearer secret"}
            ).json()["media"]["id"]
            replaced = {
                "https://workers.cosmicjs.com": url,
                "${BUCKET_SLUG}": "page",
                "Bearer ${BUCKET_WRITE_KEY}": "Bearer secret",
                "Bearer {BUCKET_WRITE_KEY}": "Bearer secret",
                "https://cdn.cosmicjs.com": f"http://{host}",
                "65f8a3b2c4d5e6f7g8h9i0j1": source,
            }
            for command in commands:
                text = " ".join(command.arguments)
                answer = command.replaced({old: new for old, new in replaced.items() if old in text}).run()
                document, unspoken = ".pdf" in text, "/ai/audio" in text and shutil.which("espeak-ng") is None
                expected = 400 if document else 503 if unspoken else 200
                assert answer.status == expected, (command.line, answer.body)
                if "/ai/image" in text or "/ai/video" in text:
                    assert answer.json()["media"]["bucket"] == "page"
                elif '"stream":true' in text:
                    assert answer.body.startswith(b'data: {"text": ')
