"""Cosmic's media library: what is kept of a piece of media, found again after restarts and kills; no path leads out."""

import io
import json
import re
import sqlite3

import numpy as np
import pytest
from PIL import Image
from server_process import server
from stepping_model import SteppingModel
from talking_model import TalkingModel

from cosmos_robot.datasets.sound_track import read_sound
from cosmos_robot.datasets.video import read_video
from cosmos_robot.interface.generation import Generation
from cosmos_robot.serving.cosmic_media import MediaLibrary, MediaRecord
from cosmos_robot.serving.job_store import JobStore
from cosmos_robot.types import Sound

BUCKET = "/v3/buckets/tests"
T = {"prompt": "A robot."}
RATE = 16_000


class CountingModel(SteppingModel):
    """Frame i has brightness i; where sound is wanted it is silent as long as what a clip goes on from, then a tone."""

    engine = type("Engine", (), {"sound": "a tokenizer", "action_dim": None})

    def _generation(self, request):
        count = 1 if request.image else request.num_frames
        frames = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 32, 48, 3))
        times = np.arange(round(count / request.fps * RATE)) / RATE if request.fps else np.zeros(0)
        tone = np.where(times < 5 / 24, 0, 0.5 * np.sin(2 * np.pi * 440 * times))[None].astype(np.float32)
        return Generation(
            mode=request.mode,
            frames=np.ascontiguousarray(frames),
            fps=request.fps or 24.0,
            sound=Sound(tone, RATE) if request.enable_sound else None,
            seed=request.seed,
            prompt=request.prompt,
            prompt_used=request.prompt,
        )


