"""The denoising loop, which every mode shares: a batch of noisy latents in, clean ones out.

Classifier-free guidance is one pass over twice the batch: the items with their prompts, then again with their
negative prompts, each with its own cached keys. Steps outside the guidance interval run the first half alone. No step
asks the host anything, so that a step can be recorded once and repeated; see `recorded_loop`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cosmos_robot.engine.generation import GenerationContext, GenerationTower, Latents
from cosmos_robot.engine.layout import SequenceLayout
from cosmos_robot.engine.sampler import SamplerState, Schedule
from cosmos_robot.engine.understanding import PromptKeys

if TYPE_CHECKING:
    from cosmos_robot.engine.recorded_loop import RecordedLoops


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


@dataclass(frozen=True, eq=False)
class Passes:
    """The passes through the tower that a loop's steps make.

    Attributes:
        guided: for each step whether it is guided.
        scale: of the guidance.
        plain: what an unguided step reads; None where there is none.
        doubled: what a guided step reads, of twice the batch; None where there is none.
    """

    guided: tuple[bool, ...]
    scale: float
    plain: GenerationContext | None
    doubled: GenerationContext | None

    @classmethod
    def of(cls, tower: GenerationTower, start: Start, schedule: Schedule) -> "Passes":
        """Prepare what the steps share."""
        guidance = start.guidance
        guided = tuple(guidance is not None and guidance.holds_at(t) for t in schedule.timesteps)
        plain = None if all(guided) else _context(tower, start, start.prompts)
        doubled = _context(tower, start, start.prompts + guidance.prompts) if guidance and any(guided) else None
        return cls(guided, 1.0 if guidance is None else guidance.scale, plain, doubled)

    def map(self, change: Callable[[GenerationContext], GenerationContext]) -> "Passes":
        """Change each context that is there."""
        plain, doubled = (None if c is None else change(c) for c in (self.plain, self.doubled))
        return Passes(self.guided, self.scale, plain, doubled)

    def velocity(
        self, tower: GenerationTower, latents: Latents, time: Tensor, action_mask: Tensor | None, *, guided: bool
    ) -> Latents:
        """The velocities of one step, guided or not, float32; nothing moves action channels that mean nothing."""
        if guided and self.doubled is not None:
            velocities = tower(self.doubled, latents.map(_twice), time).map(partial(_guide, scale=self.scale))
        elif self.plain is not None:
            velocities = tower(self.plain, latents, time).map(Tensor.float)
        else:
            raise ValueError("no step of this loop is like that.")
        if velocities.action is None or action_mask is None:
            return velocities
        return Latents(velocities.vision, velocities.sound, velocities.action * action_mask)


def denoise(
    tower: GenerationTower,
    start: Start,
    schedule: Schedule,
    step_done: Callable[[], None] = lambda: None,
    loops: "RecordedLoops | None" = None,
) -> Latents:
    """Run the denoising loop.

    Args:
        tower: the generation tower.
        start: what is denoised.
        schedule: its steps.
        step_done: called after each.
        loops: recorded ones, of which a fitting one is used; None runs every step anew.

    Returns:
        Clean latents in the shapes of the start, float32.
    """
    passes = Passes.of(tower, start, schedule)
    times = tower.time_embeddings(torch.tensor(schedule.timesteps))
    recorded = None if loops is None else loops.find(tower, start, schedule, passes)
    if recorded is not None:
        return recorded.run(start, schedule, passes, times, step_done)
    passes = passes.map(tower.ready)
    states = {
        name: SamplerState.start(noise, schedule.order)
        for name, noise in vars(start.latents).items()
        if noise is not None
    }
    velocities = Latents(None)
    for index, coefficients in enumerate(schedule.steps):
        if not schedule.reuses(index):
            latents = Latents(**{name: state.sample for name, state in states.items()})
            velocities = passes.velocity(tower, latents, times[index], start.action_mask, guided=passes.guided[index])
        for name, velocity in vars(velocities).items():
            if velocity is not None:
                states[name] = states[name].step(velocity, coefficients)
        if start.step_noise and coefficients.noise:
            states["vision"] = _renoised(states["vision"], start.step_noise[index], coefficients.noise, start)
        step_done()
    return Latents(**{name: state.sample for name, state in states.items()})


def _context(tower: GenerationTower, start: Start, prompts: list[PromptKeys]) -> GenerationContext:
    repeats = len(prompts) // len(start.prompts)
    return tower.prepare(start.layout, prompts, fps=start.fps * repeats, domain_ids=start.domain_ids * repeats)


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
