"""What the public calls of the action modes ask: their arguments read, checked, and made into requests."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosmos_robot.domains.domain import Domain
from cosmos_robot.interface.batch import cut_note, read_clips, read_observations
from cosmos_robot.interface.call import ActionCall
from cosmos_robot.interface.request import ActionOptions, ActionRequest
from cosmos_robot.types import Progress


@dataclass(frozen=True, eq=False)
class AskedActions:
    """One call.

    Attributes:
        items: a request for each item of its batch.
        batched: whether it was given as a batch, so that a list comes back.
        progress: told of each denoising step.
    """

    items: list[ActionRequest]
    batched: bool
    progress: Progress | None


def forward_dynamics_requests(
    observation: Any, actions: Any, domain: str | Path | Domain, options: ActionOptions
) -> AskedActions:
    """Read a call of `WorldModel.forward_dynamics`, which says what the arguments are and what is raised."""
    call = ActionCall.of(domain, options)
    observations, batched = read_observations(observation)
    given = call.actions(actions, len(observations), batched=batched)
    items = [
        {"frames": seen.frame[None], "action_chunk_size": len(acts), "actions": acts}
        for seen, acts in zip(observations, given, strict=True)
    ]
    return AskedActions(call.requests("forward_dynamics", items), batched, call.progress)


def inverse_dynamics_requests(
    frames: Any, domain: str | Path | Domain, action_chunk_size: int | None, options: ActionOptions
) -> AskedActions:
    """Read a call of `WorldModel.inverse_dynamics`."""
    call = ActionCall.of(domain, options)
    clips, batched = read_clips(frames)
    chunk = call.chunk_size(action_chunk_size)
    items = [
        {"frames": clip[: chunk + 1], "action_chunk_size": chunk, "notes": cut_note(len(clip), chunk)} for clip in clips
    ]
    return AskedActions(call.requests("inverse_dynamics", items), batched, call.progress)


def policy_requests(
    observation: Any,
    domain: str | Path | Domain,
    action_chunk_size: int | None,
    options: ActionOptions,
    *,
    state: Any,
    return_frames: bool | None,
) -> AskedActions:
    """Read a call of `WorldModel.policy`."""
    call = ActionCall.of(domain, options)
    observations, batched = read_observations(observation)
    chunk = call.chunk_size(action_chunk_size)
    wanted = call.domain.decodes_frames if return_frames is None else return_frames
    items = [
        {"frames": seen.frame[None], "action_chunk_size": chunk, "state": given, "return_frames": wanted}
        for seen, given in zip(observations, call.states(state, observations), strict=True)
    ]
    return AskedActions(call.requests("policy", items), batched, call.progress)


def rollout_requests(
    observation: Any,
    actions: Any,
    domain: str | Path | Domain,
    action_chunk_size: int | None,
    options: ActionOptions,
) -> AskedActions:
    """Read a call of `WorldModel.rollout`; its actions are of any length, its `action_chunk_size` is of one chunk."""
    call = ActionCall.of(domain, options)
    observations, batched = read_observations(observation)
    given = call.actions(actions, len(observations), batched=batched)
    chunk = call.chunk_size(action_chunk_size)
    items = [
        {"frames": seen.frame[None], "action_chunk_size": chunk, "actions": acts}
        for seen, acts in zip(observations, given, strict=True)
    ]
    return AskedActions(call.requests("forward_dynamics", items), batched, call.progress)
