"""World models of Push-T whose closed loops and videos are known in advance."""

from dataclasses import dataclass

import numpy as np
from bench_models import Copying

from cosmos_robot.benchmarks.pusht_policy import is_reached
from cosmos_robot.envs.pusht_state import agent_position
from cosmos_robot.interface.generation import Generation
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.training.pusht_prompts import (
    DIRECTIONS,
    direction_vector,
    hindsight_prompt,
    push_caption,
    push_prompt,
)
from cosmos_robot.training.pusht_recording import open_simulator, record_episode
from cosmos_robot.training.pusht_scripts import block_centre
from cosmos_robot.types import ActionSpace, Rollout

CHUNK = 16


class Still(Copying):
    """The pusher stays where it is seen."""

    def _answer(self, request):
        answer = super()._answer(request)
        place = agent_position(request.frames[0])
        actions = np.repeat(place[None], request.action_chunk_size, axis=0)
        return Rollout(answer.frames, actions, answer.action_space, "pusht", answer.fps, answer.seed, answer.prompt)


class Pushing(Still):
    """gym-pusht itself: of every task it has tried plans until one reached it, and it knows what was recorded.

    Args:
        tasks: that it will be asked.
        chunks: of each.
    """

    def __init__(self, tasks, chunks):
        self.known, self.coverage = {}, {}
        env = open_simulator()
        for task in tasks:
            recorded = record_episode(env, task.seed, CHUNK)
            told = hindsight_prompt(recorded.agent, recorded.block)
            for frames, actions, coverage in _plans(env, task, chunks):
                self.coverage[task.seed] = coverage
                prompt = push_prompt(task.direction)
                self.known |= {(f.tobytes(), prompt): a for f, a in zip(frames, actions, strict=True)}
            assert told != push_prompt(task.direction)
            self.known[recorded.frames[0].tobytes(), told] = recorded.actions
        env.close()

    def _answer(self, request):
        actions = self.known.get((request.frames[0].tobytes(), request.prompt))
        if actions is None:
            return super()._answer(request)
        return Rollout(None, actions, ActionSpace.ROBOT, "pusht", 10.0, request.seed, request.prompt)


def _plans(env, task, chunks):
    """The first plan that reaches a task: what is seen before each chunk, its actions, and the coverage at the end."""
    _, info = env.reset(seed=task.seed)
    start, way, agent = block_centre(info["block_pose"]), direction_vector(task.direction), info["pos_agent"]
    side = np.array([-way[1], way[0]])
    for hand in (np.sign(side @ (agent - start) + 1e-9), -np.sign(side @ (agent - start) + 1e-9)):
        for aside in (0, 15, -15, 30, -30):
            around, middle = start + 140 * side * hand, start + aside * side
            points = [agent, around, around - 110 * way, middle - 110 * way, middle + 90 * way]
            actions = _along(np.clip(points, 15, 497), CHUNK * chunks)
            observation, _ = env.reset(seed=task.seed)
            frames = []
            for index, action in enumerate(actions):
                if index % CHUNK == 0:
                    frames.append(observation["pixels"])
                observation, _, _, _, info = env.step(action.astype(np.float64))
            if is_reached(block_centre(info["block_pose"]) - start, task.direction):
                yield frames, actions.reshape(chunks, CHUNK, 2), float(info["coverage"])
                return
    raise AssertionError(f"no plan reaches {task}")


def _along(points, count):
    lengths = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    places = np.linspace(0, lengths[-1], count + 1)[1:]
    return np.stack([np.interp(places, lengths, points[:, i]) for i in (0, 1)], axis=1).astype(np.float32)


def push_shard(folder, each=1):
    """A shard of episodes of one window in which the T goes 60 px in each direction, the pusher ahead of it."""
    env, episodes = open_simulator(), []
    for direction in DIRECTIONS * each:
        frames, agents, blocks = [], [], []
        for way in np.linspace(0, 60, CHUNK + 1)[:, None] * direction_vector(direction):
            state = [*(np.array([256.0, 100.0]) + way), *(np.array([256.0, 300.0]) + way), 0.4]
            observation, info = env.reset(options={"reset_to_state": state})
            frames.append(observation["pixels"])
            agents.append(info["pos_agent"])
            blocks.append(info["block_pose"])
        episodes.append((frames, agents, blocks))
    env.close()
    frames, agents, blocks = (np.array([episode[i] for episode in episodes]) for i in range(3))
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        folder / "pusht_1000700_1000800.npz",
        seeds=np.arange(1_000_700, 1_000_700 + len(episodes)),
        frames=frames.astype(np.uint8),
        actions=agents[:, 1:].astype(np.float32),
        agent=agents.astype(np.float32),
        block=blocks.astype(np.float32),
    )
    return folder


@dataclass(frozen=True, eq=False)
class Videos(WorldModel):
    """Answers with the recorded clip that a caption is true of; told nothing, with noise where there is no frame."""

    clips: dict

    def generate(self, requests, *, progress=None):
        raise AssertionError("no action mode is asked for")

    def generate_media(self, requests, *, progress=None):
        return [self._media(request) for request in requests]

    def _media(self, request):
        frames = self._frames(request)
        frames = frames[-1:] if request.mode == "text2image" else frames
        return Generation(request.mode, frames, 10.0, None, request.seed, request.prompt, request.prompt)

    def _frames(self, request):
        if request.prompt in self.clips:
            return self.clips[request.prompt]
        return np.repeat(request.frames[:1], CHUNK + 1, axis=0)


class CopiedVideos(Videos):
    """Nothing moves; without a first frame it is the same scene whatever is asked for."""

    def _frames(self, request):
        first = next(iter(self.clips.values()))[:1] if request.frames is None else request.frames[:1]
        return np.repeat(first, CHUNK + 1, axis=0)


class NoisyVideos(Videos):
    """Every pixel is noise."""

    def _frames(self, request):
        return np.random.default_rng(request.seed).integers(0, 256, (CHUNK + 1, 96, 96, 3), dtype=np.uint8)


def clips_by_caption(folder):
    """What was recorded, by the caption that it is true of."""
    with np.load(next(folder.glob("*.npz"))) as arrays:
        return {push_caption(direction): arrays["frames"][i] for i, direction in enumerate(DIRECTIONS)}
