"""World models that are wrong on purpose: what a measure says of them is what it says of nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.request import ActionRequest
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.types import Actions, Progress, Rollout


@dataclass(frozen=True, eq=False)
class CopyFirstFrame(WorldModel):
    """Nothing ever moves: every frame is the one that it was given."""

    def generate(self, requests: Sequence[ActionRequest], *, progress: Progress | None = None) -> list[Rollout]:
        """Answer requests of forward dynamics, in their order."""
        return [_copied(request) for request in requests]


@dataclass(frozen=True, eq=False)
class ShuffledActions(WorldModel):
    """Another world model that is told a chunk's actions in a wrong order, drawn from the request's seed."""

    inner: WorldModel

    def generate(self, requests: Sequence[ActionRequest], *, progress: Progress | None = None) -> list[Rollout]:
        """Answer requests of forward dynamics, in their order."""
        answers = self.inner.generate([_shuffled(request) for request in requests], progress=progress)
        return [
            replace(answer, actions=_given(request).values) for answer, request in zip(answers, requests, strict=True)
        ]


def _copied(request: ActionRequest) -> Rollout:
    actions = _given(request)
    frames = np.repeat(request.frames[:1], request.action_chunk_size + 1, axis=0)
    fps = request.domain.fps if request.fps is None else request.fps
    return Rollout(frames, actions.values, actions.space, request.domain.name, fps, request.seed, request.prompt)


def _shuffled(request: ActionRequest) -> ActionRequest:
    actions = _given(request)
    order = np.random.default_rng([request.seed, 0x5F]).permutation(len(actions))
    return replace(request, actions=replace(actions, values=actions.values[order]))


def _given(request: ActionRequest) -> Actions:
    if request.actions is None:
        raise InvalidInputError(f"a control answers forward dynamics alone, not {request.mode}.")
    return request.actions
