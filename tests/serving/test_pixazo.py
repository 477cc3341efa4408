"""Pixazo: every documented field, its default, both ends of its range, a value outside, the error table, the statuses."""

import base64
import re
import time

import pytest
from curl_lines import api_page, curl_commands
from file_server import file_server
from server_process import server
from stepping_model import SteppingModel

from cosmos_robot.serving.pixazo_request import VIDEO_NEGATIVE_PROMPT
from cosmos_robot.serving.settings import Limits

IMAGE, VIDEO = "cosmos-3-super-text-to-image", "cosmos-3-super-image-to-video"
T2I = {"prompt": "A robot."}
I2V = {"prompt": "The camera pushes in.", "image_url": "PNG"}
PRESETS = {
    "square_hd": (1024, 1024), "square": (512, 512), "portrait_4_3": (768, 1024), "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768), "landscape_16_9": (1024, 576),
}  # fmt: skip
AGENTIC = {
    "agentic": False,
    "agentic_max_iterations": 2,
    "agentic_samples_per_iteration": 2,
    "agentic_early_stop": True,
}


def path(body):
    model = VIDEO if "image_url" in body else IMAGE
    return f"/{model}/v1/{model}-request"


def finished(client, accepted, seconds=10.0):
    """What the status says in the end."""
    end = time.monotonic() + seconds
    while (shown := client.get(accepted.json()["polling_url"]).json())["status"] in ("QUEUED", "PROCESSING"):
        assert time.monotonic() < end, shown
        time.sleep(0.01)
    return shown


@pytest.fixture
def ask(client, png):
    def send(body, client=client, **more):
        words = {"PNG": f"data:image/png;base64,{png}", "BARE": png}
        filled = {key: words.get(value, value) if isinstance(value, str) else value for key, value in body.items()}
        return client.post(path(body), json=filled, **more)

    return send


def both(changes, expected):
    return [({**T2I, **changes}, expected), ({**I2V, **changes}, expected)]


FIELDS = [
    (T2I, {"mode": "text2image", "prompt": "A robot.", "negative_prompt": "", "upsample": False, **AGENTIC}),
    (T2I, {"width": 1024, "height": 1024, "num_steps": 28, "guidance": 4.0}),
    (I2V, {"mode": "image2video", "negative_prompt": VIDEO_NEGATIVE_PROMPT, "upsample": True, **AGENTIC}),
    (I2V, {"width": 832, "height": 480, "num_frames": 189, "fps": 24.0, "num_steps": 28, "guidance": 6.0}),
    *both({"prompt": "x"}, {"prompt": "x"}),
    *both({"prompt": "x" * 4096}, {"prompt": "x" * 4096}),
    *both({"negative_prompt": ""}, {"negative_prompt": ""}),
    ({**T2I, "negative_prompt": "x" * 1024}, {"negative_prompt": "x" * 1024}),
    ({**I2V, "negative_prompt": "x" * 2048}, {"negative_prompt": "x" * 2048}),
    ({**I2V, "image_url": "BARE"}, {"mode": "image2video"}),
    ({**T2I, "enable_prompt_expansion": True}, {"upsample": True}),
    ({**I2V, "enable_prompt_expansion": False}, {"upsample": False}),
    *both({"enable_agentic_generation": True, "agentic_max_iterations": 1, "agentic_samples_per_iteration": 3,
           "agentic_early_stop": False},
          {"agentic": True, "agentic_max_iterations": 1, "agentic_samples_per_iteration": 3,
           "agentic_early_stop": False}),
    *both({"agentic_max_iterations": 3, "agentic_samples_per_iteration": 1},
          {"agentic": False, "agentic_max_iterations": 3, "agentic_samples_per_iteration": 1}),
    *[case for name, (width, height) in PRESETS.items()
      for case in both({"image_size": name}, {"width": width, "height": height})],
    *both({"image_size": {"width": 640, "height": 360}}, {"width": 640, "height": 360}),
    ({**T2I, "num_inference_steps": 1, "guidance_scale": 0}, {"num_steps": 1, "guidance": 1.0}),
    ({**T2I, "num_inference_steps": 50, "guidance_scale": 20}, {"num_steps": 50, "guidance": 20.0}),
    ({**I2V, "num_inference_steps": 1, "guidance_scale": 0, "num_frames": 5, "frames_per_second": 4},
     {"num_steps": 1, "guidance": 1.0, "num_frames": 5, "fps": 4.0}),
    ({**I2V, "num_inference_steps": 50, "guidance_scale": 20, "num_frames": 189, "frames_per_second": 60},
     {"num_steps": 50, "guidance": 20.0, "num_frames": 189, "fps": 60.0}),
    *both({"seed": 2**63 - 1}, {"seed": 2**63 - 1}),
    *both({"seed": 0}, {"seed": 0}),
    *both({"enable_safety_checker": False}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), FIELDS, ids=lambda value: str(value)[:50])
