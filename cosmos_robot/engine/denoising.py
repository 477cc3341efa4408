"""The denoising loop, which every mode shares: a batch of noisy latents in, clean ones out.

Classifier-free guidance is one pass over twice the batch: the items with their prompts, then again with their
negative prompts, each with its own cached keys. Steps outside the guidance interval run the first half alone. No step
asks the host anything.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from cosmos_robot.engine.generation import GenerationContext, GenerationTower, Latents
from cosmos_robot.engine.layout import SequenceLayout
from cosmos_robot.engine.sampler import SamplerState, Schedule
from cosmos_robot.engine.understanding import PromptKeys


@dataclass(frozen=True, eq=False)
class Guidance:
    """Classifier-free guidance.

    Attributes:
        scale: 1 means none.
        prompts: keys of the negative prompts, one for each item.
        interval: timesteps (low, high) on 0..1000 strictly between which it holds; None is everywhere.
    """

    scale: float
    prompts: list[PromptKeys]
    interval: tuple[float, float] | None = None

    def holds_at(self, timestep: float) -> bool:
        """Whether a step is guided."""
        return self.interval is None or self.interval[0] < timestep < self.interval[1]


@dataclass(frozen=True, eq=False)
class Start:
    """What one pass denoises.

    Attributes:
        layout: of every item.
        latents: noise, the given parts in place; float32.
        prompts: one for each item.
        fps: likewise.
        domain_ids: likewise; any number for a mode without actions.
        guidance: None is unguided.
        action_mask: `[B, 1, D]`, 0 at the action channels that mean nothing; None without actions.
        step_noise: for a stochastic sampler what each step adds: `[B, C, T, H, W]` each.
    """

    layout: SequenceLayout
    latents: Latents
    prompts: list[PromptKeys]
    fps: list[float]
    domain_ids: list[int]
    guidance: Guidance | None = None
    action_mask: Tensor | None = None
    step_noise: tuple[Tensor, ...] = ()


def denoise(
    tower: GenerationTower, start: Start, schedule: Schedule, step_done: Callable[[], None] = lambda: None
) -> Latents:
    """Run the denoising loop.

    Returns:
        Clean latents in the shapes of the start, float32.
    """
    guidance = start.guidance
    guided = [guidance is not None and guidance.holds_at(t) for t in schedule.timesteps]
    plain = None if all(guided) else _context(tower, start, start.prompts)
    doubled = _context(tower, start, start.prompts + guidance.prompts) if guidance and any(guided) else None
    times = tower.time_embeddings(torch.tensor(schedule.timesteps))
    states = {
        name: SamplerState.start(noise, schedule.order)
        for name, noise in vars(start.latents).items()
        if noise is not None
    }
    for index, coefficients in enumerate(schedule.steps):
        latents = Latents(**{name: state.sample for name, state in states.items()})
        if guided[index] and doubled is not None and guidance is not None:
            velocities = tower(doubled, latents.map(_twice), times[index])
            velocities = velocities.map(partial(_guide, scale=guidance.scale))
        elif plain is not None:
            velocities = tower(plain, latents, times[index]).map(Tensor.float)
        for name, velocity in vars(velocities).items():
            if velocity is not None:
                states[name] = states[name].step(_masked(velocity, name, start), coefficients)
        if start.step_noise and coefficients.noise:
            states["vision"] = _renoised(states["vision"], start.step_noise[index], coefficients.noise, start)
        step_done()
    return Latents(**{name: state.sample for name, state in states.items()})


def _context(tower: GenerationTower, start: Start, prompts: list[PromptKeys]) -> GenerationContext:
    repeats = len(prompts) // len(start.prompts)
    return tower.prepare(start.layout, prompts, fps=start.fps * repeats, domain_ids=start.domain_ids * repeats)


def _masked(velocity: Tensor, name: str, start: Start) -> Tensor:
    """Nothing moves action channels that mean nothing."""
    return velocity if name != "action" or start.action_mask is None else velocity * start.action_mask


def _twice(latents: Tensor) -> Tensor:
    return latents.repeat(2, *([1] * (latents.ndim - 1)))


def _guide(velocity: Tensor, scale: float) -> Tensor:
    """Combine a batch whose second half is unconditional."""
    conditional, unconditional = velocity.float().chunk(2)
    return unconditional + scale * (conditional - unconditional)


def _renoised(state: SamplerState, noise: Tensor, level: float, start: Start) -> SamplerState:
    """Add a stochastic step's noise; the given frames stay as they are."""
    sample = state.sample.add(noise, alpha=level)
    given = start.latents.vision
    for frame in start.layout.clean_frames:
        if given is not None:
            sample[:, :, frame] = given[:, :, frame]
    return SamplerState(sample=sample, last_sample=state.last_sample, outputs=state.outputs)