def made(client, path, **body):
    answer = client.post(f"{BUCKET}/ai/{path}", json={**T, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()["media"]


def test_what_is_kept(client):
    shown = made(client, "image", folder="My folder.1", alt_text="It waves.", metadata={"a": [1, {"b": None}]})
    assert re.fullmatch(r"[0-9a-f]{24}", shown["id"])
    assert re.fullmatch(r"[0-9a-f-]{36}-a-robot\.png", shown["name"])
    assert shown["url"] == shown["imgix_url"] == f"http://localhost/files/media/{shown['id']}/{shown['name']}"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", shown["created_at"])
    file = client.get(shown["url"])
    assert file.headers["content-type"] == "image/png"
    assert {name: shown[name] for name in shown if name not in ("id", "name", "url", "imgix_url", "created_at")} == {
        "original_name": "a-robot.png", "size": len(file.content), "type": "image/png", "bucket": "tests",
        "created_by": None, "modified_at": shown["created_at"], "modified_by": None, "folder": "My folder.1",
        "alt_text": "It waves.", "metadata": {"a": [1, {"b": None}]}, "width": 48, "height": 32,
    }  # fmt: skip
    plain = made(client, "image", prompt="¿?")
    assert (plain["original_name"], plain["folder"], plain["alt_text"]) == ("image.png", None, "¿?")
    assert (plain["metadata"], made(client, "image", alt_text="")["alt_text"]) == ({}, "")


def test_a_video_keeps_the_callers_metadata_beside_its_own(client):
    shown = made(client, "video", duration=4, folder="ai-videos", metadata={"campaign": "x", "duration": "mine"})
    assert re.fullmatch(r"cosmos-[0-9a-f-]{36}\.mp4", shown["name"])
    assert (shown["original_name"], shown["type"], shown["alt_text"]) == (shown["name"], "video/mp4", "A robot.")
    assert (shown["folder"], shown["metadata"]["campaign"], shown["metadata"]["duration"]) == ("ai-videos", "x", 4)
    longer = made(client, "video/extend", media_id=shown["id"], folder="more", metadata={"scene": "3"})
    assert re.fullmatch(r"cosmos-ext-[0-9a-f-]{36}\.mp4", longer["name"])
    assert (longer["folder"], longer["metadata"]["scene"]) == ("more", "3")


def test_an_extension_leaves_out_what_it_goes_on_from(serve, tmp_path):
    model = CountingModel(num_steps=3)
    with serve(model) as client:
        source = made(client, "video", duration=4)
        clip = made(client, "video/extend", media_id=source["id"])
        given = model.batches[-1][0].given_frames
        assert np.abs(given.mean((1, 2, 3)) - np.arange(91, 96)).max() < 3
        (tmp_path / "clip.mp4").write_bytes(client.get(clip["url"]).content)
        frames, fps = read_video(tmp_path / "clip.mp4")
        assert (len(frames), fps) == (192, 24.0)
        assert np.abs(frames.mean((1, 2, 3)) - np.arange(5, 197)).max() < 3
        sound = read_sound(tmp_path / "clip.mp4")
        assert abs(sound.samples.shape[1] / RATE - 8) < 0.1
        assert sound.samples[0, : RATE // 10].std() > 0.2
        still = made(client, "image", reference_images=[made(client, "image")["url"]])
        picture = np.asarray(Image.open(io.BytesIO(client.get(still["url"]).content)))
        assert (picture == 24).all()  # of 25 frames the last


def test_only_videos_of_the_same_bucket_are_extended(client):
    video, image = made(client, "video", duration=4), made(client, "image")
    wrong = client.post(f"{BUCKET}/ai/video/extend", json={**T, "media_id": image["id"]})
    assert (wrong.status_code, "only a video" in wrong.json()["message"]) == (400, True)
    other = client.post("/v3/buckets/other/ai/video/extend", json={**T, "media_id": video["id"]})
    assert (other.status_code, other.json()["message"]) == (404, "there is no media of that id.")
    for media_id in ("0" * 24, "65f8a3b2c4d5e6f7g8h9i0j1", "../../jobs.sqlite"):
        missing = client.post(f"{BUCKET}/ai/video/extend", json={**T, "media_id": media_id})
        assert missing.status_code == 404, media_id


def test_its_own_addresses_are_read_without_fetching(serve):
    model = TalkingModel()
    with serve(model) as client:
        image, video = made(client, "image"), made(client, "video", duration=4)
        for media in (image, video):
            answer = client.post(f"{BUCKET}/ai/text", json={**T, "media_url": media["url"]})
            assert answer.status_code == 200, answer.text
        (picture, _), (clip, _) = (asked.messages[-1].parts for asked in model.asked)
        assert (picture.frame.shape, clip.frames.shape) == ((32, 48, 3), (96, 32, 48, 3))
        assert made(client, "video", reference_images=[image["url"]])["type"] == "video/mp4"
        for url in (image["url"] + "x", image["url"].replace(image["id"], video["id"]), image["url"] + "/../x"):
            assert client.post(f"{BUCKET}/ai/text", json={**T, "media_url": url}).status_code == 400
        elsewhere = image["url"].replace("localhost", "localhost:9")
        assert "takes no URLs" in client.post(f"{BUCKET}/ai/text", json={**T, "media_url": elsewhere}).text


def test_no_path_leads_out(client):
    shown = made(client, "image")
    for path in (
        f"/files/media/{shown['id']}/..%2f..%2f..%2fjobs.sqlite",
        f"/files/media/{shown['id']}/%2e%2e",
        f"/files/media/{shown['id']}/other.png",
        f"/files/media/{'0' * 24}/{shown['name']}",
        "/files/media/..%2f..%2fjobs.sqlite/x",
        "/files/media/../jobs.sqlite",
        f"/files/media/{shown['name']}",
    ):
        assert client.get(path).status_code == 404, path


def test_the_library_is_listed_shown_and_emptied(serve):
    with serve(SteppingModel()) as client:
        assert client.get(f"{BUCKET}/media").json() == {"status": 404, "message": "no media found."}
        made_here = [made(client, "image", folder=folder) for folder in ("a", "b", "a")]
        made(client, "video", duration=4, folder="a")
        page = client.get(f"{BUCKET}/media", params={"limit": 2, "skip": 1, "read_key": "any"}).json()
        assert (page["total"], page["limit"], page["skip"]) == (4, 2, 1)
        assert [row["id"] for row in page["media"]] == [made_here[2]["id"], made_here[1]["id"]]
        for query, count in (({"folder": "a"}, 3), ({"folder": "a", "type": "image/png"}, 2),
                             ({"id": made_here[1]["id"]}, 1), ({"name": made_here[0]["name"]}, 1)):  # fmt: skip
            found = client.get(f"{BUCKET}/media", params={"query": json.dumps(query)}).json()
            assert len(found["media"]) == found["total"] == count
        for wrong in ({"limit": 0}, {"limit": 1001}, {"skip": -1}, {"sort": "x"}, {"query": "{"}, {"query": "[]"},
                      {"query": '{"size": "1"}'}, {"query": '{"folder": {"$ne": "a"}}'}):  # fmt: skip
            assert client.get(f"{BUCKET}/media", params=wrong).status_code == 400, wrong
        assert client.get("/v3/buckets/other/media").status_code == 404
        one = f"{BUCKET}/media/{made_here[0]['id']}"
        assert client.get(one).json() == {"media": made_here[0]}
        assert client.delete(one.replace("tests", "other")).status_code == 404
        assert client.delete(one).status_code == 200
        assert client.get(one).status_code == client.get(made_here[0]["url"]).status_code == 404
        assert client.delete(one).status_code == 404


@pytest.mark.slow
def test_it_survives_a_kill(tmp_path):
    data = tmp_path / "data"
    with server(data) as first:
        image = made(first.client, "image", folder="kept", alt_text="nul \x00, \U0001f916")
        video = made(first.client, "video", duration=4)
        content = first.get(image["url"]).content
        first.kill()
    orphan, partial = data / "media" / ("0" * 24), data / "media" / ".partial-x"
    for folder in (orphan, partial):
        folder.mkdir()
    with server(data) as second:
        shown = second.get(f"{BUCKET}/media/{image['id']}").json()["media"]
        address = second.url + "/files/"
        assert shown == image | {"url": shown["url"], "imgix_url": shown["url"]}
        assert shown["url"] == address + image["url"].partition("/files/")[2]
        assert second.get(shown["url"]).content == content
        longer = made(second.client, "video/extend", media_id=video["id"])
        assert longer["metadata"]["source_media_id"] == video["id"]
    assert not orphan.exists()
    assert not partial.exists()


def test_media_stay_when_their_jobs_are_forgotten(serve, tmp_path):
    with serve(SteppingModel(), data=tmp_path / "data", keep_hours=1e-6) as client:
        shown = made(client, "image")
    with serve(SteppingModel(), data=tmp_path / "data", keep_hours=1e-6) as client:
        assert client.get("/jobs").json()["jobs"] == []
        assert client.get(shown["url"]).content.startswith(b"\x89PNG")
    assert not list((tmp_path / "data" / "jobs").iterdir())


def test_what_cannot_be_written_leaves_nothing(tmp_path):
    store = JobStore(f"sqlite:///{tmp_path / 'x.sqlite'}", queued=1, retry_after=1)
    library = MediaLibrary(store.engine, tmp_path / "media")
    record = MediaRecord("b", "x.png", "x.png", "image/png", None, "", {})
    with pytest.raises(FileNotFoundError):
        library.add(record, tmp_path / "missing.png")
    (tmp_path / "made.png").write_bytes(b"x")
    library.add(record, tmp_path / "made.png")
    with sqlite3.connect(tmp_path / "x.sqlite") as connection:
        connection.execute("DROP TABLE cosmic_media")
    (tmp_path / "made.png").write_bytes(b"x")
    other = MediaRecord("b", "x.png", "x.png", "image/png", None, "", {})
    with pytest.raises(Exception, match="no such table"):
        library.add(other, tmp_path / "made.png")
    assert [path.name for path in (tmp_path / "media").iterdir()] == [record.id]
