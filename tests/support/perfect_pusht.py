"""A world model that is gym-pusht itself: what it answers about a start that it knows is exactly right."""

from dataclasses import dataclass

import numpy as np

from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.training.pusht_recording import open_simulator
from cosmos_robot.training.pusht_scripts import PushTowards, Scene
from cosmos_robot.types import ActionSpace, Rollout


@dataclass(frozen=True, eq=False)
class Played:
    """Everything from a reset on: frames `[n + 1, 96, 96, 3]` and actions `[n, 2]` in table pixels."""

    seed: int
    frames: np.ndarray
    actions: np.ndarray


class PerfectPushT(WorldModel):
    """Finds a frame among all that it has played, replays the way there, and goes on.

    Args:
        seeds: environment seeds whose first frames it knows.
    """

    def __init__(self, *seeds):
        self.played = [self._play(seed, np.zeros((0, 2), np.float32)) for seed in seeds]
        self.prompts = []

    def generate(self, requests, *, progress=None):
        self.prompts += [request.prompt for request in requests]
        if progress is not None:
            progress(1, 1)
        return [getattr(self, f"_{request.mode}")(request) for request in requests]

    def _forward_dynamics(self, request):
        return self._go_on(request, request.domain.decode(request.actions).values)

    def _policy(self, request):
        return self._go_on(request, None)

    def _go_on(self, request, actions):
        past, count = self._find(request.frames), request.action_chunk_size
        played = self._play(past.seed, past.actions, then=actions, count=count)
        self.played.append(played)
        return self._answer(request, played.frames[-count - 1 :], played.actions[-count:])

    def _inverse_dynamics(self, request):
        past = self._find(request.frames)
        actions = past.actions[-request.action_chunk_size :]
        if request.action_space is ActionSpace.MODEL:
            actions = request.domain.encode(actions).values
        return self._answer(request, request.frames, actions)

    def _answer(self, request, frames, actions):
        space, domain = request.action_space, request.domain
        return Rollout(frames, actions, space, domain.name, domain.fps, request.seed, request.prompt)

    def _find(self, frames):
        """What was played up to the end of a clip, the newest first: a resting scene looks the same for long."""
        for played in reversed(self.played):
            for end in range(len(played.frames), len(frames) - 1, -1):
                if np.array_equal(played.frames[end - len(frames) : end], frames):
                    return Played(played.seed, played.frames[:end], played.actions[: end - 1])
        raise InvalidInputError("this frame is none that the perfect model has played.")

    def _play(self, seed, past, *, then=None, count=0):
        env = open_simulator()
        observation, info = env.reset(seed=seed)
        pusher = PushTowards(np.random.default_rng(seed))
        frames, actions = [observation["pixels"]], []
        for index in range(len(past) + count):
            if index < len(past):
                action = past[index]
            elif then is not None:
                action = then[index - len(past)]
            else:
                action = np.clip(pusher.target(Scene(observation["agent_pos"], info["block_pose"])), 0, 512)
            actions.append(np.asarray(action, np.float32))
            observation, _, _, _, info = env.step(actions[-1].astype(np.float64))
            frames.append(observation["pixels"])
        env.close()
        return Played(seed, np.stack(frames).astype(np.uint8), np.array(actions, np.float32).reshape(-1, 2))
