"""The sampler: diffusers' UniPC as a table of numbers, so that a denoising loop asks the host nothing.

Each step of `UniPCMultistepScheduler` is linear in what it reads: the model's velocity, the sample, the last sample
and the last converted outputs. Its coefficients depend on the noise schedule alone. They are read off diffusers' own
scheduler beforehand, by letting it take each step on unit vectors; whatever schedule it is configured with (flow,
Karras, native flow, any order) is then followed exactly. Distilled checkpoints sample by another rule, linear too, on
noise levels of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler
from torch import Tensor

from cosmos_robot.errors import CheckpointError


@dataclass(frozen=True)
class StepCoefficients:
    """One step as three rows over the basis `[velocity, sample, last sample, outputs newest first ...]`.

    Attributes:
        sample: the next sample.
        corrected: this step's sample after the corrector: the next step's "last sample".
        output: this step's converted model output (its estimate of the clean sample).
        noise: how much fresh noise is added to the next sample; 0 but for distilled checkpoints.
    """

    sample: tuple[float, ...]
    corrected: tuple[float, ...]
    output: tuple[float, ...]
    noise: float = 0.0


@dataclass(frozen=True)
class Schedule:
    """A whole denoising schedule.

    Attributes:
        timesteps: what the model is told at each step.
        sigmas: noise level before each step, and after the last.
        steps: the coefficients.
        order: how many past outputs a step reads.
        reused: for each step whether it takes the velocity of the one before; empty where all are computed.
    """

    timesteps: tuple[float, ...]
    sigmas: tuple[float, ...]
    steps: tuple[StepCoefficients, ...]
    order: int
    reused: tuple[bool, ...] = ()

    def reuses(self, index: int) -> bool:
        """Whether a step takes the velocity of the one before."""
        return bool(self.reused) and self.reused[index]

    def table(self) -> Tensor:
        """The coefficients of every step: float32 `[steps, rows, 3 + order]`, rows as `SamplerState` keeps them."""
        rows = [[step.sample, step.corrected, *([step.output] if self.order else [])] for step in self.steps]
        return torch.tensor(rows, dtype=torch.float32)


@dataclass(frozen=True, eq=False)
class SamplerState:
    """What a modality carries from step to step: tensors of one shape, float32."""

    sample: Tensor
    last_sample: Tensor
    outputs: tuple[Tensor, ...]

    @classmethod
    def start(cls, noise: Tensor, order: int) -> "SamplerState":
        """Begin at the initial latents; the history is empty, its coefficients are 0."""
        return cls(sample=noise, last_sample=noise, outputs=(noise,) * order)

    def step(self, velocity: Tensor, coefficients: StepCoefficients) -> "SamplerState":
        """Take one denoising step."""
        basis = (velocity, self.sample, self.last_sample, *self.outputs)
        return SamplerState(
            sample=_combine(coefficients.sample, basis),
            last_sample=_combine(coefficients.corrected, basis),
            outputs=(_combine(coefficients.output, basis), *self.outputs[:-1]) if self.outputs else (),
        )


def build_schedule(scheduler_config: Any, num_steps: int, *, shift: float | None, native_flow: bool) -> Schedule:
    """Work out a schedule from a checkpoint's scheduler configuration.

    Args:
        scheduler_config: of the checkpoint's `UniPCMultistepScheduler`.
        num_steps: denoising steps.
        shift: flow shift. A number replaces the schedule by flow sigmas with that shift, as the published action
            examples do (`from_config(..., flow_shift=shift, use_karras_sigmas=False)`); None keeps it.
        native_flow: whether the checkpoint samples on its training schedule (`use_native_flow_schedule`).

    Raises:
        CheckpointError: if the scheduler is one whose steps are not linear.
    """
    scheduler = _scheduler(scheduler_config, shift)
    if native_flow:
        last = 1.0 - 1.0 / scheduler.config.num_train_timesteps
        scheduler.set_timesteps(num_steps, sigmas=np.linspace(last, 0.0, num_steps + 1)[:-1])
    else:
        scheduler.set_timesteps(num_steps)
    scheduler.set_begin_index(0)
    order = scheduler.config.solver_order
    basis = torch.eye(3 + order, dtype=torch.float64).unsqueeze(1)
    steps = tuple(_read_step(scheduler, index, basis, order) for index in range(len(scheduler.timesteps)))
    return Schedule(
        timesteps=tuple(float(t) for t in scheduler.timesteps),
        sigmas=tuple(float(s) for s in scheduler.sigmas),
        steps=steps,
        order=order,
    )


def build_distilled_schedule(scheduler_config: Any, sigmas: Sequence[float]) -> Schedule:
    """Work out the fixed schedule of a distilled checkpoint: to a clean sample and back to the next noise level.

    Args:
        scheduler_config: of the checkpoint's `FlowMatchEulerDiscreteScheduler`.
        sigmas: the checkpoint's `distilled_sigmas`.
    """
    scheduler = FlowMatchEulerDiscreteScheduler.from_config(scheduler_config)
    scheduler.set_timesteps(sigmas=list(sigmas))
    levels = [float(sigma) for sigma in scheduler.sigmas]
    steps = []
    for now, after in pairwise(levels):
        # x0 = x - now v, then (1 - after) x0 + after noise; without stochastic sampling x + (after - now) v.
        if scheduler.config.stochastic_sampling:
            row, noise = (-(1.0 - after) * now, 1.0 - after, 0.0), after
        else:
            row, noise = (after - now, 1.0, 0.0), 0.0
        steps.append(StepCoefficients(sample=row, corrected=(0.0, 1.0, 0.0), output=(), noise=noise))
    return Schedule(
        timesteps=tuple(float(t) for t in scheduler.timesteps), sigmas=tuple(levels), steps=tuple(steps), order=0
    )


def _scheduler(config: Any, shift: float | None) -> UniPCMultistepScheduler:
    changes = {} if shift is None else {"flow_shift": shift, "use_flow_sigmas": True, "use_karras_sigmas": False}
    scheduler = UniPCMultistepScheduler.from_config(config, **changes)
    if scheduler.config.thresholding or scheduler.solver_p is not None:
        raise CheckpointError(
            "this checkpoint's scheduler uses thresholding or a second solver, whose steps are not linear; "
            "set thresholding=false and solver_p=null in its scheduler/scheduler_config.json."
        )
    return scheduler


def _read_step(scheduler: UniPCMultistepScheduler, index: int, basis: Tensor, order: int) -> StepCoefficients:
    """Let diffusers' scheduler take step `index` on unit vectors; what comes out are the coefficients."""
    velocity, sample, last_sample, *outputs = basis
    known = min(index, order)
    scheduler.model_outputs = [None] * (order - known) + list(reversed(outputs[:known]))
    scheduler.last_sample = last_sample if index else None
    moved = scheduler.step(velocity, scheduler.timesteps[index], sample, return_dict=False)[0]
    return StepCoefficients(
        sample=_row(moved), corrected=_row(scheduler.last_sample), output=_row(scheduler.model_outputs[-1])
    )


def _row(vector: Tensor) -> tuple[float, ...]:
    return tuple(vector.flatten().tolist())


def _combine(row: tuple[float, ...], basis: tuple[Tensor, ...]) -> Tensor:
    total: Tensor | None = None
    for coefficient, tensor in zip(row, basis, strict=True):
        if coefficient:  # known beforehand: a zero costs no operation
            total = tensor * coefficient if total is None else total.add(tensor, alpha=coefficient)
    return torch.zeros_like(basis[0]) if total is None else total
