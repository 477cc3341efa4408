"""Fixtures that many tests share: random-weight checkpoints, built once."""

import signal
from functools import cache
from pathlib import Path

import pytest
import torch
from diffusers import Cosmos3OmniPipeline

from cosmos_robot.benchmarks.random_checkpoint import RandomCheckpoint
from cosmos_robot.benchmarks.random_reasoner import save_reasoner
from cosmos_robot.datasets.encoder_priority import kept_priority
from cosmos_robot.engine.engine import Engine

torch.set_num_threads(1)  # the models are tiny: a second thread costs more than it gives


@cache
def _pipeline(checkpoint: str) -> Cosmos3OmniPipeline:
    pipeline = CHECKPOINTS[checkpoint].pipeline()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


KARRAS = {"use_karras_sigmas": True, "sigma_max": 200.0, "sigma_min": 0.147}
CHECKPOINTS = {
    "nano": RandomCheckpoint(form="nano", layers=3),
    "edge": RandomCheckpoint(form="edge", layers=2, native_flow=True, seed=1),
    "karras": RandomCheckpoint(form="nano", scheduler=KARRAS, seed=2),
    "no actions": RandomCheckpoint(action_gen=False, seed=3),
    "sound": RandomCheckpoint(form="nano", layers=3, sound=True, seed=4),
}


@pytest.fixture(autouse=True, scope="session")
def interrupts():
    """What a shell starts in the background ignores Ctrl-C, which some tests send, and would wait for it for ever."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def priority():
    """The lerobot library's own encoding, which tests compare with, would leave all later tests realtime threads."""
    with kept_priority():
        yield


@pytest.fixture(scope="session")
def pipelines():
    """diffusers' pipelines by name; see `CHECKPOINTS`."""
    return _pipeline


@pytest.fixture(scope="session")
def engines():
    """Engines on the same weights, by the same names."""
    return cache(lambda name: Engine.from_pipeline(_pipeline(name)))


@pytest.fixture(scope="session")
def checkpoint_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole checkpoint in the published layout."""
    folder = tmp_path_factory.mktemp("checkpoint")
    _pipeline("nano").save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def reasoner_folder(tmp_path_factory: pytest.TempPathFactory):
    """Whole checkpoints with a reasoner part, by their form: "nano" or "edge"."""

    @cache
    def folder(form: str) -> Path:
        path = tmp_path_factory.mktemp(f"reasoner_{form}")
        _pipeline(form).save_pretrained(path)
        save_reasoner(path)
        return path

    return folder