def test_every_field_reaches_the_model(body, expected, ask, client):
    accepted = ask(body)
    assert accepted.status_code == 202, accepted.text
    assert finished(client, accepted)["status"] == "COMPLETED"
    ((request,),) = client.model.batches
    assert {name: getattr(request, name) for name in expected} == expected


OUTSIDE = {
    "prompt": ["", "x" * 4097, 3, None],
    "num_inference_steps": [0, 51, 28.5],
    "guidance_scale": [-0.1, 20.1, "4"],
    "agentic_max_iterations": [0, 4],
    "agentic_samples_per_iteration": [0, 4],
    "agentic_early_stop": ["yes"],
    "enable_agentic_generation": [1],
    "enable_prompt_expansion": ["no"],
    "enable_safety_checker": [0],
    "image_size": ["huge", {"width": 0, "height": 1}, {"width": 14143, "height": 1}, {"width": 640}],
    "seed": [-1, 2**63, "7"],
    "sync_mode": ["yes"],
    "promt": ["an unknown field"],
}
REFUSED = [
    *[({**body, field: value}, field) for body in (T2I, I2V) for field, values in OUTSIDE.items() for value in values],
    ({}, "prompt"),
    ({"image_url": "PNG"}, "prompt"),
    ({**T2I, "negative_prompt": "x" * 1025}, "negative_prompt"),
    ({**I2V, "negative_prompt": "x" * 2049}, "negative_prompt"),
    *[({**T2I, "num_images": count}, "num_images") for count in (0, 5)],
    *[({**T2I, "output_format": name}, "output_format") for name in ("jpg", "webp")],
    *[({**I2V, "image_url": url}, "image_url") for url in ("", "nonsense!", "https://example.com/a.png")],
    *[({**I2V, "num_frames": count}, "num_frames") for count in (4, 190)],
    *[({**I2V, "frames_per_second": fps}, "frames_per_second") for fps in (3, 61)],
    ({**I2V, "fps": 24}, "fps"),
    ({**I2V, "num_images": 1}, "num_images"),
    ({**T2I, "num_frames": 5}, "num_frames"),
]


@pytest.mark.parametrize(("body", "field"), REFUSED, ids=lambda value: str(value)[-50:])
def test_what_is_refused_and_how(body, field, ask, client):
    answer = ask(body)
    assert answer.status_code == 400, answer.text
    assert set(answer.json()) == {"error", "message"}
    assert answer.json()["error"] == "Bad Request"
    assert field in answer.json()["message"]
    assert client.model.batches == []


