"""Baseten's own client in front of a server: the batches that it posts, and what it is told when one is refused."""

import base64

import httpx
import numpy as np
import pytest
import requests
from baseten_performance_client import PerformanceClient
from live_server import live_server
from stepping_model import SteppingModel, answered_actions

from cosmos_robot.datasets.video import read_video
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.serving.settings import Batching, ServerSettings

DOMAIN = "bridge_orig_lerobot"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    model = SteppingModel()
    settings = ServerSettings(
        data=tmp_path_factory.mktemp("baseten"), port=0, api_keys=("right",), batching=Batching(window=1.0, size=3)
    )
    with live_server(settings, model) as model.url:
        yield model


def test_a_batch_of_policies(server, png):
    client = PerformanceClient(base_url=server.url, api_key="right")
    uri = f"data:image/png;base64,{png}"
    payloads = [
        {"model_mode": "policy", "vision_path": uri, "domain_name": DOMAIN, "prompt": "Lift it.", "seed": seed}
        for seed in (1, 2, 3)
    ]
    answer = client.batch_post(url_path="/predict", payloads=payloads)
    domain = get_domain(DOMAIN)
    assert len(answer.data) == len(answer.individual_request_times) == 3
    for seed, body in zip((1, 2, 3), answer.data, strict=True):  # in the order of the payloads
        (output,) = body["sample_outputs"]["outputs"]
        expected = answered_actions(seed, domain.action_chunk_size, domain)
        np.testing.assert_array_equal(np.float32(output["content"]["action"]), expected)
    assert [len(batch) for batch in server.batches] == [3], "what the client posts at once goes through at once"
    assert all(headers["x-cosmos-robot-canvas"] == "48x32" for headers in answer.response_headers)


def test_a_video(server, tmp_path):
    client = PerformanceClient(base_url=server.url, api_key="right")
    path = "/environments/production/predict"
    answer = client.batch_post(url_path=path, payloads=[{"prompt": "A street.", "seed": 42, "num_frames": 5}])
    (body,) = answer.data
    (tmp_path / "a.mp4").write_bytes(base64.b64decode(body["data"]))
    frames, _ = read_video(tmp_path / "a.mp4")
    assert (len(frames), body["model_mode"], body["format"]) == (5, "text2video", "mp4")
    assert abs(frames.mean() - 42) < 2


def test_what_is_refused(server):
    before = len(server.batches)
    client = PerformanceClient(base_url=server.url, api_key="right")
    with pytest.raises(requests.HTTPError, match="422") as refused:
        client.batch_post(url_path="/predict", payloads=[{"promt": "x"}])
    assert "promt" in str(refused.value)
    with pytest.raises(requests.HTTPError, match="401"):
        PerformanceClient(base_url=server.url, api_key="wrong").batch_post(
            url_path="/predict", payloads=[{"prompt": "x"}]
        )
    assert len(server.batches) == before
    assert httpx.get(f"{server.url}/healthz").status_code == 200
