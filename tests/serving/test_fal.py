"""fal: every documented field, its default, both ends of its range, a value outside, the error bodies, the queue."""

import base64
import time

import pytest
from stepping_model import SteppingModel

from cosmos_robot.serving.fal_request import VIDEO_NEGATIVE_PROMPT

I2V = {"prompt": "The camera pushes in.", "image_url": "PNG"}
T2I = {"prompt": "A robot."}
RUN, QUEUE = "/fal/run/nvidia/cosmos-3-super", "/fal/queue/nvidia/cosmos-3-super"


@pytest.fixture
def run(client, png):
    def ask(body, host=RUN, client=client):
        endpoint = "image-to-video" if "image_url" in body else "text-to-image"
        words = {"PNG": f"data:image/png;base64,{png}", "BARE": png}
        filled = {key: words.get(value, value) if isinstance(value, str) else value for key, value in body.items()}
        return client.post(f"{host}/{endpoint}", json=filled)

    return ask


FIELDS = [
    (I2V, {"mode": "image2video", "negative_prompt": VIDEO_NEGATIVE_PROMPT, "upsample": True, "agentic": False}),
    (I2V, {"height": 480, "width": 832, "num_frames": 189, "fps": 24.0, "num_steps": 28, "guidance": 6.0}),
    ({**I2V, "image_url": "BARE"}, {"mode": "image2video"}),
    ({**I2V, "negative_prompt": "", "enable_prompt_expansion": False}, {"negative_prompt": "", "upsample": False}),
    ({**I2V, "num_frames": 5, "fps": 4, "num_inference_steps": 1, "guidance_scale": 0},
     {"num_frames": 5, "fps": 4.0, "num_steps": 1, "guidance": 1.0}),
    ({**I2V, "num_frames": 189, "fps": 60, "num_inference_steps": 50, "guidance_scale": 20},
     {"num_frames": 189, "fps": 60.0, "num_steps": 50, "guidance": 20.0}),
    ({**I2V, "image_size": {"width": 640, "height": 360}}, {"width": 640, "height": 360}),
    ({**I2V, "image_size": {"width": 8000, "height": 4000}}, {"width": 1280, "height": 640}),
    ({**I2V, "image_size": "portrait_16_9"}, {"width": 576, "height": 1024}),
    ({**I2V, "enable_agentic_generation": True, "agentic_max_iterations": 1, "agentic_samples_per_iteration": 3,
      "agentic_early_stop": False},
     {"agentic": True, "agentic_max_iterations": 1, "agentic_samples_per_iteration": 3, "agentic_early_stop": False}),
    ({**I2V, "agentic_max_iterations": 3, "agentic_samples_per_iteration": 1}, {"agentic_max_iterations": 3}),
    ({**I2V, "seed": 2**63 - 1}, {"seed": 2**63 - 1}),
    (T2I, {"mode": "text2image", "negative_prompt": "", "num_steps": 28, "guidance": 4.0, "upsample": False}),
    (T2I, {"width": 1024, "height": 1024, "agentic_max_iterations": 2, "agentic_samples_per_iteration": 2}),
    *[({**T2I, "image_size": name}, {"width": width, "height": height}) for name, width, height in (
        ("square_hd", 1024, 1024), ("square", 512, 512), ("portrait_4_3", 768, 1024), ("portrait_16_9", 576, 1024),
        ("landscape_4_3", 1024, 768), ("landscape_16_9", 1024, 576))],
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), FIELDS, ids=lambda value: str(value)[:60])
def test_every_field_reaches_the_model(body, expected, run, client):
    answer = run(body)
    assert answer.status_code == 200, answer.text
    ((request,),) = client.model.batches
    assert {name: getattr(request, name) for name in expected} == expected


