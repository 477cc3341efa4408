"""`cosmos-robot bench speed`: this engine beside diffusers' pipeline, as a run with rows and a report."""

from pathlib import Path
from typing import Annotated

import typer

from cosmos_robot.cli.bench_runs import RenewOption, RetryOption, Who, execute_runs
from cosmos_robot.cli.settings import DeviceOption, DtypeOption


def speed(
    *,
    weights: Annotated[
        str | None,
        typer.Option(help="nano, embedded or tiny.", show_default="nano (random) on CUDA, embedded elsewhere"),
    ] = None,
    mode: Annotated[list[str] | None, typer.Option(help="Again for each.", show_default="all")] = None,
    tier: Annotated[list[int] | None, typer.Option(help="Again for each.", show_default="all")] = None,
    batch: Annotated[list[int] | None, typer.Option(min=1, help="Again for each.", show_default="1, 4, 16")] = None,
    preset: Annotated[
        list[str] | None, typer.Option(help="A preset of this engine to stand beside it; again for each.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Of a row, whose medians are taken.")] = 3,
    repetitions: Annotated[int, typer.Option(min=1, help="Rows of a case.")] = 3,
    num_steps: Annotated[int | None, typer.Option(min=2, help="Denoising steps.", show_default="the case's")] = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("outputs/bench/speed"),
    retry_failed: RetryOption = False,
    renew: RenewOption = False,
) -> None:
    """Time chunks and denoising steps beside diffusers, as it comes and compiled, and beside measured peak rates."""
    from cosmos_robot.benchmarks.run_config import RunConfig
    from cosmos_robot.benchmarks.speed_suite import SpeedSettings

    own = SpeedSettings(
        weights=weights,  # type: ignore[arg-type]  # it is checked there
        modes=tuple(mode) if mode else None,
        tiers=tuple(tier) if tier else None,
        batches=tuple(batch) if batch else SpeedSettings.batches,
        presets=tuple(preset or ()),
        rounds=rounds,
        repetitions=repetitions,
    )
    config = RunConfig(
        suite="speed", domain="bridge_orig_lerobot", num_steps=num_steps, device=device, dtype=dtype, own=own
    )
    execute_runs([(config, out)], Who(retry_failed=retry_failed, renew=renew))
