"""Speed of this engine beside diffusers' `Cosmos3OmniPipeline`: the same weights, in one run, turn by turn.

    python -m cosmos_robot.benchmarks.speed [--out speed.json]

A shared machine changes its speed from minute to minute, so nothing here is a time alone: in every round both make the
same chunks, one straight after the other, and what is reported is the median of the rounds' ratios. The pipeline takes
one item a call; a batch of it is so many calls. Both are timed as a caller sees them, from frames and actions on the
host to frames on the host.
"""

import json
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from diffusers.pipelines.cosmos.pipeline_cosmos3_omni import CosmosActionCondition
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from cosmos_robot.benchmarks.random_checkpoint import RandomCheckpoint
from cosmos_robot.domains.canvas import action_canvas
from cosmos_robot.domains.caption import action_caption
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.engine.engine import Engine
from cosmos_robot.types import ActionMode, ModelInput

MID = RandomCheckpoint(layers=4, hidden=384, heads=6, kv_heads=2, head_dim=64, intermediate=1152, z_dim=48, base_dim=8)
"""What a CPU can run: the form of Nano, the work divided among its parts about as Nano's is."""

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

DOMAIN = "bridge_orig_lerobot"


@dataclass(frozen=True)
class Case:
    """One comparison: a mode on frames of one size, in a batch."""

    mode: ActionMode
    height: int
    width: int
    tier: int
    action_chunk_size: int
    num_steps: int
    batch: int


@dataclass(frozen=True)
class Row:
    """What was measured of a case: medians over the rounds.

    Attributes:
        case: what was compared.
        ours_s: seconds of this engine for the batch.
        diffusers_s: seconds of the pipeline for the batch, item after item.
        ratio: diffusers / ours, the median of the rounds' ratios.
        ratio_low: the least of them.
        ratio_high: the greatest.
        rounds: how many.
        max_difference: greatest difference of the first item's frames (of 255) or actions (model space).
    """

    case: Case
    ours_s: float
    diffusers_s: float
    ratio: float
    ratio_low: float
    ratio_high: float
    rounds: int
    max_difference: float


def main(
    out: Annotated[Path | None, typer.Option(help="Write the rows as JSON.")] = None,
    rounds: Annotated[int, typer.Option(help="Rounds of each comparison.")] = 5,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
    num_steps: Annotated[int, typer.Option(help="Denoising steps.")] = 10,
    batches: Annotated[str, typer.Option(help="Batch sizes, with commas.")] = "1,8",
) -> None:
    """Compare this engine with diffusers on random weights: Nano's own configuration on CUDA, a mid-sized one else."""
    torch.set_num_threads(threads)
    cuda = torch.cuda.is_available()
    pipeline = build_pipeline(NANO if cuda else MID, "cuda" if cuda else "cpu")
    engine = Engine.from_pipeline(pipeline)
    modes: tuple[ActionMode, ...] = ("forward_dynamics", "policy", "inverse_dynamics")
    cases = [Case(mode, 192, 320, 256, 16, num_steps, int(batch)) for mode in modes for batch in batches.split(",")]
    rows = [measure(case, engine, pipeline, rounds) for case in cases]
    where = machine(threads)
    Console().print(as_table(rows, where))
    if out is not None:
        out.write_text(json.dumps({"machine": where, "rows": [asdict(row) for row in rows]}, indent=1))


def build_pipeline(checkpoint: RandomCheckpoint, device: str) -> Any:
    """Build a pipeline of random weights: bfloat16 on CUDA, built there; float32 on the CPU."""
    with torch.device(device):
        pipeline = checkpoint.pipeline()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(torch.bfloat16) if device == "cuda" else pipeline


