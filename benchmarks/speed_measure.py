"""Timing contenders turn by turn, and looking once at what they do: kernels, the host's part, memory."""

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from cosmos_robot.benchmarks.speed_cases import Case
from cosmos_robot.benchmarks.speed_clock import Clock, TimeIsUpError
from cosmos_robot.benchmarks.speed_contenders import BASELINE, ENGINE, Contender
from cosmos_robot.benchmarks.speed_cost import LOOKS, Costs
from cosmos_robot.benchmarks.speed_floor import Peaks, Work, wait
from cosmos_robot.errors import CosmosRobotError

ATTENTION = ("flash", "fmha", "cudnn", "mem_efficient", "attention", "sdpa")
"""What names of attention kernels and operators contain."""

PATIENCE = 0.5
"""Of the time that is left, what a contender may take to get ready; the engine itself may take all of it."""

FAILURES = (CosmosRobotError, torch.OutOfMemoryError, torch._dynamo.exc.TorchDynamoException)
"""What a contender may fail by, without an end of the run: a package that is missing, memory, compilation."""


@dataclass(frozen=True)
class Row:
    """What was measured of a contender on a case: medians over the rounds.

    Attributes:
        case: its name.
        contender: likewise.
        step_ms: of one denoising step of the batch: the median of the rounds' differences of two answers; None where
            that is not above 0.
        chunk_s: of the whole answer of the batch, from the host to the host, with the case's denoising steps.
        floor_share: least time that the work takes at the measured peaks / `chunk_s`.
        ratio: seconds of diffusers as it comes / `chunk_s`, the median of the rounds' ratios.
        ratio_low: the least of them.
        ratio_high: the greatest.
        rounds: how many.
        attention: name of the attention kernel, of the operator on a CPU.
        host_ms: of a step, in which the host was busy launching; None on a CPU.
        device_ms: of a step, in which the device was busy with at least one kernel or copy; None on a CPU.
        peak_memory: bytes of the weights, and what was allocated on the device for this contender beyond what was there
            before its turn; None on a CPU.
        items_measured: fewer than the batch for a contender that takes one item a call; its times are multiplied.
    """

    case: str
    contender: str
    step_ms: float | None
    chunk_s: float
    floor_share: float
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    rounds: int
    attention: str
    host_ms: float | None
    device_ms: float | None
    peak_memory: int | None
    items_measured: int


@dataclass(frozen=True)
class Look:
    """What was seen of a contender's answers."""

    attention: str
    host_ms: float | None = None
    device_ms: float | None = None
    peak_memory: int | None = None


type Times = tuple[float, float]
"""Seconds of an answer with few denoising steps, and with more."""


