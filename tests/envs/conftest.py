"""Small world models for the environments' tests."""

import json
import shutil

import numpy as np
import pytest

from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.types import Rollout


@pytest.fixture(scope="session")
def small_folder(checkpoint_folder, tmp_path_factory):
    """Random weights in the published layout, with facts beside them as the embedded checkpoint has."""
    folder = tmp_path_factory.mktemp("small") / "checkpoint"
    shutil.copytree(checkpoint_folder, folder)
    facts = {"native_canvas": [32, 32], "domain_ids": [4], "max_action_chunk_size": 16, "num_steps": 1, "shift": 5.0}
    (folder / "cosmos_robot.json").write_text(json.dumps(facts))
    return folder


@pytest.fixture(scope="session")
def small(small_folder):
    import cosmos_robot as cr

    return cr.load_world_model(small_folder, device="cpu", dtype="float32")


class Failing(WorldModel):
    """A service whose connection breaks: it answers through another world model, but for `failures` calls."""

    def __init__(self, inner, failures=0):
        self.inner, self.failures, self.calls = inner, failures, 0

    def generate(self, requests, *, progress=None):
        self.calls += 1
        if self.failures:
            self.failures -= 1
            raise ConnectionResetError("connection reset by peer.")
        return self.inner.generate(requests)


class Counting(WorldModel):
    """A toy world whose frames are a function of anchor, actions and seed, by numpy alone."""

    def __init__(self):
        self.batches = []

    def generate(self, requests, *, progress=None):
        self.batches.append(len(requests))
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        noise = np.random.default_rng(request.seed).integers(0, 256, request.frames[0].shape)
        moved = np.cumsum(request.actions.values.sum(axis=1).astype(np.int64))
        start = request.frames[0].astype(np.int64)
        frames = np.stack([start, *(start + noise + step for step in moved)]).astype(np.uint8)
        return Rollout(frames, request.actions.values, "robot", request.domain.name, 10.0, request.seed, request.prompt)


@pytest.fixture
def counting():
    return Counting()


@pytest.fixture
def failing():
    return Failing


@pytest.fixture
def starts():
    """Five different frames of 32x32."""
    return np.random.default_rng(7).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
