"""Cosmic: every documented field, its default, both ends of its range, a value outside, the error body, the stream."""

import base64
import json

import pytest
from fastapi.testclient import TestClient
from talking_model import PROMPT_TOKENS, TalkingModel

from cosmos_robot.interface.chat import ImagePart, VideoPart
from cosmos_robot.serving.app import create_app
from cosmos_robot.serving.settings import ServerSettings

AI = "/v3/buckets/tests/ai"
T = {"prompt": "A robot."}
FLASH, PRO, DALL_E = "gemini-3.1-flash-image-preview", "gemini-3-pro-image-preview", "dall-e-3"
FAST, STANDARD = "veo-3.1-fast-generate-preview", "veo-3.1-generate-preview"


@pytest.fixture(scope="module")
def talking(tmp_path_factory):
    model = TalkingModel()
    settings = ServerSettings(data=tmp_path_factory.mktemp("cosmic"), checkpoint="nvidia/Cosmos3-Nano")
    with TestClient(create_app(settings, model), base_url="http://localhost", raise_server_exceptions=False) as client:
        client.model = model
        yield client


@pytest.fixture
def client(talking):
    talking.model.asked.clear()
    talking.model.batches.clear()
    return talking


@pytest.fixture(scope="module")
def media(png, mp4):
    return {"PNG": f"data:image/png;base64,{png}", "MP4": f"data:video/mp4;base64,{mp4}"}


def filled(body, media):
    """The body with media where it names some."""
    return json.loads(json.dumps(body).replace('"PNG"', f'"{media["PNG"]}"').replace('"MP4"', f'"{media["MP4"]}"'))


# Text


def chat(*turns):
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


TEXTS = [
    (T, [("user", "A robot.")], 1024),
    ({**T, "max_tokens": 1}, [("user", "A robot.")], 1),
    ({**T, "max_tokens": 100_000}, [("user", "A robot.")], 100_000),
    ({**T, "model": "gpt-5.2-codex"}, [("user", "A robot.")], 1024),
    (chat(("user", "One."), ("assistant", "Two."), ("user", "Three.")),
     [("user", "One."), ("assistant", "Two."), ("user", "Three.")], 1024),
]  # fmt: skip


