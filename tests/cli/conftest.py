"""A program to call, media made on the spot, and a world model that copies its input and remembers what was asked."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cosmos_robot.cli.app import app
from cosmos_robot.datasets.video import write_video
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.types import ActionSpace, Rollout


class CopyingWorldModel(WorldModel):
    """Answers every request with its first frame repeated and its own actions, or zeros."""

    def __init__(self):
        self.loaded = []
        self.calls = []
        self.before_answer = lambda requests: None

    def load(self, checkpoint=None, *, device=None, dtype=None, **options):
        self.loaded.append((checkpoint, device, dtype))
        return self

    @property
    def requests(self):
        return [request for call in self.calls for request in call]

    def generate(self, requests, *, progress=None):
        self.before_answer(requests)
        self.calls.append(list(requests))
        if progress is not None:
            progress(1, 1)
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        chunk = request.action_chunk_size
        if request.actions is not None:
            actions, space = request.actions.values, request.actions.space
        else:
            actions, space = np.zeros((chunk, request.domain.raw_action_dim), np.float32), request.action_space
        frames = request.frames if len(request.frames) > 1 else np.repeat(request.frames, chunk + 1, axis=0)
        return Rollout(
            frames=frames if request.return_frames else None,
            actions=actions,
            action_space=ActionSpace(space),
            domain=request.domain.name,
            fps=request.fps or request.domain.fps,
            seed=request.seed,
            prompt=request.prompt,
            notes=request.notes,
        )


@pytest.fixture
def world_model(monkeypatch):
    """The copying world model, in the place of every checkpoint."""
    model = CopyingWorldModel()
    monkeypatch.setattr("cosmos_robot.world_model.load_world_model", model.load)
    return model


@pytest.fixture
def cosmos_robot(tmp_path, monkeypatch):
    """Call the program in an empty folder; gives `exit_code`, `stdout` and `stderr`."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="cosmos-robot")

    return call


@pytest.fixture
def frame(tmp_path):
    path = tmp_path / "frame.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def video(tmp_path):
    """21 frames at 10 fps, each of its own brightness."""
    path = tmp_path / "video.mp4"
    frames = np.stack([np.full((64, 96, 3), 10 + 10 * index, np.uint8) for index in range(21)])
    write_video(path, frames, 10)
    return path


@pytest.fixture
def pixels(tmp_path):
    """Push-T actions in robot units: 16 rows of pixels."""
    path = tmp_path / "pixels.json"
    path.write_text(json.dumps(np.random.default_rng(1).uniform(100, 400, (16, 2)).tolist()))
    return path


@pytest.fixture
def normalised(tmp_path):
    """Push-T actions in model space: 16 rows in [-1, 1]."""
    path = tmp_path / "normalised.json"
    path.write_text(json.dumps(np.random.default_rng(2).uniform(-1, 1, (16, 2)).astype(np.float32).tolist()))
    return path


@pytest.fixture
def samples_file(tmp_path, frame, normalised):
    """Write a .jsonl of Push-T samples; each argument changes or adds keys of one of them."""

    def write(*changes, name="samples.jsonl"):
        lines = []
        for index, change in enumerate(changes):
            sample = {
                "name": f"sample_{index}",
                "model_mode": "forward_dynamics",
                "domain_name": "pusht",
                "vision_path": frame.name,
                "action_path": normalised.name,
                **change,
            }
            lines.append(json.dumps({key: value for key, value in sample.items() if value is not ...}))
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n")
        return path

    return write
