"""Speed of this engine beside diffusers' `Cosmos3OmniPipeline`: the same weights, in one run, turn by turn.

    python -m cosmos_robot.benchmarks.speed [--out speed.json]

A machine changes its speed from minute to minute, so nothing here is a time alone: in every round everyone makes the
same answers, one straight after the other, and what is compared is the median of the rounds' ratios. The pipeline takes
one item a call; a batch of it counts as so many calls. All are timed as a caller sees them, from frames and actions on
the host to frames on the host.

On CUDA the weights are random ones of Nano's own configuration in bfloat16, every exact step is added by itself, and
the run ends in under nine minutes: what there was no time for is named. On a CPU they are the embedded model's.
"""

import json
import platform
import subprocess
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

from cosmos_robot.benchmarks.random_checkpoint import RandomCheckpoint
from cosmos_robot.benchmarks.speed_cases import Case, difference, smaller, with_shift
from cosmos_robot.benchmarks.speed_contenders import Contender, build_pipeline, contenders
from cosmos_robot.benchmarks.speed_floor import Peaks, measure_peaks, work_of
from cosmos_robot.benchmarks.speed_measure import Row, measure, real_time_factor, seconds
from cosmos_robot.world_model import EMBEDDED

__all__ = ["NANO", "machine", "main", "seconds"]

NANO = RandomCheckpoint(
    layers=36,
    hidden=4096,
    heads=32,
    kv_heads=8,
    head_dim=128,
    intermediate=12288,
    z_dim=48,
    base_dim=160,
    decoder_base_dim=256,
    dim_mult=(1, 2, 4, 4),
    res_blocks=2,
    vocab=151936,
)
"""The published configuration of Cosmos3-Nano."""

EMBEDDED_FORM = RandomCheckpoint(
    layers=6,
    hidden=256,
    heads=4,
    kv_heads=2,
    head_dim=64,
    intermediate=768,
    z_dim=32,
    base_dim=16,
    decoder_base_dim=24,
    dim_mult=(1, 2, 4, 4),
)
"""That of the embedded model."""

BRIDGE, STEPS = "bridge_orig_lerobot", 30
HEADLINE = [
    Case("forward_dynamics", "bridge_orig_lerobot", 480, 640, 480, 16, STEPS),
    Case("forward_dynamics", "droid_lerobot", 540, 640, 480, 16, STEPS),
    Case("forward_dynamics", "umi", 256, 256, 256, 16, STEPS),
    Case("forward_dynamics", "av", 480, 832, 480, 60, STEPS),
]
"""One robot each, at its own canvas, frames a second and chunk."""

ON_CUDA = [
    *(Case("forward_dynamics", BRIDGE, 256, 256, 256, 16, STEPS, batch) for batch in (1, 8)),
    *(Case("forward_dynamics", BRIDGE, 480, 640, 480, 16, STEPS, batch) for batch in (1, 8)),
    Case("policy", BRIDGE, 480, 640, 480, 16, STEPS),
    Case("inverse_dynamics", "av", 480, 832, 480, 60, STEPS),
    Case("text2video", BRIDGE, 480, 832, 480, 8, 35),
    *(Case("forward_dynamics", BRIDGE, 256, 256, 256, 16, STEPS, batch) for batch in (4, 16)),
    *(Case("forward_dynamics", BRIDGE, 480, 640, 480, 16, STEPS, batch) for batch in (4, 16)),
]
"""In the order of their worth: time may run out."""

ON_A_CPU = [
    *(Case("forward_dynamics", "pusht", 96, 96, 256, 16, 4, batch) for batch in (1, 16)),
    *(Case(mode, "pusht", 96, 96, 256, 16, 4, batch) for mode in ("policy", "inverse_dynamics") for batch in (1, 16)),
]


def main(
    *,
    out: Annotated[Path | None, typer.Option(help="Write everything as JSON.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each comparison.")] = 3,
    minutes: Annotated[float, typer.Option(help="No case is begun that would end later.")] = 8.5,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
    batches: Annotated[str | None, typer.Option(help="Only these batch sizes, with commas.")] = None,
    tiny: Annotated[
        bool, typer.Option("--tiny", help="Random weights and frames so small that a test can run it.")
    ] = False,
) -> None:
    """Compare this engine, with each of its exact steps, with diffusers on the same weights."""
    began = time.monotonic()
    torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    form, pipeline = _weights(device, tiny=tiny)
    peaks = measure_peaks(device, pipeline.transformer.dtype, tiny=tiny)
    end = began + 60 * minutes
    run = SpeedRun(form, pipeline, peaks, device, rounds=1 if tiny else rounds, end=end, each=not tiny)
    for case in _cases(device, batches, tiny=tiny):
        run.add(case, run.everyone)
    for case in [smaller(HEADLINE[0])] if tiny else HEADLINE if device.type == "cuda" else []:
        run.add_headline(case)
    result = {
        "machine": machine(threads),
        "peaks": asdict(peaks),
        **run.result(),
        "minutes": (time.monotonic() - began) / 60,
    }
    _show(result, run.rows)
    if out is not None:
        out.write_text(json.dumps(result, indent=1))


