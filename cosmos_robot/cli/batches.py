"""Samples that share one call of a world model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import batched, groupby

import numpy as np

from cosmos_robot.cli.inputs import SampleInputs
from cosmos_robot.cli.samples import Sample, SampleMode
from cosmos_robot.domains.domain import Domain
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.request import ActionOptions
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.types import Actions, ActionSpace, Progress, Rollout


@dataclass(frozen=True)
class BatchKind:
    """What the samples of one call have in common; samples of equal kinds can go together.

    Attributes are those of `Sample`, with the domain and the chunk found.
    """

    mode: SampleMode
    domain: Domain
    action_chunk_size: int
    action_space: ActionSpace
    image_size: int | str | None
    fps: float | None
    view_point: str | None
    num_steps: int | None
    guidance: float | None
    shift: float | None

    @classmethod
    def of(cls, sample: Sample, inputs: SampleInputs) -> "BatchKind":
        """Find the kind of a sample."""
        return cls(
            mode=sample.model_mode,
            domain=inputs.domain,
            action_chunk_size=inputs.action_chunk_size,
            action_space=ActionSpace(sample.action_space),
            image_size=sample.tier,
            fps=sample.fps,
            view_point=sample.view_point,
            num_steps=sample.num_steps,
            guidance=sample.guidance,
            shift=sample.shift,
        )


def consecutive_batches[Kind, Item](
    items: Sequence[tuple[Kind, Item]], size: int
) -> Iterator[tuple[Kind, tuple[Item, ...]]]:
    """Cut a sequence into runs of one kind, of at most `size` items, in their order."""
    for kind, run in groupby(items, key=lambda pair: pair[0]):
        for batch in batched((item for _, item in run), size):
            yield kind, batch


def answer(
    world_model: WorldModel,
    kind: BatchKind,
    samples: Sequence[Sample],
    inputs: Sequence[SampleInputs],
    progress: Progress,
) -> list[Rollout]:
    """Ask a world model for the answers to samples of one kind, in one call.

    Raises:
        CosmosRobotError: whatever the world model raises.
    """
    options = ActionOptions(
        prompt=[sample.prompt for sample in samples],
        negative_prompt=[sample.negative_prompt for sample in samples],
        action_space=kind.action_space,
        image_size=kind.image_size,
        fps=kind.fps,
        view_point=kind.view_point,
        num_steps=kind.num_steps,
        guidance=kind.guidance,
        shift=kind.shift,
        seed=[sample.seed for sample in samples],
        progress=progress,
    )
    frames = [given.frames[0] for given in inputs]
    match kind.mode:
        case "forward_dynamics":
            return world_model.forward_dynamics(frames, _given_actions(inputs), domain=kind.domain, **options)
        case "rollout":
            return world_model.rollout(
                frames,
                _given_actions(inputs),
                domain=kind.domain,
                action_chunk_size=kind.action_chunk_size,
                **options,
            )
        case "inverse_dynamics":
            clips = [given.frames for given in inputs]
            return world_model.inverse_dynamics(
                clips, domain=kind.domain, action_chunk_size=kind.action_chunk_size, **options
            )
        case "policy":
            states = [np.array(s.state, dtype=np.float32) for s in samples if s.state is not None]
            return world_model.policy(
                frames,
                domain=kind.domain,
                action_chunk_size=kind.action_chunk_size,
                state=states or None,  # all samples of a kind have one, or none has: the domain says
                **options,
            )


def _given_actions(inputs: Sequence[SampleInputs]) -> list[Actions]:
    actions = [given.actions for given in inputs if given.actions is not None]
    if len(actions) != len(inputs):
        raise InvalidInputError("forward dynamics and rollout need the actions of every sample.")
    return actions