def measure(case: Case, engine: Engine, pipeline: Any, rounds: int) -> Row:
    """Time both, turn by turn, after one round that is not counted."""
    requests = [request_of(case, seed) for seed in range(case.batch)]

    def ours() -> Any:
        return engine.generate(requests)

    def theirs() -> Any:
        return [run_pipeline(pipeline, case, request) for request in requests]

    difference = _difference(ours()[0], theirs()[0], case.mode)
    pairs = [(seconds(ours), seconds(theirs)) for _ in track(range(rounds), description=f"{case.mode} x{case.batch}")]
    ratios = [other / own for own, other in pairs]
    return Row(
        case=case,
        ours_s=statistics.median(own for own, _ in pairs),
        diffusers_s=statistics.median(other for _, other in pairs),
        ratio=statistics.median(ratios),
        ratio_low=min(ratios),
        ratio_high=max(ratios),
        rounds=rounds,
        max_difference=difference,
    )


def seconds(work: Callable[[], object]) -> float:
    """Time a call, the device's work included."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def request_of(case: Case, seed: int) -> ModelInput:
    """Make item `seed` of a case: random frames and actions, the bridge domain's caption."""
    rng = np.random.default_rng(seed)
    domain = get_domain(DOMAIN)
    canvas = action_canvas(case.height, case.width, case.tier)
    count = case.action_chunk_size + 1 if case.mode == "inverse_dynamics" else 1
    actions = np.zeros((case.action_chunk_size, 64), np.float32)
    actions[:, : domain.raw_action_dim] = rng.uniform(-1, 1, (case.action_chunk_size, domain.raw_action_dim))
    return ModelInput(
        mode=case.mode,
        frames=rng.integers(0, 256, (count, case.height, case.width, 3), dtype=np.uint8),
        canvas=canvas,
        prompt=action_caption(
            "Put the pot to the left of the purple item",
            view_sentence=domain.view_sentence(),
            action_chunk_size=case.action_chunk_size,
            fps=domain.fps,
            height=canvas.padded[0],
            width=canvas.padded[1],
        ),
        domain_id=domain.domain_id,
        raw_action_dim=domain.raw_action_dim,
        action_chunk_size=case.action_chunk_size,
        fps=domain.fps,
        num_steps=case.num_steps,
        seed=seed,
        actions=actions if case.mode == "forward_dynamics" else None,
    )


def run_pipeline(pipeline: Any, case: Case, request: ModelInput) -> Any:
    """Give diffusers' pipeline the same item."""
    domain = get_domain(DOMAIN)
    images = [Image.fromarray(frame) for frame in request.frames]
    actions = None if request.actions is None else torch.from_numpy(request.actions[:, : domain.raw_action_dim])
    whole_clip = case.mode == "inverse_dynamics"
    condition = CosmosActionCondition(
        mode=case.mode,
        chunk_size=case.action_chunk_size,
        domain_name=domain.name,
        resolution_tier=case.tier,
        raw_actions=actions,
        video=images if whole_clip else None,
        image=None if whole_clip else images[0],
        view_point=domain.view_point,
    )
    return pipeline(
        "Put the pot to the left of the purple item",
        action=condition,
        fps=request.fps,
        num_inference_steps=request.num_steps,
        guidance_scale=1.0,
        generator=torch.Generator("cpu").manual_seed(request.seed),
        output_type="np",
        use_system_prompt=False,
    )


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


def as_table(rows: list[Row], where: dict[str, str]) -> Table:
    """Draw the rows for a person."""
    table = Table("mode", "batch", "this engine, s", "diffusers, s", "ratio", "least to greatest", "difference")
    table.title = ", ".join(f"{key} {value}" for key, value in where.items())
    for row in rows:
        table.add_row(
            row.case.mode,
            str(row.case.batch),
            f"{row.ours_s:.3f}",
            f"{row.diffusers_s:.3f}",
            f"{row.ratio:.2f}x",
            f"{row.ratio_low:.2f} to {row.ratio_high:.2f}",
            f"{row.max_difference:.1e}",
        )
    return table


def _difference(prediction: Any, output: Any, mode: ActionMode) -> float:
    if mode == "inverse_dynamics":
        return float(np.abs(prediction.actions - output.action[0].numpy()).max())
    return float(np.abs(prediction.frames - (output.video * 255).round()).max())


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