REFUSED = [
    ({"prompt": ""}, "prompt"),
    ({**T2I, "promt": "x"}, "promt"),
    ({**I2V, "prompt": 3}, "prompt"),
    ({**I2V, "num_frames": 4}, "num_frames"),
    ({**I2V, "num_frames": 190}, "num_frames"),
    ({**I2V, "fps": 3}, "fps"),
    ({**I2V, "fps": 61}, "fps"),
    ({**I2V, "num_inference_steps": 0}, "num_inference_steps"),
    ({**I2V, "num_inference_steps": 51}, "num_inference_steps"),
    ({**I2V, "guidance_scale": -0.1}, "guidance_scale"),
    ({**I2V, "guidance_scale": 20.1}, "guidance_scale"),
    ({**I2V, "agentic_max_iterations": 0}, "agentic_max_iterations"),
    ({**I2V, "agentic_max_iterations": 4}, "agentic_max_iterations"),
    ({**I2V, "agentic_samples_per_iteration": 0}, "agentic_samples_per_iteration"),
    ({**I2V, "agentic_samples_per_iteration": 4}, "agentic_samples_per_iteration"),
    ({**I2V, "image_size": "huge"}, "image_size"),
    ({**I2V, "image_size": {"width": 0, "height": 1}}, "image_size"),
    ({**I2V, "image_url": "nonsense!"}, "image_url"),
    ({**I2V, "image_url": "https://example.com/a.png"}, "image_url"),
    ({**I2V, "seed": -1}, "seed"),
    ({**T2I, "num_images": 0}, "num_images"),
    ({**T2I, "num_images": 5}, "num_images"),
    ({**T2I, "output_format": "webp"}, "output_format"),
    ({**T2I, "sync_mode": "yes"}, "sync_mode"),
]


@pytest.mark.parametrize(("body", "field"), REFUSED, ids=lambda value: str(value)[-50:])
@pytest.mark.parametrize("host", [RUN, QUEUE])
def test_what_is_refused_and_how(body, field, host, run, client):
    answer = run(body, host)
    assert answer.status_code == 422, answer.text
    detail = answer.json()["detail"]
    assert all(set(row) == {"loc", "msg", "type"} for row in detail)
    assert field in [place for row in detail for place in row["loc"]]
    assert answer.headers["x-fal-error-type"] in ("bad_value", "unknown_field")
    assert client.model.batches == []


