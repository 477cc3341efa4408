"""A running server, in front of a model that computes nothing, and what is shown to it."""

import numpy as np
import pytest
from live_server import live_server
from talking_model import TalkingModel

from cosmos_robot.serving.settings import Batching, ServerSettings

KEYS = (
    "NVIDIA_API_KEY",
    "NGC_API_KEY",
    "BASETEN_API_KEY",
    "FAL_KEY",
    "PIXAZO_API_KEY",
    "COSMIC_WRITE_KEY",
    "COSMOS_ROBOT_API_KEY",
)


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch):
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def stepping():
    """The model of the module's server."""
    return TalkingModel()


@pytest.fixture(scope="module")
def server(stepping, tmp_path_factory):
    """The address of a running server."""
    settings = ServerSettings(data=tmp_path_factory.mktemp("data"), port=0, batching=Batching(0.05, 8))
    with live_server(settings, stepping) as url:
        yield url


@pytest.fixture
def model(stepping):
    """What the server's model was asked since the test began."""
    stepping.batches.clear()
    stepping.asked.clear()
    return stepping


@pytest.fixture(scope="session")
def frame():
    return np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def clip():
    """Frames that follow one another, as a video's do."""
    return np.stack([np.full((64, 96, 3), 20 + 10 * i, np.uint8) for i in range(17)])


@pytest.fixture(scope="session")
def actions():
    """In robot units of Push-T: pixels."""
    return np.random.default_rng(0).uniform(0, 512, (16, 2)).astype(np.float32)
