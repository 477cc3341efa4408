"""World models whose figures are known in advance, and what loads them in a worker of a benchmark run."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from perfect_pusht import PerfectPushT, Played

from cosmos_robot.errors import CheckpointError, InvalidInputError
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.training.pusht_recording import RecordingConfig, read_shard, record
from cosmos_robot.types import ActionSpace, Rollout

FIRST_SEED = 1_000_600


def record_episodes(folder, episodes=3, steps=40):
    """Record held-out Push-T episodes as shards."""
    record(folder, RecordingConfig(episodes=episodes, steps=steps, first_seed=FIRST_SEED, shard_episodes=2))
    return folder


class Perfect(PerfectPushT):
    """Reads the middle of the table off frames that never were, and chooses what was done after a frame it has seen."""

    def _policy(self, request):
        frame, count = request.frames[0], request.action_chunk_size
        for played in self.played:
            for first in range(len(played.actions) - count + 1):
                if np.array_equal(played.frames[first], frame):
                    chosen = request.domain.encode(played.actions[first : first + count]).values
                    return _rollout(request, None, chosen)
        return super()._policy(request)

    def _inverse_dynamics(self, request):
        try:
            return super()._inverse_dynamics(request)
        except InvalidInputError:
            return _rollout(request, request.frames, np.zeros((request.action_chunk_size, 2), np.float32))


def perfect(config, number, workers):
    """gym-pusht itself, which knows every episode of the run."""
    model = Perfect()
    for path in sorted(Path(config.episodes).glob("*.npz")):
        model.played += [Played(e.seed, e.frames, e.actions) for e in read_shard(path)]
    return model


class Copying(WorldModel):
    """Nothing moves: frames are the first one, actions are the middle of the table."""

    def generate(self, requests, *, progress=None):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        chunk = request.action_chunk_size
        frames = request.frames if len(request.frames) > 1 else np.repeat(request.frames, chunk + 1, axis=0)
        return _rollout(request, frames, np.zeros((chunk, 2), np.float32))


class Random(WorldModel):
    """Noise, uniform in every pixel and in every channel of the actions."""

    def generate(self, requests, *, progress=None):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        rng, chunk = np.random.default_rng(request.seed), request.action_chunk_size
        shape = (chunk + 1, *request.frames.shape[1:])
        frames = request.frames if len(request.frames) > 1 else rng.integers(0, 256, shape, dtype=np.uint8)
        return _rollout(request, frames, rng.uniform(-1, 1, (chunk, 2)).astype(np.float32))


def _rollout(request, frames, actions):
    """An answer with actions in model space where none were given."""
    domain = request.domain
    if request.actions is not None:
        actions, space = request.actions.values, request.actions.space
    else:
        space = request.action_space
        actions = actions if space is ActionSpace.MODEL else domain.decode(actions).values
    return Rollout(frames, actions, space, domain.name, domain.fps, request.seed, request.prompt)


class NoNumbers(WorldModel):
    """Its actions are NaN."""

    def generate(self, requests, *, progress=None):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        actions = np.full((request.action_chunk_size, 2), np.nan, np.float32)
        return Rollout(None, actions, request.action_space, request.domain.name, 10.0, request.seed, request.prompt)


def copying(config, number, workers):
    return Copying()


def random(config, number, workers):
    return Random()


class Faulty(Copying):
    """Fails for the windows of one seed, and says so; all others are copied."""

    def __init__(self, seeds):
        self.seeds = set(seeds)

    def _answer(self, request):
        if request.seed in self.seeds:
            raise InvalidInputError("this one cannot be imagined.")
        return super()._answer(request)


@dataclass(frozen=True)
class LoadFaulty:
    seeds: tuple

    def __call__(self, config, number, workers):
        return Faulty(self.seeds)


@dataclass(frozen=True)
class LoadMortal:
    """Copies, but its process is killed at a row of these seeds: at the first time, or always."""

    seeds: tuple
    marks: Path
    always: bool = False

    def __call__(self, config, number, workers):
        return Mortal(self)


class Mortal(Copying):
    def __init__(self, fate):
        self.fate = fate

    def _answer(self, request):
        mark = self.fate.marks / str(request.seed)
        if request.seed in self.fate.seeds and (self.fate.always or not mark.exists()):
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._answer(request)


def unloadable(config, number, workers):
    raise CheckpointError("there is no such checkpoint.")


def too_large(config, number, workers):
    raise MemoryError("no room for the weights")
