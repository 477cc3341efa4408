"""Rollouts of any length: chunks chained on the last generated frame."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from cosmos_robot.errors import InvalidInputError, UnsupportedModeError
from cosmos_robot.interface.request import ActionRequest
from cosmos_robot.interface.steps import Chunk, Steps, run_steps
from cosmos_robot.types import Actions, FloatArray, Frames, Progress, Rollout


class Generate(Protocol):
    """Answers one chunk for each request: a world model's `generate`."""

    def __call__(self, requests: Sequence[ActionRequest], *, progress: Progress | None = None) -> list[Rollout]:
        """Answer requests, in their order."""
        ...


def chunk_seed(seed: int, chunk: int) -> int:
    """Give the seed of chunk `chunk` of a chained rollout: the seed itself, then numpy's `SeedSequence` of both."""
    return seed if chunk == 0 else int(np.random.SeedSequence([seed, chunk]).generate_state(1)[0])


def chain(generate: Generate, items: Sequence[ActionRequest], *, progress: Progress | None = None) -> list[Rollout]:
    """Answer requests whose actions are of any length, chunk after chunk, the items of a batch side by side.

    Args:
        generate: answers one chunk of forward dynamics at a time.
        items: forward-dynamics requests; `action_chunk_size` is the length of one generation.
        progress: told of each denoising step of the whole.

    Raises:
        UnsupportedModeError: if the model gives no frames to go on from.
    """
    return run_steps(chain_steps(items), lambda chunk: generate(chunk.requests, progress=chunk.progress(progress)))


def chain_steps(items: Sequence[ActionRequest]) -> Steps[ActionRequest, Rollout]:
    """The chain without the asking; see `chain`."""
    chunks = [-(-len(_actions(item)) // item.action_chunk_size) for item in items]
    rollouts: list[list[Rollout]] = [[] for _ in items]
    for k in range(max(chunks)):
        going = [i for i in range(len(items)) if k < chunks[i]]
        answers = yield Chunk([_chunk(items[i], rollouts[i], k) for i in going], k, max(chunks))
        for i, answer in zip(going, answers, strict=True):
            rollouts[i].append(answer)
    return [_join(item, parts) for item, parts in zip(items, rollouts, strict=True)]


def _actions(item: ActionRequest) -> Actions:
    if item.actions is None:
        raise InvalidInputError("a chained rollout takes actions.")
    return item.actions


def _chunk(item: ActionRequest, before: list[Rollout], k: int) -> ActionRequest:
    actions, size = _actions(item), item.action_chunk_size
    rows = actions.values[k * size : (k + 1) * size]
    if len(rows) < size:
        rows = np.concatenate([rows, np.repeat(rows[-1:], size - len(rows), axis=0)])
    frame = item.frames if not before else before[-1].frames_to_go_on_from()[-1:]
    return replace(item, frames=frame, actions=replace(actions, values=rows), seed=chunk_seed(item.seed, k))


def _frames(rollout: Rollout) -> Frames:
    if rollout.frames is None:
        raise UnsupportedModeError("a chained rollout needs frames to go on from; this world model gives none.")
    return rollout.frames


def _join(item: ActionRequest, parts: list[Rollout]) -> Rollout:
    count = len(_actions(item))
    frames = np.concatenate([_frames(parts[0])[:1], *(_frames(part)[1:] for part in parts)])[: count + 1]
    actions: FloatArray = np.concatenate([part.actions for part in parts])[:count]
    notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
    return replace(parts[0], frames=frames, actions=actions, seed=item.seed, notes=notes)