def test_malformed_json_is_422(client):
    answer = client.post(f"{RUN}/text-to-image", content="{", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body"])
    assert client.post("/fal/run/nvidia/other/thing", json={}).status_code == 404


def test_a_video_that_is_run(run, client):
    answer = run({**I2V, "seed": 1143, "num_frames": 5})
    body = answer.json()
    assert body["seed"] == 1143
    assert body["video"]["content_type"] == "video/mp4"
    fetched = client.get(body["video"]["url"])
    assert fetched.content[4:8] == b"ftyp"
    assert (len(fetched.content), fetched.headers["content-type"]) == (body["video"]["file_size"], "video/mp4")
    assert answer.headers["x-fal-request-id"] in body["video"]["url"]
    assert "safety checker is off" in answer.headers["x-cosmos-robot-notes"]
    for wrong in ("1.mp4", "answer.json", "..%2fquestion.json", "0.npy"):
        url = body["video"]["url"].rpartition("/")[0] + "/" + wrong
        assert client.get(url).status_code == 404


def test_images_that_are_run(run, client):
    body = run({**T2I, "num_images": 3, "seed": 5, "output_format": "png"}).json()
    assert [request.seed for request in client.model.batches[0]] == [5, 6, 7]
    assert (body["seed"], body["has_nsfw_concepts"], body["prompt"]) == (5, [False] * 3, "A robot.")
    for image in body["images"]:
        assert (image["width"], image["height"], image["content_type"]) == (48, 32, "image/png")
        assert client.get(image["url"]).content.startswith(b"\x89PNG")


def test_sync_mode_is_a_data_uri_and_leaves_nothing(run, client):
    answer = run({**I2V, "num_frames": 5, "sync_mode": True})
    kind, _, data = answer.json()["video"]["url"].partition(",")
    assert kind == "data:video/mp4;base64"
    assert base64.b64decode(data)[4:8] == b"ftyp"
    assert client.get(f"/files/{answer.headers['x-fal-request-id']}/0.mp4").status_code == 404


def test_a_seed_is_drawn_and_told(run):
    seeds = {run({**T2I}).json()["seed"] for _ in range(3)}
    assert len(seeds) == 3


def test_the_queue(serve, run):
    model = SteppingModel(step=0.01)
    model.gate.clear()
    with serve(model, public_url="http://example.test/base/") as client:
        first, second = (
            run({**T2I, "seed": seed, "num_inference_steps": 2 + seed}, QUEUE, client).json() for seed in (1, 2)
        )
        assert set(first) == {"request_id", "response_url", "status_url", "cancel_url", "queue_position", "status"}
        assert first["status"] == "IN_QUEUE"
        assert first["status_url"] == f"http://example.test/base{QUEUE}/requests/{first['request_id']}/status"
        urls = [f"{QUEUE}/requests/{job['request_id']}" for job in (first, second)]
        while client.get(f"{urls[0]}/status").json()["status"] != "IN_PROGRESS":
            time.sleep(0.01)
        waiting = client.get(f"{urls[1]}/status")
        assert (waiting.status_code, waiting.json()["status"], waiting.json()["queue_position"]) == (202, "IN_QUEUE", 0)
        early = client.get(urls[1])
        assert (early.status_code, early.json()["error_type"]) == (400, "in_progress")
        model.gate.set()
        with client.stream("GET", f"{urls[1]}/status/stream?logs=1") as stream:
            events = [line for line in stream.iter_lines() if line.startswith("data: ")]
        assert '"status": "COMPLETED"' in events[-1]
        done = client.get(f"{urls[1]}/status?logs=1")
        assert done.status_code == 200
        assert done.json()["metrics"]["inference_time"] > 0
        log = done.json()["logs"]
        assert set(log[0]) == {"timestamp", "level", "message"}
        assert "denoising step 4 of 4" in [row["message"] for row in log]
        assert client.get(urls[1]).json()["seed"] == 2
        assert client.get(urls[1]).json()["seed"] == 2  # as often as is wished
        refused = client.put(f"{urls[1]}/cancel")
        assert (refused.status_code, refused.json()) == (400, {"status": "ALREADY_COMPLETED"})


def test_cancelling(serve, run):
    model = SteppingModel(step=0.02)
    with serve(model) as client:
        body = run({**T2I, "num_inference_steps": 50}, QUEUE, client).json()
        url = f"{QUEUE}/requests/{body['request_id']}"
        while client.get(f"{url}/status").json()["status"] != "IN_PROGRESS":
            time.sleep(0.01)
        cancelled = client.put(f"{url}/cancel")
        assert (cancelled.status_code, cancelled.json()) == (202, {"status": "CANCELLATION_REQUESTED"})
        while (status := client.get(f"{url}/status").json())["status"] != "COMPLETED":
            time.sleep(0.01)
        assert status["error_type"] == "cancelled"
        assert client.get(url).status_code == 400
        assert model.stopped == 1
    missing = f"{QUEUE}/requests/00000000-0000-0000-0000-000000000000"
    with serve() as client:
        assert client.put(f"{missing}/cancel").status_code == 404
        assert client.get(f"{missing}/status").status_code == 404
        assert client.get(f"{QUEUE}/requests/..%2f..%2fetc/status").status_code == 404


def test_what_fails_says_so_in_status_and_result(run, client):
    body = run({**T2I, "prompt": "break"}, QUEUE).json()
    url = f"{QUEUE}/requests/{body['request_id']}"
    while (status := client.get(f"{url}/status").json())["status"] != "COMPLETED":
        time.sleep(0.01)
    assert status["error_type"] == "internal"
    assert "hostname" not in str(status)
    assert client.get(url).status_code == 500
