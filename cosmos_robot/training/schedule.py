"""How long a training runs and how its learning rate goes: by steps, by seconds, or by whichever ends first."""

import math
from dataclasses import dataclass

from cosmos_robot.errors import InvalidInputError


@dataclass(frozen=True)
class Budget:
    """The length of a training.

    Attributes:
        steps: optimiser steps, or None for no limit by steps.
        seconds: seconds of training over all of its runs, or None for no limit by time.
    """

    steps: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.steps is None and self.seconds is None:
            raise InvalidInputError("a training needs a budget: a number of steps, of seconds, or both.")

    def spent(self, step: int, elapsed: float) -> float:
        """Share of the budget that is spent, 0..1, after `step` steps and `elapsed` seconds."""
        shares = [0.0]
        if self.steps is not None:
            shares.append(step / max(self.steps, 1))
        if self.seconds is not None:
            shares.append(elapsed / max(self.seconds, 1e-9))
        return min(max(shares), 1.0)


@dataclass(frozen=True)
class LearningRate:
    """Linear warm-up, a plateau, then a cosine down to `floor` of the peak.

    Attributes:
        peak: of the plateau.
        warmup_steps: optimiser steps of the warm-up.
        decay_from: share of the budget at which the decay begins.
        floor: what is left of the peak at the end.
    """

    peak: float
    warmup_steps: int = 200
    decay_from: float = 0.5
    floor: float = 0.02

    def at(self, step: int, spent: float) -> float:
        """The learning rate of step `step` (from 0) with the share `spent` of the budget behind it."""
        warm = min(1.0, (step + 1) / max(self.warmup_steps, 1))
        if spent <= self.decay_from:
            return self.peak * warm
        through = (spent - self.decay_from) / max(1.0 - self.decay_from, 1e-9)
        return self.peak * warm * (self.floor + (1.0 - self.floor) * 0.5 * (1.0 + math.cos(math.pi * through)))
