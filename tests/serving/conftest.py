"""A server in this process, in front of a model that computes nothing; pictures and videos as clients send them."""

import base64
import io
from contextlib import contextmanager

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from stepping_model import SteppingModel

from cosmos_robot.datasets.video import write_video
from cosmos_robot.serving.app import create_app
from cosmos_robot.serving.settings import ServerSettings


@pytest.fixture
def serve(tmp_path):
    """Start servers; gives a client, and the model as `client.model`."""
    count = 0

    @contextmanager
    def start(model=None, **settings):
        nonlocal count
        count += 1
        settings.setdefault("data", tmp_path / f"data{count}")
        model = model or SteppingModel()
        app = create_app(ServerSettings(**settings), model)
        with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
            client.model = model
            try:
                yield client
            finally:
                if isinstance(model, SteppingModel):
                    model.gate.set()  # a test that fails must not leave it waiting for ever

    return start


@pytest.fixture(scope="module")
def shared_client(tmp_path_factory):
    """One server for all tests of a file that change nothing but its model's memory."""
    model = SteppingModel()
    app = create_app(ServerSettings(data=tmp_path_factory.mktemp("shared")), model)
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as started:
        started.model = model
        yield started


@pytest.fixture
def client(shared_client):
    shared_client.model.batches.clear()
    return shared_client


def encode_png(frame):
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def frame():
    return np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def png(frame):
    """A picture in base64."""
    return base64.b64encode(encode_png(frame)).decode()


@pytest.fixture(scope="session")
def mp4_bytes(tmp_path_factory):
    """21 frames at 10 fps, each of its own brightness."""
    path = tmp_path_factory.mktemp("media") / "video.mp4"
    write_video(path, np.stack([np.full((64, 96, 3), 10 + 10 * i, np.uint8) for i in range(21)]), 10)
    return path.read_bytes()


@pytest.fixture(scope="session")
def mp4(mp4_bytes):
    return base64.b64encode(mp4_bytes).decode()
