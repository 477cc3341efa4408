"""Denoising loops whose step is recorded once and repeated: on CUDA one launch a step instead of thousands.

A recorded step reads and writes memory that stays where it is. Everything that differs from loop to loop (latents,
prompts, rotary angles, action projections) and from step to step (time, the sampler's coefficients, fresh noise) is
copied into that memory on the device; nothing of it is a number that the recording has swallowed. A loop with another
shape has a recording of its own.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, Protocol
from weakref import WeakSet

import torch
from torch import Tensor

from cosmos_robot.engine.denoising import Passes, Start
from cosmos_robot.engine.device import total_memory
from cosmos_robot.engine.generation import GenerationTower, Latents
from cosmos_robot.engine.sampler import Schedule

MEMORY_SHARE = 0.125
"""Of the device's memory, what the recorded loops may hold together."""


class Recorder(Protocol):
    """Turns work on fixed memory into something that repeats it."""

    def __call__(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record `work`, which may be run meanwhile, and return what repeats it."""


class CudaGraphs:
    """Records as CUDA graphs. They share one pool of memory, which is safe: what a step leaves behind lies outside.

    They are recorded on one stream, because a pool hands what one stream has used to no other. A pool ends with its
    last graph, and nothing can be recorded into it again: the next graph then has a new one.

    Args:
        device: what is recorded; the current one may be another, on whose streams nothing would be recorded.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._alive: WeakSet[torch.cuda.CUDAGraph] = WeakSet()
        self._pool: Any = None
        self._stream: torch.cuda.Stream | None = None

    def __call__(self, work: Callable[[], None]) -> Callable[[], None]:
        """See `Recorder`."""
        with torch.cuda.device(self._device):
            if not self._alive:
                self._pool = torch.cuda.graph_pool_handle()
            if self._stream is None:
                self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            stream = self._stream
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(2):  # libraries set themselves up, and compiled regions compile, before the recording
                    work()
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            # Another thread may use the device meanwhile, for instance to copy frames. The stream is named: the one
            # that torch would take is of the device that was recorded first.
            with torch.cuda.graph(graph, pool=self._pool, stream=stream, capture_error_mode="thread_local"):
                work()
            self._alive.add(graph)

        def replay() -> None:
            with torch.cuda.device(self._device):
                graph.replay()

        return replay


class RecordedLoop:
    """The memory of one kind of loop, and its recorded steps.

    Args:
        tower: the generation tower.
        start: a first loop of the kind.
        schedule: its schedule.
        passes: its passes, from which the contexts' memory is copied.
        record: what records a step.
    """

    def __init__(
        self, tower: GenerationTower, start: Start, schedule: Schedule, passes: Passes, record: Recorder
    ) -> None:
        self._tower = tower
        self._passes = passes.map(lambda context: context.copied(room=tower.rooms))
        self._layout = start.layout
        self._bases = {
            name: [torch.zeros_like(noise) for _ in range(3 + schedule.order)]
            for name, noise in vars(start.latents).items()
            if noise is not None
        }
        layout = start.layout
        self._moves = {
            "vision": layout.generates_vision,
            "sound": layout.sound_frames > 0,
            "action": layout.generates_actions,
        }
        self._mask = None if start.action_mask is None else start.action_mask.clone()
        self._time = torch.zeros(tower.hidden, dtype=tower.dtype, device=tower.device)
        self._rows = torch.zeros_like(schedule.table()[0], device=tower.device)
        self._level = torch.zeros((), device=tower.device)
        stochastic = bool(start.step_noise)
        self._noise = torch.zeros_like(self._bases["vision"][0]) if stochastic else None
        self._given = torch.zeros_like(self._bases["vision"][0]) if stochastic else None
        self.bytes = _bytes(start, schedule, passes)
        self._record = record
        self._steps: dict[bool | None, Callable[[], None]] = {}

    @property
    def device(self) -> torch.device:
        """Where it lies."""
        return self._time.device

    @property
    def recordings(self) -> int:
        """How many steps were recorded: one for each kind, guided, unguided, and such as take the last velocity."""
        return len(self._steps)

    def run(
        self, start: Start, schedule: Schedule, passes: Passes, times: Tensor, step_done: Callable[[], None]
    ) -> Latents:
        """Run a loop of this kind; see `denoise`."""
        self._load(start, passes)
        kinds = [None if schedule.reuses(index) else guided for index, guided in enumerate(passes.guided)]
        for kind in dict.fromkeys(kinds):
            if kind not in self._steps:
                self._steps[kind] = self._record(partial(self._step, kind))
                self._load(start, passes)  # recording has run steps
        table = schedule.table().to(self.device)
        levels = torch.tensor([step.noise for step in schedule.steps], device=self.device)
        for index, kind in enumerate(kinds):
            self._time.copy_(times[index])
            self._rows.copy_(table[index])
            if self._noise is not None:
                self._level.copy_(levels[index])
                self._noise.copy_(start.step_noise[index])
            self._steps[kind]()
            step_done()
        return Latents(**{name: basis[1].clone() for name, basis in self._bases.items()})

    def _load(self, start: Start, passes: Passes) -> None:
        for mine, theirs in ((self._passes.plain, passes.plain), (self._passes.doubled, passes.doubled)):
            if mine is not None and theirs is not None:
                mine.load(theirs)
        if self._mask is not None and start.action_mask is not None:
            self._mask.copy_(start.action_mask)
        for name, basis in self._bases.items():
            for tensor in basis:
                tensor.copy_(getattr(start.latents, name))
        if self._given is not None and start.latents.vision is not None:
            self._given.copy_(start.latents.vision)

    def _step(self, guided: bool | None) -> None:
        """One denoising step on the fixed memory, without a word from the host; None takes the last velocity."""
        if guided is not None:
            latents = Latents(**{name: basis[1] for name, basis in self._bases.items()})
            velocities = self._passes.velocity(self._tower, latents, self._time, self._mask, guided=guided)
            for name, velocity in vars(velocities).items():
                if velocity is not None:
                    self._bases[name][0].copy_(velocity)
        for name, moves in self._moves.items():
            if moves:
                basis = self._bases[name]
                moved = [_weighted(row, basis) for row in self._rows]
                for older, newer in zip(reversed(basis[4:]), reversed(basis[3:-1]), strict=True):
                    older.copy_(newer)
                for place, tensor in zip(basis[1:], moved, strict=False):
                    place.copy_(tensor)
        if self._noise is not None and self._given is not None:
            sample = self._bases["vision"][1]
            sample.add_(self._noise * self._level)
            for frame in self._layout.clean_frames:
                sample[:, :, frame] = self._given[:, :, frame]


class RecordedLoops:
    """The most recently used recorded loops, bounded in number and in memory.

    Args:
        record: what records a step.
        capacity: how many are kept.
        max_bytes: that they may hold together; None is a share of the device's memory. A loop that needs more alone is
            not recorded: its steps are long, and launching them costs nothing beside.
        sightings: the time at which a kind is recorded; one that never comes again is not worth it.
    """

    def __init__(
        self, record: Recorder, *, capacity: int = 8, max_bytes: int | None = None, sightings: int = 2
    ) -> None:
        self._record = record
        self._capacity = capacity
        self._max_bytes = max_bytes
        self._sightings = sightings
        self._seen: OrderedDict[Hashable, int] = OrderedDict()
        self._kept: OrderedDict[Hashable, RecordedLoop] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def clear(self) -> None:
        """Give all of them up, and their memory."""
        self._kept.clear()
        self._seen.clear()

    def find(self, tower: GenerationTower, start: Start, schedule: Schedule, passes: Passes) -> RecordedLoop | None:
        """Give the loop of this kind, or None where it is to run plainly: as long as it is new, or where it cannot."""
        key = _kind(tower, start, schedule, passes)
        if key is None:
            return None
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        self._seen[key] = self._seen.pop(key, 0) + 1
        if len(self._seen) > 16 * self._capacity:
            self._seen.popitem(last=False)
        if self._seen[key] < self._sightings:
            return None
        limit = int(MEMORY_SHARE * total_memory(tower.device)) if self._max_bytes is None else self._max_bytes
        needed = _bytes(start, schedule, passes)
        if needed > limit:
            return None
        while self._kept and (
            len(self._kept) >= self._capacity or needed + sum(kept.bytes for kept in self._kept.values()) > limit
        ):
            self._kept.popitem(last=False)
        self._kept[key] = RecordedLoop(tower, start, schedule, passes, self._record)
        return self._kept[key]


def _bytes(start: Start, schedule: Schedule, passes: Passes) -> int:
    """Memory of the loop's own tensors; what the recorder needs comes on top."""
    latents = sum(t.numel() * t.element_size() for t in vars(start.latents).values() if t is not None)
    total = int(3 + schedule.order) * latents
    for context in (passes.plain, passes.doubled):
        for group in () if context is None else context.groups:
            total += group.bytes_a_token * (group.length + start.layout.length)
    return int(total)


def _kind(tower: GenerationTower, start: Start, schedule: Schedule, passes: Passes) -> Hashable | None:
    """What a recording depends on; None where it cannot be told whether the weights stay the same."""
    signature = tower.signature()
    if signature is None:
        return None
    contexts = tuple(None if context is None else context.kind for context in (passes.plain, passes.doubled))
    shapes = tuple(None if t is None else t.shape for t in vars(start.latents).values())
    return (
        signature,
        contexts,
        frozenset(passes.guided),
        passes.scale,
        shapes,
        None if start.action_mask is None else start.action_mask.shape,
        bool(start.step_noise),
        schedule.order,
    )


def _weighted(row: Tensor, basis: list[Tensor]) -> Tensor:
    """Sum of `row[k] * basis[k]`, in the order in which the plain loop sums."""
    total = basis[0] * row[0]
    for coefficient, tensor in zip(row[1:], basis[1:], strict=True):
        total.addcmul_(tensor, coefficient)
    return total