def test_images_and_their_addresses(ask, client):
    for count, kind, beginning in ((1, "jpeg", b"\xff\xd8\xff"), (4, "png", b"\x89PNG")):
        client.model.batches.clear()
        accepted = ask({**T2I, "num_images": count, "seed": 5, "output_format": kind})
        assert set(accepted.json()) == {"request_id", "status", "polling_url"}
        assert accepted.json()["status"] == "QUEUED"
        assert re.fullmatch(IMAGE + r"_[0-9a-f-]{36}", accepted.json()["request_id"])
        shown = finished(client, accepted)
        assert (shown["request_id"], shown["model_id"]) == (accepted.json()["request_id"], IMAGE)
        assert (shown["error"], shown["output"]["media_type"]) == (None, f"image/{kind}")
        assert len(shown["output"]["media_url"]) == count
        assert [request.seed for request in client.model.batches[0]] == list(range(5, 5 + count))
        for url in shown["output"]["media_url"]:
            fetched = client.get(url)
            assert fetched.content.startswith(beginning)
            assert fetched.headers["content-type"] == f"image/{kind}"
        times = [shown[f"{name}_at"] for name in ("created", "updated", "completed")]
        assert times == sorted(times)
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text) for text in times)


def test_a_video_and_what_was_answered_otherwise(ask, client):
    accepted = ask({**I2V, "num_frames": 5})
    finished(client, accepted)
    answer = client.get(accepted.json()["polling_url"])
    output = answer.json()["output"]
    assert output["media_type"] == "video/mp4"
    (url,) = output["media_url"]
    assert client.get(url).content[4:8] == b"ftyp"
    assert "safety checker is off" in answer.headers["x-cosmos-robot-notes"]


@pytest.mark.parametrize(("body", "kind"), [({**T2I, "num_images": 2}, "image/jpeg"), (I2V, "video/mp4")])
def test_sync_mode_is_answered_at_once_and_leaves_nothing(body, kind, ask, client):
    answer = ask({**body, "sync_mode": True})
    assert (answer.status_code, answer.json()["status"]) == (200, "COMPLETED")
    urls = answer.json()["output"]["media_url"]
    assert len(urls) == body.get("num_images", 1)
    for url in urls:
        head, _, data = url.partition(",")
        assert head == f"data:{kind};base64"
        assert len(base64.b64decode(data)) > 100
    assert client.get(f"/v2/requests/status/{answer.json()['request_id']}").status_code == 404
    failed = ask({**body, "prompt": "break", "sync_mode": True})
    assert (failed.status_code, failed.json()["error"]) == (500, "Internal Server Error")


def test_every_status(serve, ask):
    model = SteppingModel(step=0.01)
    model.gate.clear()
    with serve(model, public_url="http://example.test/base/") as client:
        jobs = [ask({**T2I, "prompt": prompt, "num_inference_steps": 40}, client) for prompt in ("A", "break")]
        jobs.append(ask({**I2V, "num_frames": 5}, client))
        ids = [job.json()["request_id"] for job in jobs]
        assert jobs[0].json()["polling_url"] == f"http://example.test/base/v2/requests/status/{ids[0]}"

        def status(index):
            return client.get(f"/v2/requests/status/{ids[index]}").json()

        def wait(index, *words):
            end = time.monotonic() + 10
            while status(index)["status"] not in words:
                assert time.monotonic() < end, status(index)
                time.sleep(0.01)
            return status(index)

        running = wait(0, "PROCESSING")
        assert (running["output"], running["error"], running["completed_at"]) == (None, None, None)
        assert status(2)["status"] == "QUEUED"
        client.delete(f"/jobs/{ids[2].rpartition('_')[2]}")
        assert wait(2, "FAILED")["error"] == "the request was cancelled."
        model.gate.set()
        assert wait(0, "COMPLETED")["output"]["media_type"] == "image/jpeg"
        broken = wait(1, "ERROR")
        assert set(broken) >= {"request_id", "status", "model_id", "error", "output"}
        assert (broken["output"], broken["model_id"]) == (None, IMAGE)
        assert "hostname" not in broken["error"]