@dataclass(frozen=True)
class Measured:
    """What came of a comparison.

    Attributes:
        rows: of those who were measured.
        left_out: the others, and why.
    """

    rows: list[Row] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def seconds(work: Callable[[], object], now: Callable[[], float] = time.perf_counter) -> float:
    """Time a call, the device's work included."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    wait(device)
    start = now()
    work()
    wait(device)
    return now() - start


@dataclass(frozen=True)
class Bench:
    """Where and how everyone is measured.

    Attributes:
        peaks: of the device.
        device: that everyone runs on.
        rounds: of everyone, at most.
        costs: what is learnt from each measurement; None learns nothing.
        clock: that tells when time is up.
        now: seconds by which answers are timed; None is the clock's.
        end: by the clock, when all is to be over; whoever is not ready then, and a round that is not whole, is left.
        weights_bytes: of the weights that are measured, on the device.
        looks: what was seen so far, by case and contender: nobody is looked at twice.
    """

    peaks: Peaks
    device: torch.device
    rounds: int
    costs: Costs | None = None
    clock: Clock = field(default_factory=Clock)
    now: Callable[[], float] | None = None
    end: float = float("inf")
    weights_bytes: int = 0
    looks: dict[tuple[str, str], Look] = field(default_factory=dict)

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.end - self.clock.now()

    def measure(self, case: Case, everyone: Sequence[Contender], work: Work, *, steps: tuple[int, int]) -> Measured:
        """Measure everyone on a case, turn by turn.

        Args:
            case: what is asked.
            everyone: the contenders.
            work: of the case.
            steps: numbers of denoising steps, few and more: their difference gives the time of a step.
        """
        left_out: dict[str, str] = {}
        spent: dict[str, tuple[float, float | None]] = {}
        for one in everyone:
            limit = self.left * (1.0 if one.name == ENGINE else PATIENCE)
            try:
                with self.clock.at_most(limit):
                    spent[one.name] = self._get_ready(one, case, steps)
            except TimeIsUpError:
                left_out[one.name] = f"was not ready within {limit:.0f} s"
            except FAILURES as error:
                left_out[one.name] = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200]}"
        ready = [one for one in everyone if one.name in spent]
        timed = Timed(case, self._times(case, ready, steps), steps)
        if not timed.rounds:
            return Measured([], left_out | {one.name: "time was up in the first round" for one in ready})
        rows = [timed.row(one, self.looks[case.name, one.name], self._floor(case, one, work)) for one in ready]
        if self.costs is not None:
            for one in ready:
                timed.teach(self.costs, one, spent[one.name])
        return Measured(rows, left_out)

    def _floor(self, case: Case, one: Contender, work: Work) -> float:
        return work.chunk_floor(self.peaks, case.num_steps, float8=one.float8)

    def seen(self, case: Case) -> set[str]:
        """Names of those who were looked at."""
        return {name for known, name in self.looks if known == case.name}

    def _get_ready(self, one: Contender, case: Case, steps: tuple[int, int]) -> tuple[float, float | None]:
        """Bring a contender to where it can be timed; the seconds that its warming up and the look took."""
        cuda, start = self.device.type == "cuda", self.clock.now()
        before = torch.cuda.memory_allocated(self.device) if cuda else 0
        if cuda:
            torch.cuda.reset_peak_memory_stats(self.device)
        one.ready()
        for _ in range(one.warm_ups):
            one.ask(case, steps[0])
        wait(self.device)
        warm = self.clock.now()
        peak = self.weights_bytes + torch.cuda.max_memory_allocated(self.device) - before if cuda else None
        if one.name in self.seen(case):
            return warm - start, None
        self.looks[case.name, one.name] = look(partial(one.ask, case), self.device, peak)
        return warm - start, self.clock.now() - warm

    def _times(self, case: Case, everyone: list[Contender], steps: tuple[int, int]) -> dict[str, list[Times]]:
        """Seconds of everyone in each round that became whole."""
        times: dict[str, list[Times]] = {one.name: [] for one in everyone}
        longest = 0.0
        for number in range(self.rounds):
            if longest > self.left:
                break
            start = self.clock.now()
            try:
                with self.clock.at_most(self.left):
                    found = [self._round(case, one, steps, number) for one in everyone]
            except TimeIsUpError:
                break
            for one, pair in zip(everyone, found, strict=True):
                times[one.name].append(pair)
            longest = max(longest, self.clock.now() - start)
        return times

    def _round(self, case: Case, one: Contender, steps: tuple[int, int], number: int) -> Times:
        """Time both answers, the longer first in every other round: the first finds the caches full of others' data."""
        one.ready()
        turned = number % 2 == 1
        now = self.now or self.clock.now
        first, second = (seconds(partial(one.ask, case, count), now) for count in (steps[::-1] if turned else steps))
        return (second, first) if turned else (first, second)


def look(ask: Callable[[int], object], device: torch.device, peak_memory: int | None = None) -> Look:
    """Watch answers through torch's profiler: of one denoising step, and on CUDA of three, which are two steps more."""
    cuda = device.type == "cuda"
    watched = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    seen: list[Any] = []
    for count in LOOKS if cuda else LOOKS[:1]:
        with profile(activities=watched) as profiled:
            ask(count)
            wait(device)
        seen.append(profiled.events())
    attention = attention_kernel(seen[0])
    if not cuda:
        return Look(attention)
    more = LOOKS[1] - LOOKS[0]
    host, busy = ([part(events) / 1e3 / more for events in seen] for part in (launching_us, busy_us))
    return Look(attention, host_ms=host[1] - host[0], device_ms=busy[1] - busy[0], peak_memory=peak_memory)


