"""A world model that computes nothing: it takes denoising steps of a chosen length, and what it answers follows from
the request alone, so that an answer tells which request it belongs to."""

import threading
import time
from types import SimpleNamespace

import numpy as np

from cosmos_robot.interface.generation import Generation
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.types import Rollout


class SteppingModel(WorldModel):
    """Args: seconds of a step, and what the checkpoint would say of itself."""

    def __init__(self, step=0.0, *, native=None, longest=None, num_steps=None):
        self.step = step
        self.batches = []
        self.stopped = 0
        self.gate = threading.Event()
        self.gate.set()
        if native or longest or num_steps:
            self.facts = SimpleNamespace(native_canvas=native, max_action_chunk_size=longest, num_steps=num_steps)

    def generate(self, requests, *, progress=None):
        self._work(requests, progress)
        return [self._rollout(request) for request in requests]

    def generate_media(self, requests, *, progress=None):
        self._work(requests, progress)
        return [self._generation(request) for request in requests]

    def clip_frames(self, request):
        return 1 + (self.facts.max_action_chunk_size if hasattr(self, "facts") else 16)

    def _work(self, requests, progress):
        self.batches.append(list(requests))
        for request in requests:
            if request.prompt == "break":
                raise ZeroDivisionError("a bug, with a path: /etc/hostname")
            if request.prompt == "die":
                raise SystemExit(3)
        steps = requests[0].num_steps or 3
        for done in range(steps):
            self.gate.wait()
            time.sleep(self.step)
            try:
                progress(done + 1, steps)
            except Exception:
                self.stopped += 1
                raise

    def _size(self, request):
        facts = getattr(self, "facts", None)
        return (facts and facts.native_canvas) or (32, 48)

    def _rollout(self, request):
        count = request.action_chunk_size
        given = request.actions
        values = given.values if given is not None else answered_actions(request.seed, count, request.domain)
        frames = np.full((count + 1, *self._size(request), 3), request.seed % 200, np.uint8)
        if request.mode == "inverse_dynamics":
            frames = request.frames
        return Rollout(
            frames=frames if request.return_frames else None,
            actions=values,
            action_space=request.action_space,
            domain=request.domain.name,
            fps=request.fps or request.domain.fps,
            seed=request.seed,
            prompt=request.prompt,
            notes=request.notes,
        )

    def _generation(self, request):
        count = 1 if request.image else request.num_frames or self.clip_frames(request)
        return Generation(
            mode=request.mode,
            frames=np.full((count, *self._size(request), 3), request.seed % 200, np.uint8),
            fps=request.fps or 24.0,
            sound=None,
            seed=request.seed,
            prompt=request.prompt,
            prompt_used=request.prompt_used,
            notes=request.notes,
        )


def answered_actions(seed, count, domain):
    """What the model answers: found again in the tests."""
    return np.random.default_rng(seed).uniform(-1, 1, (count, domain.raw_action_dim)).astype(np.float32)