def test_a_mode_that_the_checkpoint_lacks_has_failed(serve, ask, monkeypatch):
    from cosmos_robot.errors import UnsupportedModeError

    def refuse(*_, **__):
        raise UnsupportedModeError("this checkpoint makes no images.")

    with serve() as client:
        monkeypatch.setattr(client.model, "generate_media", refuse)
        shown = finished(client, ask(T2I, client))
        assert (shown["status"], shown["error"]) == ("FAILED", "this checkpoint makes no images.")


def test_the_error_table(serve, client):
    unknown = client.post("/cosmos-4/v1/cosmos-4-request", json=T2I)
    assert unknown.status_code == 400
    assert unknown.json() == {"error": "Model not found", "message": "Model 'cosmos-4' not found or is disabled"}
    known = f"/v2/requests/status/{IMAGE}_"
    for wrong in ("nonsense", f"{IMAGE}_00000000-0000-0000-0000-000000000000", "..%2f..%2fetc"):
        missing = client.get(f"/v2/requests/status/{wrong}")
        assert (missing.status_code, missing.json()["error"]) == (404, "Not Found"), missing.text
    own = client.post(path(T2I), json=T2I).json()["request_id"]
    assert client.get(known + own.rpartition("_")[2]).status_code == 200
    assert client.get(f"/v2/requests/status/{VIDEO}_{own.rpartition('_')[2]}").status_code == 404
    broken = client.post(path(T2I), content="{", headers={"Content-Type": "application/json"})
    assert (broken.status_code, broken.json()["error"]) == (400, "Bad Request")
    assert client.post(path(T2I), data=T2I).status_code == 400
    with serve(api_keys=("secret",)) as client:
        refused = client.post(path(T2I), json=T2I, headers={"Ocp-Apim-Subscription-Key": "wrong"})
        assert (refused.status_code, refused.json()["error"]) == (401, "Unauthorized")
        accepted = client.post(path(T2I), json=T2I, headers={"Ocp-Apim-Subscription-Key": "secret"})
        assert accepted.status_code == 202


def test_a_full_queue(serve):
    model = SteppingModel()
    model.gate.clear()
    with serve(model, limits=Limits(queued=1, retry_after=7)) as client:
        assert client.post(path(T2I), json=T2I).status_code == 202
        while not model.batches:
            time.sleep(0.01)
        assert client.post(path(T2I), json=T2I).status_code == 202
        refused = client.post(path(T2I), json=T2I)
        assert (refused.status_code, refused.json()["error"]) == (429, "Too Many Requests")
        assert refused.headers["retry-after"] == "7"


def test_every_curl_line_of_its_page(tmp_path, png):
    commands = curl_commands(api_page("pixazo.md"))
    assert len(commands) == 4
    with (
        file_server({"/Image.jpeg": base64.b64decode(png)}) as host,
        server(tmp_path / "data", 0.0, "--api-key", "secret", "--allow-urls", "--allow-host", host) as running,
    ):
        for generate, ask_status in (commands[:2], commands[2:]):
            words = {"https://gateway.pixazo.ai": running.url, "YOUR_API_KEY": "secret"}
            input_url = {"https://pub-582b7213209642b9b995c96c95a30381.r2.dev/Image.jpeg": f"http://{host}/Image.jpeg"}
            has_input = any("image_url" in argument for argument in generate.arguments)
            accepted = generate.replaced(words | (input_url if has_input else {})).run()
            assert accepted.status == 202, accepted.body
            request_id = accepted.json()["request_id"]
            model = request_id.rpartition("_")[0]
            placeholder = {f"{model}_019dxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx": request_id}
            end = time.monotonic() + 20
            while (shown := ask_status.replaced(words | placeholder).run().json())["status"] != "COMPLETED":
                assert time.monotonic() < end, shown
                time.sleep(0.2)
            assert shown["output"]["media_type"] == ("video/mp4" if has_input else "image/jpeg")
            assert generate.replaced({**words, "YOUR_API_KEY": "wrong"}).run().status == 401