@pytest.mark.parametrize(("body", "messages", "most"), TEXTS, ids=lambda value: str(value)[:50])
def test_text_as_it_is_asked(body, messages, most, client):
    answer = client.post(f"{AI}/text", json=body)
    assert answer.status_code == 200, answer.text
    (asked,) = client.model.asked
    assert [(message.role, message.text) for message in asked.messages] == messages
    assert (asked.sampling.max_new_tokens, asked.sampling.do_sample) == (most, False)
    said = messages[-1][1][: 3 * most]
    tokens = -(-len(said) // 3)
    assert answer.json() == {
        "text": said,
        "usage": {"input_tokens": PROMPT_TOKENS, "output_tokens": tokens},
        "model": "nvidia/Cosmos3-Nano",
        "finish_reason": "length" if most == 1 else "stop",
    }


def test_text_about_an_image_and_a_video(client, media, frame):
    before = chat(("user", "One."), ("assistant", "Two."), ("user", "What is it?"))
    for body, kind in (
        ({**T, "media_url": "PNG"}, ImagePart),
        ({**before, "media_url": "PNG"}, ImagePart),
        ({**T, "media_url": "MP4"}, VideoPart),
    ):
        client.model.asked.clear()
        assert client.post(f"{AI}/text", json=filled(body, media)).status_code == 200
        (asked,) = client.model.asked
        shown, words = asked.messages[-1].parts
        assert isinstance(shown, kind)
        assert words == (body["messages"][-1]["content"] if "messages" in body else body["prompt"])
        if kind is ImagePart:
            assert (shown.frame == frame).all()
        else:
            assert (shown.frames.shape, shown.fps) == ((21, 64, 96, 3), 10.0)


def test_text_as_a_stream(client):
    answer = client.post(f"{AI}/text", json={"prompt": "<think>Hm.</think>A robot waves.", "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert all(line.startswith("data: ") or not line for line in answer.text.splitlines())
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line]
    *pieces, usage, end = events
    assert len(pieces) > 2
    assert "".join(piece["text"] for piece in pieces) == "A robot waves."
    assert usage == {"token_count": {"input_tokens": PROMPT_TOKENS, "output_tokens": 11}}
    told = {"text": "A robot waves.", "usage": usage["token_count"], "model": "nvidia/Cosmos3-Nano"}
    assert end == {"event": "end", "data": {**told, "finish_reason": "stop"}}


def test_what_breaks_a_stream_is_told_in_it(client):
    answer = client.post(f"{AI}/text", json={"prompt": "A rboo", "stream": True})
    first, last = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line]
    assert first == {"text": "A r"}
    assert set(last) == {"error"}
    assert "its log says why" in last["error"]["message"]
    for body in ({"prompt": "A rboo"}, {"prompt": "boo", "stream": True}):  # before the first word
        failed = client.post(f"{AI}/text", json=body)
        assert (failed.status_code, failed.json()["status"]) == (500, 500)
        assert "hostname" not in failed.text


# Images


IMAGES = [
    (T, {"mode": "text2image", "prompt": "A robot.", "width": 1024, "height": 1024, "upsample": True}, 32_160),
    ({**T, "model": FLASH, "size": "512x512"}, {"width": 512, "height": 512}, 32_160),
    ({**T, "size": "2048x2048"}, {"width": 1360, "height": 1360}, 32_160),
    ({**T, "size": "4096x4096"}, {"width": 1360, "height": 1360}, 57_600),
    ({**T, "model": PRO, "size": "1024x1024"}, {"width": 1024, "height": 1024}, 32_160),
    ({**T, "model": PRO, "size": "4096x4096"}, {"width": 1360, "height": 1360}, 57_600),
    ({**T, "model": DALL_E}, {"width": 1024, "height": 1024}, 4_800),
    ({**T, "model": DALL_E, "size": "1792x1024", "quality": "hd"}, {"width": 1360, "height": 777}, 4_800),
    ({**T, "model": DALL_E, "size": "1024x1792", "quality": "standard"}, {"width": 777, "height": 1360}, 4_800),
    ({**T, "aspect_ratio": "1:1"}, {"width": 1024, "height": 1024}, 32_160),
    ({**T, "aspect_ratio": "16:9"}, {"width": 1360, "height": 765}, 32_160),
    ({**T, "aspect_ratio": "1:8", "size": "512x512"}, {"width": 170, "height": 1360}, 32_160),
    ({**T, "aspect_ratio": "8:1", "size": "512x512"}, {"width": 1360, "height": 170}, 32_160),
    ({**T, "model": PRO, "aspect_ratio": "21:9", "size": "1024x1024"}, {"width": 1360, "height": 583}, 32_160),
    ({**T, "reference_images": []}, {"mode": "text2image"}, 32_160),
    ({**T, "reference_images": ["PNG"]},
     {"mode": "image2video", "num_frames": 25, "fps": 24.0, "width": None, "upsample": True}, 32_160),
    ({**T, "reference_images": ["PNG"] * 14, "size": "512x512", "aspect_ratio": "4:3"},
     {"mode": "image2video", "width": 591, "height": 443}, 32_160),
    ({**T, "model": PRO, "reference_images": ["PNG"] * 5}, {"mode": "image2video"}, 32_160),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected", "price"), IMAGES, ids=lambda value: str(value)[:60])
def test_an_image_as_it_is_asked(body, expected, price, client, media, frame):
    answer = client.post(f"{AI}/image", json=filled(body, media))
    assert answer.status_code == 200, answer.text
    ((request,),) = client.model.batches
    assert {name: getattr(request, name) for name in expected} == expected
    assert request.frames is None or (request.frames[0] == frame).all()
    shown = answer.json()
    assert set(shown) == {"media", "revised_prompt", "usage", "model"}
    assert (shown["revised_prompt"], shown["model"]) == ("A robot.", "nvidia/Cosmos3-Nano")
    assert shown["usage"] == {"input_tokens": 0, "output_tokens": price, "total_tokens": price}
    assert client.get(shown["media"]["url"]).content.startswith(b"\x89PNG")
    notes = answer.headers.get("x-cosmos-robot-notes", "")
    assert ("one quality" in notes) == (body.get("quality") == "hd")
    assert ("the first was looked at" in notes) == (len(body.get("reference_images", [])) > 1)
    assert ("last frame of a short clip" in notes) == bool(body.get("reference_images"))
    assert ("past the sizes" in notes) == (max(request.width or 0, request.height or 0) == 1360)


# Videos


VIDEOS = [
    (T, {"mode": "text2video", "prompt": "A robot.", "num_frames": 192, "fps": 24.0, "resolution": 720}, 288_000),
    (T, {"upsample": False, "enable_sound": False, "frames": None}, 288_000),
    ({**T, "duration": 4}, {"num_frames": 96}, 144_000),
    ({**T, "duration": 6, "model": FAST}, {"num_frames": 144}, 216_000),
    ({**T, "duration": 8, "resolution": "720p"}, {"num_frames": 192, "resolution": 720}, 288_000),
    ({**T, "duration": 4, "model": STANDARD}, {"num_frames": 96}, 384_000),
    ({**T, "model": STANDARD, "resolution": "1080p"}, {"num_frames": 192, "resolution": 720}, 768_000),
    ({**T, "reference_images": []}, {"mode": "text2video"}, 288_000),
    ({**T, "reference_images": ["PNG"], "duration": 6}, {"mode": "image2video", "num_frames": 144}, 216_000),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected", "price"), VIDEOS, ids=lambda value: str(value)[:60])
def test_a_video_as_it_is_asked(body, expected, price, client, media):
    answer = client.post(f"{AI}/video", json=filled(body, media))
    assert answer.status_code == 200, answer.text
    ((request,),) = client.model.batches
    assert {name: getattr(request, name) for name in expected} == expected
    shown = answer.json()
    assert set(shown) == {"media", "usage", "generation_time_seconds", "model"}
    assert shown["usage"] == {"input_tokens": price, "output_tokens": 0, "total_tokens": price}
    told = shown["media"]["metadata"]
    assert told["duration"] == body.get("duration", 8)
    assert told["generation_time_seconds"] == shown["generation_time_seconds"]
    assert (told["model"], told["prompt"], told["resolution"]) == ("nvidia/Cosmos3-Nano", "A robot.", "48x32")
    assert ("1080p" in answer.headers.get("x-cosmos-robot-notes", "")) == (body.get("resolution") == "1080p")


@pytest.mark.parametrize(("model", "price"), [(None, 288_000), (FAST, 288_000), (STANDARD, 768_000)])
def test_an_extension_goes_on_where_the_source_ends(model, price, client):
    source = client.post(f"{AI}/video", json={**T, "duration": 4}).json()["media"]["id"]
    client.model.batches.clear()
    named = {} if model is None else {"model": model}
    answer = client.post(f"{AI}/video/extend", json={"prompt": "It walks on.", "media_id": source, **named})
    assert answer.status_code == 200, answer.text
    ((request,),) = client.model.batches
    assert (request.mode, request.condition_video_keep, len(request.given_frames)) == ("video2video", "last", 5)
    assert (request.num_frames, request.fps, request.resolution) == (197, 24.0, 720)
    shown = answer.json()
    assert (shown["source_media_id"], shown["is_extension"]) == (source, True)
    assert shown["usage"]["total_tokens"] == price
    told = shown["media"]["metadata"]
    assert (told["duration"], told["is_extension"], told["source_media_id"]) == (8, True, source)
    assert told["veo_file_uri"] == shown["media"]["url"]
    again = client.post(f"{AI}/video/extend", json={"prompt": "On.", "media_id": shown["media"]["id"]})
    assert again.json()["source_media_id"] == shown["media"]["id"]


# What is refused


def both(path, changes, field):
    return (path, {**T, **changes}, field)


BAD_FOLDERS = ["", "..", "../etc", "a/b", "/etc", "a\\b", ".hidden", "end.", " x", "x" * 101, "nul\x00", 3]
KEPT = ("image", "video", "video/extend", "audio")
REFUSED = [
    *[(path, {}, "prompt") for path in KEPT],
    *[(path, {"prompt": value}, "prompt") for path in (*KEPT, "text") for value in ("", 3)],
    *[both(path, {"folder": value}, "folder") for path in KEPT for value in BAD_FOLDERS],
    *[both(path, {"metadata": value}, "metadata") for path in KEPT for value in ("x", [], {"a": "x" * 70_000})],
    *[both(path, {"promt": "x"}, "promt") for path in (*KEPT, "text")],
    ("text", {}, "messages"),
    both("text", chat(("user", "x")), "messages"),
    *[("text", {"messages": value}, "messages") for value in ([], [{"role": "system", "content": "x"}], "x",
                                                              [{"role": "user", "content": ""}], [{"role": "user"}])],
    ("text", chat(("user", "x"), ("assistant", "y")), "user"),
    *[both("text", {"max_tokens": value}, "max_tokens") for value in (0, 1.5, "9")],
    *[both("text", {"model": value}, "model") for value in ("", "x" * 101, 3)],
    *[both("text", {"stream": value}, "stream") for value in ("yes", 1)],
    *[both("text", {"media_url": value}, "media_url") for value in ("", "nonsense!", "https://example.com/a.png")],
    *[both("image", {"size": value}, "size") for value in ("256x256", "1792x1024", "1024", 1024)],
    *[both("image", {"model": PRO, "size": value}, "size") for value in ("512x512", "1024x1792")],
    *[both("image", {"model": DALL_E, "size": value}, "size") for value in ("512x512", "2048x2048")],
    *[both("image", {"aspect_ratio": value}, "aspect_ratio") for value in ("16:10", "1,1", 1)],
    *[both("image", {"model": PRO, "aspect_ratio": value}, "aspect_ratio") for value in ("1:4", "8:1")],
    both("image", {"model": DALL_E, "aspect_ratio": "1:1"}, "aspect_ratio"),
    *[both("image", {"quality": value}, "quality") for value in ("hd", "ultra")],
    *[both("image", {"model": value}, "model") for value in ("dall-e-2", "claude-opus-4-8", "")],
    both("image", {"reference_images": ["PNG"] * 15}, "reference_images"),
    both("image", {"model": PRO, "reference_images": ["PNG"] * 6}, "reference_images"),
    both("image", {"model": DALL_E, "reference_images": ["PNG"]}, "reference_images"),
    *[both(path, {"reference_images": value}, "reference_images")
      for path in ("image", "video") for value in ("PNG", ["MP4"], ["nonsense!"], ["https://example.com/a.png"])],
    both("image", {"alt_text": 3}, "alt_text"),
    both("image", {"alt_text": "x" * 10_001}, "alt_text"),
    *[both("video", {"duration": value}, "duration") for value in (3, 5, 7, 9, "8")],
    *[both("video", {"resolution": value}, "resolution") for value in ("480p", "4k", 720)],
    *[both("video", {"model": value}, "model") for value in ("veo-3", FLASH)],
    both("video", {"reference_images": ["PNG", "PNG"]}, "reference_images"),
    both("video", {"alt_text": "x"}, "alt_text"),
    *[both("video/extend", {"media_id": value}, "media_id") for value in ("", 3)],
    both("video/extend", {"media_id": "x", "duration": 8}, "duration"),
    both("video/extend", {"media_id": "x", "model": "veo-3"}, "model"),
    *[both("audio", {"voice": value}, "voice") for value in ("Nova", "", "verse")],
    *[both("audio", {"model": value}, "model") for value in ("tts-2", "")],
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "field"), REFUSED, ids=lambda value: str(value)[-60:])
def test_what_is_refused_and_how(path, body, field, client, media):
    answer = client.post(f"{AI}/{path}", json=filled(body, media))
    assert answer.status_code == 400, answer.text
    assert set(answer.json()) == {"status", "message"}
    assert answer.json()["status"] == 400
    assert field in answer.json()["message"]
    assert client.model.batches == client.model.asked == []


def test_documents_are_refused(client):
    pdf = base64.b64encode(b"%PDF-1.7\n").decode()
    answer = client.post(f"{AI}/text", json={**T, "media_url": f"data:application/pdf;base64,{pdf}"})
    assert answer.status_code == 400
    assert "neither an image (png, jpg, webp) nor a video" in answer.json()["message"]


def test_the_error_table(serve, client):
    for path, body in (("text", "{"), ("image", "[1]"), ("video", "nonsense")):
        broken = client.post(f"{AI}/{path}", content=body, headers={"Content-Type": "application/json"})
        assert (broken.status_code, set(broken.json())) == (400, {"status", "message"})
    assert client.post(f"{AI}/text", data=T).status_code == 400
    assert client.get(f"{AI}/text").json() == {"status": 405, "message": "Method Not Allowed."}
    assert client.post("/v3/buckets/tests/ai/music", json=T).json()["status"] == 404
    for bucket in ("a.b", "x" * 101, "-x", "a%20b", ".."):
        refused = client.post(f"/v3/buckets/{bucket}/ai/text", json=T)
        assert refused.status_code in (400, 404), bucket
    broken = client.post(f"{AI}/image", json={"prompt": "break"})
    assert (broken.status_code, broken.json()["status"]) == (500, 500)
    assert "hostname" not in broken.text
    with serve(TalkingModel(), api_keys=("secret",)) as locked:
        assert locked.post(f"{AI}/text", json=T).json()["status"] == 401
        allowed = locked.post(f"{AI}/text", json=T, headers={"Authorization": "Bearer secret"})
        assert allowed.status_code == 200