class SpeedRun:
    """The rows so far, and the time that is left.

    Args:
        form: sizes of the weights.
        pipeline: with the weights.
        peaks: of the device.
        device: that everything runs on.
        rounds: of each comparison.
        end: by the monotonic clock, when the run is to be over.
        each: whether the exact steps are added one by one.
    """

    def __init__(
        self,
        form: RandomCheckpoint,
        pipeline: Any,
        peaks: Peaks,
        device: torch.device,
        *,
        rounds: int,
        end: float,
        each: bool,
    ) -> None:
        self.everyone = contenders(pipeline, each=each)
        self.rows: list[Row] = []
        self._form, self._peaks, self._device = form, peaks, device
        self._itemsize = pipeline.transformer.dtype.itemsize
        self._rounds, self._end = rounds, end
        self._longest = 0.0
        self._skipped: list[str] = []
        self._headline: list[dict[str, Any]] = []
        self._differences: dict[str, float] = {}

    def add(self, case: Case, everyone: list[Contender]) -> list[Row]:
        """Measure a case, if there is time for one as long as the longest so far."""
        if time.monotonic() + self._longest > self._end:
            self._skipped.append(case.name)
            return []
        start = time.monotonic()
        few = max(1, min(2, case.num_steps - 1))
        steps = few, max(few + 1, min(10, case.num_steps))
        work = work_of(case, self._form, self._itemsize)
        rows = measure(case, everyone, work, self._peaks, rounds=self._rounds, steps=steps, device=self._device)
        if len(everyone) > 1:
            everyone[0].ready()
            answers = [one.ask(replace(case, batch=1), few) for one in (everyone[-1], everyone[0])]
            self._differences[case.name] = difference(case, answers[0], answers[1])
        self.rows += rows
        self._longest = max(self._longest, time.monotonic() - start)
        return rows

    def add_headline(self, case: Case) -> None:
        """Measure the whole engine and diffusers, and how many seconds of robot time a second of computing gives."""
        rows = self.add(case, [self.everyone[0], self.everyone[-1]])
        if rows:
            factor = real_time_factor(case, rows[-1])
            self._headline.append({"domain": case.domain, "case": case.name, "steps": case.num_steps, "factor": factor})

    def result(self) -> dict[str, Any]:
        """Everything that was measured, and what there was no time for."""
        return {
            "headline": self._headline,
            "rows": [asdict(row) for row in self.rows],
            "differences": self._differences,
            "not_measured": self._skipped,
        }


def _weights(device: torch.device, *, tiny: bool) -> tuple[RandomCheckpoint, Any]:
    """The weights that are measured, as a pipeline, and their form."""
    if tiny or device.type == "cuda":
        form = RandomCheckpoint() if tiny else NANO
        with device:
            pipeline = build_pipeline(form.pipeline(), device.type)
        return form, with_shift(pipeline)
    from diffusers import Cosmos3OmniPipeline

    pipeline = Cosmos3OmniPipeline.from_pretrained(
        EMBEDDED, dtype=torch.float32, enable_safety_checker=False, safety_checker=None, local_files_only=True
    )
    return EMBEDDED_FORM, with_shift(build_pipeline(pipeline, "cpu"))


def _cases(device: torch.device, batches: str | None, *, tiny: bool) -> list[Case]:
    if tiny:
        robot, video = (smaller(case) for case in (ON_CUDA[0], ON_CUDA[6]))
        return [replace(robot, batch=2), replace(robot, mode="inverse_dynamics"), video]
    wanted = None if batches is None else [int(batch) for batch in batches.split(",")]
    cases = ON_CUDA if device.type == "cuda" else ON_A_CPU
    return [case for case in cases if wanted is None or case.batch in wanted]


def machine(threads: int) -> dict[str, str]:
    """Name what it ran on."""
    return {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else _processor(),
        "threads": str(threads),
        "torch": torch.__version__,
        "diffusers": __import__("diffusers").__version__,
        "python": platform.python_version(),
        "commit": _commit(),
    }


def _show(result: dict[str, Any], rows: list[Row]) -> None:
    console = Console(width=160)
    table = Table(
        "case", "who", "ms a step", "s a chunk", "of the floor", "to diffusers", "least to greatest", "attention"
    )
    table.title = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
    for row in rows:
        spread = "" if row.ratio_low is None else f"{row.ratio_low:.2f} to {row.ratio_high:.2f}"
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}x"
        step = "" if row.step_ms is None else f"{row.step_ms:.1f}"
        numbers = step, f"{row.chunk_s:.3f}", f"{100 * row.floor_share:.0f} %"
        table.add_row(row.case, row.contender, *numbers, ratio, spread, row.attention[:36])
    console.print(table)
    for line in result["headline"]:
        console.print(
            f"{line['domain']}: {line['factor']:.2f} s of robot time for a second of computing ({line['case']})"
        )
    if result["not_measured"]:
        console.print(f"not measured, for want of time: {', '.join(result['not_measured'])}")


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    named = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() or "unknown"


if __name__ == "__main__":
    typer.run(main)
