"""Speed of this engine beside diffusers' `Cosmos3OmniPipeline`: the same weights, in one run, turn by turn.

    python -m cosmos_robot.benchmarks.speed [--out speed.json]

A machine changes its speed from minute to minute, so nothing here is a time alone: in every round everyone makes the
same answers, one straight after the other, and what is compared is the median of the rounds' ratios. The pipeline takes
one item a call; a batch of it counts as so many calls. All are timed as a caller sees them, from frames and actions on
the host to frames on the host.

On CUDA the weights are random ones of Nano's own configuration in bfloat16, and the run ends in under nine minutes,
compilation included: the headline and the targets come first, a comparison is begun only if what it is foretold to take
is left, and what is not measured is named with the reason. The file is written anew after each comparison. On a CPU the
weights are the embedded model's.
"""

import json
import platform
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

from cosmos_robot.benchmarks.random_checkpoint import RandomCheckpoint
from cosmos_robot.benchmarks.speed_cases import Case, with_shift
from cosmos_robot.benchmarks.speed_clock import Clock
from cosmos_robot.benchmarks.speed_contenders import build_pipeline, contenders, with_preset
from cosmos_robot.benchmarks.speed_cost import Costs
from cosmos_robot.benchmarks.speed_floor import Peaks, Work, measure_peaks, work_of
from cosmos_robot.benchmarks.speed_measure import Bench, seconds
from cosmos_robot.benchmarks.speed_plan import FP8, Comparison, plan_on_a_cpu, plan_on_cuda, tiny_plan
from cosmos_robot.benchmarks.speed_run import SpeedRun
from cosmos_robot.benchmarks.speed_targets import headline, reached
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.world_model import EMBEDDED

__all__ = ["EMBEDDED_FORM", "NANO", "machine", "main", "seconds"]

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


def main(
    *,
    out: Annotated[Path | None, typer.Option(help="Write everything as JSON.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each comparison, at most.")] = 3,
    minutes: Annotated[float, typer.Option(help="All is over after so many.")] = 8.5,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 2,
    batches: Annotated[str | None, typer.Option(help="On a CPU, only these batch sizes, with commas.")] = None,
    own_time: Annotated[
        bool, typer.Option(help="On a CPU that has other work: time by the CPU seconds of this process, one thread.")
    ] = False,
    tiny: Annotated[
        bool, typer.Option("--tiny", help="Random weights and frames so small that a test can run it.")
    ] = False,
) -> None:
    """Compare this engine, with each of its exact steps, with diffusers on the same weights."""
    clock, own = Clock(), time.process_time if own_time else None
    began = clock.now()
    torch.set_num_threads(1 if own_time else threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if own_time and device.type == "cuda":
        raise InvalidInputError("a GPU's work is no CPU time of this process; leave --own-time out.")
    form, pipeline = _weights(device, tiny=tiny)
    peaks = measure_peaks(device, pipeline.transformer.dtype, tiny=tiny, now=own or clock.now)
    end, rounds = began + 60 * minutes, 1 if tiny else rounds
    run = _speed_run(form, pipeline, peaks, rounds=rounds, end=end, each=not tiny, now=own)
    timed = "CPU seconds of the process" if own_time else "seconds of the clock"
    facts = {"machine": machine(torch.get_num_threads()), "timed_in": timed, "peaks": asdict(peaks)}
    result: dict[str, Any] = {}
    for comparison in _plan(device, batches, tiny=tiny):
        run.add(comparison)
        result = facts | _told(run, cuda=device.type == "cuda") | {"minutes": (clock.now() - began) / 60}
        if out is not None:
            out.write_text(json.dumps(result, indent=1))
    _show(result)


def _plan(device: torch.device, batches: str | None, *, tiny: bool) -> list[Comparison]:
    if tiny:
        return tiny_plan()
    wanted = None if batches is None else [int(batch) for batch in batches.split(",")]
    return plan_on_cuda() if device.type == "cuda" else plan_on_a_cpu(wanted)


def _speed_run(
    form: RandomCheckpoint,
    pipeline: Any,
    peaks: Peaks,
    *,
    rounds: int,
    end: float,
    each: bool,
    now: Callable[[], float] | None,
) -> SpeedRun:
    device = pipeline.transformer.proj_in.weight.device
    exact = contenders(pipeline, each=each)
    found = [*exact, *([with_preset(pipeline, FP8.removeprefix("preset "))] if device.type == "cuda" else [])]
    one_item = cache(lambda case: work_of(case, form, pipeline.transformer.dtype.itemsize))

    def counted(case: Case) -> Work:
        work: Work = one_item(case.single)
        return work.of(case.batch)

    costs = Costs(peaks, counted, cuda=device.type == "cuda")
    weights = sum(
        p.numel() * p.element_size() for part in (pipeline.transformer, pipeline.vae) for p in part.parameters()
    )
    bench = Bench(peaks, device, rounds=rounds, costs=costs, now=now, end=end, weights_bytes=weights)
    return SpeedRun({one.name: one for one in found}, tuple(one.name for one in exact), counted, bench, costs)


def _told(run: SpeedRun, *, cuda: bool) -> dict[str, Any]:
    """The headline and the targets, which are a GPU's, and all rows."""
    rows = [row for _, row in run.rows]
    aims = {"headline": headline(rows), "targets": reached(rows)} if cuda else {}
    return aims | run.result()


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


def _show(result: dict[str, Any]) -> None:
    console = Console(width=160)
    table = Table(
        "case", "who", "ms a step", "s a chunk", "of the floor", "to diffusers", "least to greatest", "attention"
    )
    table.title = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
    for row in result["rows"]:
        spread = "" if row["ratio"] is None else f"{row['ratio_low']:.2f} to {row['ratio_high']:.2f}"
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}x"
        step = "" if row["step_ms"] is None else f"{row['step_ms']:.1f}"
        numbers = step, f"{row['chunk_s']:.3f}", f"{100 * row['floor_share']:.0f} %"
        table.add_row(row["case"], row["contender"], *numbers, ratio, spread, row["attention"][:36])
    console.print(table)
    for line in result.get("headline", []):
        factor = "not measured" if line["factor"] is None else f"{line['factor']:.2f} s of robot time a second"
        console.print(f"{line['domain']}, {line['who']}: {factor} ({line['case']})")
    for line in result.get("targets", []):
        figure = "not measured" if line["measured"] is None else f"{line['measured']:.2f}"
        console.print(f"{line['target']}: {figure}, wanted {line['limit']}")
    for line in result["not_measured"]:
        console.print(f"not measured: {line['case']}, {line['who']}: {line['why']}")


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
