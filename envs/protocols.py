"""What judges an imagined step: rewards, and how far the imagination can be trusted.

The environments call both once a step with all of their environments together, so that a judge that computes can
work in one batch. A reward is a plain function of frames, or an object with `judge`; see `FrameReward` and `Judge`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from cosmos_robot.domains.domain import Domain
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.short_repr import ShortRepr
from cosmos_robot.types import FloatArray, Frames


@dataclass(frozen=True, eq=False, repr=False)
class ImaginedStep(ShortRepr):
    """What one step of one environment imagined.

    With `step="chunk"` a step is a whole chunk, and `frames` is `chunk_frames`. With `step="action"` it is one action
    of a chunk that was imagined as a whole, the actions that are not known yet filled with the last one.

    Attributes:
        frames: uint8 `[n + 1, H, W, 3]`: the frame that was observed before the step, then those of the step.
        actions: float32 `[n, D]` in robot units: the actions of the step.
        chunk_frames: uint8 `[k + 1, H, W, 3]`: the whole chunk, from its decoded anchor on.
        chunk_actions: float32 `[k, D]` in robot units: the actions that it was imagined with.
        domain: the robot.
        prompt: what the robot should do.
        seed: of the chunk's noise.
        start: number of the start that the episode began from.
        start_frame: uint8 `[H, W, 3]`: the first observation of the episode.
        elapsed_steps: steps of the episode, this one included.
    """

    frames: Frames
    actions: FloatArray
    chunk_frames: Frames
    chunk_actions: FloatArray
    domain: Domain
    prompt: str
    seed: int
    start: int
    start_frame: Frames
    elapsed_steps: int


@dataclass(frozen=True)
class Judgement:
    """What a reward says of a step.

    Attributes:
        reward: the step's reward.
        success: whether the task is solved, which ends the episode as terminated; None where the reward cannot tell.
        details: figures to pass on in `info`, the same keys at every step.
    """

    reward: float
    success: bool | None = None
    details: Mapping[str, float] = field(default_factory=dict)


class FrameReward(Protocol):
    """The simple form of a reward: a function of the step's frames."""

    def __call__(self, frames: Frames, /) -> float | Judgement:
        """Judge frames uint8 `[n + 1, H, W, 3]`, of which the first was observed before the step."""
        ...


@runtime_checkable
class Judge(Protocol):
    """The full form of a reward: an object that sees whole steps, one of each environment, in one call.

    One that also has `close()`, and was made by an environment from its name, is closed with the environment.
    """

    def judge(self, steps: Sequence[ImaginedStep]) -> Sequence[Judgement]:
        """Judge steps, in their order."""
        ...


class TrustScore(Protocol):
    """How far the imagination of a step went astray: 0 is no doubt, more is worse."""

    def __call__(self, world_model: WorldModel, steps: Sequence[ImaginedStep]) -> Sequence[float]:
        """Score steps, one of each environment, in their order; each score is finite and at least 0."""
        ...


@dataclass(frozen=True)
class Trust:
    """When an episode ends because its imagination is not to be trusted any more.

    Attributes:
        score: how far a step went astray.
        threshold: a step whose score is above it is truncated, with the reason "trust".
    """

    score: TrustScore
    threshold: float

    def __post_init__(self) -> None:
        if not np.isfinite(self.threshold) or self.threshold < 0:
            raise InvalidInputError(
                f"the threshold of trust must be a finite number of at least 0; got {self.threshold}."
            )


@dataclass(frozen=True)
class FrameJudge:
    """A `FrameReward` as a `Judge`."""

    reward: FrameReward

    def judge(self, steps: Sequence[ImaginedStep]) -> list[Judgement]:
        """Judge each step by its frames."""
        answers = [self.reward(step.frames) for step in steps]
        return [answer if isinstance(answer, Judgement) else Judgement(float(answer)) for answer in answers]


class NoReward:
    """The reward of an environment that was given none: 0 at every step, success unknown."""

    def judge(self, steps: Sequence[ImaginedStep]) -> list[Judgement]:
        """Give every step 0."""
        return [Judgement(0.0) for _ in steps]
