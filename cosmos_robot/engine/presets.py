"""Presets: ways to be quicker that change the answer. Each has a name, and none is ever taken unasked.

What a preset costs in accuracy is measured, not promised: `python -m cosmos_robot.benchmarks.preset_error` compares
each with the exact answer on the same seeds.
"""

import math
from dataclasses import dataclass, fields, replace

from cosmos_robot.engine.sampler import Schedule
from cosmos_robot.errors import InvalidInputError

WARM_STEPS = 2
"""The first steps, which decide what is in the picture, are always computed; so is the last."""


@dataclass(frozen=True)
class Preset:
    """What is done otherwise than exactly.

    Attributes:
        name: of the preset; several joined by "+".
        step_share: of the default number of denoising steps; a number that the caller gives holds.
        reuse: of so many steps in the middle one is computed, the others take its velocity; 1 computes all.
        float8: the generation tower's linear layers in 8-bit floating point, weights and activations scaled by row, all
            but the first and the last layer (torchao; CUDA from compute capability 8.9 on).
        preview: frames by a small decoder of one convolution; such frames are shown and never gone on from.
    """

    name: str = "exact"
    step_share: float = 1.0
    reuse: int = 1
    float8: bool = False
    preview: bool = False

    @property
    def exact(self) -> bool:
        """Whether nothing is done otherwise."""
        return self == Preset(self.name)

    def num_steps(self, default: int) -> int:
        """Denoising steps where the caller names none."""
        return min(default, max(2, math.ceil(self.step_share * default)))

    def thin(self, schedule: Schedule) -> Schedule:
        """Mark the steps that take the velocity of the one before."""
        count = len(schedule.steps)
        reused = tuple(WARM_STEPS <= i < count - 1 and (i - WARM_STEPS + 1) % self.reuse != 0 for i in range(count))
        return replace(schedule, reused=reused)


PRESETS = {
    preset.name: preset
    for preset in (
        Preset("exact"),
        Preset("few-steps", step_share=1 / 3),
        Preset("step-cache", reuse=2),
        Preset("fp8", float8=True),
        Preset("preview", preview=True),
    )
}


def choose_preset(name: str) -> Preset:
    """Find a preset by its name, or put several together: "fp8+few-steps".

    Raises:
        InvalidInputError: if there is none of that name; the message lists them.
    """
    changes = {}
    for part in name.split("+"):
        if part not in PRESETS:
            raise InvalidInputError(
                f"unknown preset {part!r}; expected {', '.join(PRESETS)}, or several joined by '+'."
            )
        for field in fields(Preset):
            value = getattr(PRESETS[part], field.name)
            if field.name != "name" and value != field.default:
                changes[field.name] = value
    return Preset(name, **changes)