def busy_us(events: Iterable[Any]) -> float:
    """Microseconds in which a device was busy with at least one kernel, copy or filling of memory.

    What runs side by side on several streams counts once; the operators that launched it, and named ranges, which span
    it too, do not count.
    """
    spans = sorted(
        (event.time_range.start, event.time_range.end)
        for event in events
        if event.device_type == DeviceType.CUDA and not event.is_user_annotation
    )
    total, reached = 0.0, float("-inf")
    for start, end in spans:
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def launching_us(events: Iterable[Any]) -> float:
    """Microseconds in which the host was busy, its waiting left out."""
    return float(
        sum(
            event.self_cpu_time_total
            for event in events
            if event.device_type == DeviceType.CPU and event.name not in WAITING
        )
    )


WAITING = ("cudaDeviceSynchronize", "cudaStreamSynchronize", "cudaEventSynchronize")
"""What the profiler counts as the host's work and is none."""


def attention_kernel(events: Iterable[Any]) -> str:
    """Name of the attention kernel that took the most time, of the operator where no kernel says; else "none found".

    What a compiler has made bears the names of all that it does before and after attention, too: it is passed over.
    """
    kernels: Counter[str] = Counter()
    operators: Counter[str] = Counter()
    for event in events:
        named = any(part in event.name.lower() for part in ATTENTION) and not event.name.startswith("triton")
        if named and event.device_type == DeviceType.CUDA:
            kernels[event.name] += event.time_range.elapsed_us()
        elif named and event.name.startswith("aten::_"):  # without the line it only chooses one of those with it
            operators[event.name] += event.self_cpu_time_total
    ranked = (kernels or operators).most_common(1)
    return ranked[0][0][:100] if ranked else "none found"


@dataclass(frozen=True)
class Timed:
    """The rounds of everyone on a case."""

    case: Case
    times: dict[str, list[Times]]
    steps: tuple[int, int]

    @property
    def rounds(self) -> int:
        """How many became whole."""
        return min((len(times) for times in self.times.values()), default=0)

    def chunks(self, name: str, batch: int) -> list[float]:
        """Seconds of whole answers, `batch` one after another: timed, or reckoned from the time of a step."""
        if self.steps[0] == self.case.num_steps:
            return [batch * few for few, _ in self.times[name]]
        missing = self.case.num_steps - self.steps[1]
        return [batch * (more + missing * self.step(few, more)) for few, more in self.times[name]]

    def step(self, few: float, more: float) -> float:
        """Seconds of a denoising step."""
        return (more - few) / (self.steps[1] - self.steps[0])

    def step_s(self, name: str) -> float | None:
        """Seconds of a denoising step of a call: the median over the rounds; None where it does not stand out."""
        found = statistics.median(self.step(*pair) for pair in self.times[name])
        return found if found > 0 else None

    def teach(self, costs: Costs, one: Contender, spent: tuple[float, float | None]) -> None:
        """Tell what a contender has taken; `spent` are the seconds of its warming up and of the look, if any."""
        few = statistics.median(few for few, _ in self.times[one.name])
        step_s = self.step_s(one.name)
        rest_s = few - self.steps[0] * (step_s or 0.0)
        looked = sum(rest_s + count * (step_s or 0.0) for count in LOOKS)
        look_s = None if spent[1] is None else spent[1] - looked
        costs.learn(one, self.case, step_s=step_s, rest_s=rest_s, ready_s=spent[0] - one.warm_ups * few, look_s=look_s)

    def row(self, one: Contender, seen: Look, floor: float) -> Row:
        """Put a contender's rounds together."""
        batch = self.case.batch if one.one_by_one else 1
        chunks = self.chunks(one.name, batch)
        theirs = self.chunks(BASELINE, self.case.batch) if BASELINE in self.times else []
        a_step = self.step_s(one.name)
        ratios = [other / own for other, own in zip(theirs, chunks, strict=True)] if theirs else []
        return Row(
            case=self.case.name,
            contender=one.name,
            step_ms=None if a_step is None else 1e3 * batch * a_step,
            chunk_s=statistics.median(chunks),
            floor_share=floor / statistics.median(chunks),
            ratio=statistics.median(ratios) if ratios else None,
            ratio_low=min(ratios, default=None),
            ratio_high=max(ratios, default=None),
            rounds=len(chunks),
            items_measured=1 if one.one_by_one else self.case.batch,
            **vars(seen),
        )


def real_time_factor(case: Case, row: Row) -> float:
    """Seconds of robot time for a second of computing."""
    return case.seconds / row.chunk_s
