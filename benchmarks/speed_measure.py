"""Timing contenders turn by turn, and looking once at what they do: kernels, the host's part, memory."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.profiler import ProfilerActivity, profile

from cosmos_robot.benchmarks.speed_cases import Case
from cosmos_robot.benchmarks.speed_contenders import BASELINE, Contender
from cosmos_robot.benchmarks.speed_floor import Peaks, Work, wait

ATTENTION = ("flash", "fmha", "cudnn", "mem_efficient", "attention", "sdpa")
"""What names of attention kernels and operators contain, the most telling first."""

WARM_UPS = {"cuda": 3, "cpu": 1}
"""Calls before anything is timed; on CUDA for compilation, the first sight of a shape, and its recording."""


@dataclass(frozen=True)
class Row:
    """What was measured of a contender on a case: medians over the rounds.

    Attributes:
        case: its name.
        contender: likewise.
        step_ms: of one denoising step of the batch; None where its difference of two times does not stand out of the
            machine's unrest: in some round the longer answer was the quicker.
        chunk_s: of the whole answer of the batch, from the host to the host, with the case's denoising steps.
        floor_share: least time that the work takes at the measured peaks / `chunk_s`.
        ratio: seconds of diffusers as it comes / `chunk_s`, the median of the rounds' ratios.
        ratio_low: the least of them.
        ratio_high: the greatest.
        rounds: how many.
        attention: name of the attention kernel, of the operator on a CPU.
        host_ms: of a step, in which the host was busy launching; None on a CPU.
        device_ms: of a step, in which the device was busy; None on a CPU.
        peak_memory: bytes allocated on the device at most, weights included; None on a CPU.
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
    """What was seen of one answer."""

    attention: str
    host_ms: float | None
    device_ms: float | None
    peak_memory: int | None


type Times = tuple[float, float]
"""Seconds of an answer with few denoising steps, and with more."""


def seconds(work: Callable[[], object]) -> float:
    """Time a call, the device's work included."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    wait(device)
    start = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - start


def measure(
    case: Case,
    everyone: Sequence[Contender],
    work: Work,
    peaks: Peaks,
    *,
    rounds: int,
    steps: tuple[int, int],
    device: torch.device,
) -> list[Row]:
    """Measure everyone on a case, turn by turn.

    Args:
        case: what is asked.
        everyone: the contenders.
        work: of the case.
        peaks: of the device.
        rounds: of each.
        steps: numbers of denoising steps, few and more: their difference gives the time of a step.
        device: that they run on.
    """
    looks = {}
    for one in everyone:
        one.ready()
        for _ in range(WARM_UPS[device.type]):
            one.ask(case, steps[0])
        looks[one.name] = look(lambda one=one: one.ask(case, steps[1]), steps[1], device)  # type: ignore[misc]
    times: dict[str, list[Times]] = {one.name: [] for one in everyone}
    for _ in range(rounds):
        for one in everyone:
            one.ready()
            few, more = (seconds(lambda one=one, n=n: one.ask(case, n)) for n in steps)  # type: ignore[misc]
            times[one.name].append((few, more))
    timed, floor = Timed(case, times, steps), work.chunk_floor(peaks, case.num_steps)
    return [timed.row(one, looks[one.name], floor) for one in everyone]


def look(work: Callable[[], object], num_steps: int, device: torch.device) -> Look:
    """Watch one answer through torch's profiler."""
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]) as seen:
        work()
        wait(device)
    averages = seen.key_averages()
    busy = sum(event.self_device_time_total for event in averages) if cuda else 0
    launching = sum(event.self_cpu_time_total for event in averages if event.key not in WAITING) if cuda else 0
    return Look(
        attention=attention_kernel([event.key for event in averages]),
        host_ms=launching / 1e3 / num_steps if cuda else None,
        device_ms=busy / 1e3 / num_steps if cuda else None,
        peak_memory=torch.cuda.max_memory_allocated(device) if cuda else None,
    )


WAITING = ("cudaDeviceSynchronize", "cudaStreamSynchronize", "cudaEventSynchronize")
"""What the profiler counts as the host's work and is none."""


def attention_kernel(names: Sequence[str]) -> str:
    """Pick the attention kernel, or operator, among everything that ran; "none found" where there is none."""
    kernels = [name for name in names if not name.startswith(("aten::", "cuda", "cu"))]
    for part in ATTENTION:
        for name in (*kernels, *names):
            if part in name.lower():
                return name[:100]
    return "none found"


@dataclass(frozen=True)
class Timed:
    """The rounds of everyone on a case."""

    case: Case
    times: dict[str, list[Times]]
    steps: tuple[int, int]

    def chunks(self, name: str, batch: int) -> list[float]:
        """Seconds of whole answers, `batch` one after another: timed, or reckoned from the time of a step."""
        missing = self.case.num_steps - self.steps[1]
        return [batch * (more + missing * self.step(few, more)) for few, more in self.times[name]]

    def step(self, few: float, more: float) -> float:
        """Seconds of a denoising step."""
        return (more - few) / (self.steps[1] - self.steps[0])

    def row(self, one: Contender, seen: Look, floor: float) -> Row:
        """Put a contender's rounds together."""
        batch = self.case.batch if one.one_by_one else 1
        chunks = self.chunks(one.name, batch)
        theirs = self.chunks(BASELINE, self.case.batch) if BASELINE in self.times else []
        a_step = [self.step(*pair) for pair in self.times[one.name]]
        ratios = [other / own for other, own in zip(theirs, chunks, strict=True)] if theirs else []
        return Row(
            case=self.case.name,
            contender=one.name,
            step_ms=1e3 * batch * statistics.median(a_step) if min(a_step) > 0 else None,
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
