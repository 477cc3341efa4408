"""`cosmos-robot bench forward-dynamics` and the other suites of offline runs, and `bench run` for a file of them."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cosmos_robot.cli.settings import CheckpointOption, DeviceOption, DtypeOption, with_settings

if TYPE_CHECKING:
    from cosmos_robot.benchmarks.run_config import RunConfig
    from cosmos_robot.benchmarks.run_execution import Report

SOME_FAILED = 1

WorkersOption = Annotated[int | None, typer.Option(min=1, help="Processes, or actors of --ray.", show_default="one")]
RayOption = Annotated[str | None, typer.Option(help="Address of a Ray cluster; `local` starts one here.")]
RetryOption = Annotated[bool, typer.Option("--retry-failed", help="Measure rows again that failed.")]
NoisesOption = Annotated[int, typer.Option(min=1, help="Seeds of the noise for each window.")]


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """The options of every suite; None is the domain's or the checkpoint's own default."""

    episodes: Annotated[
        str, typer.Option(help="What open_episodes opens; or pusht-held-out, recorded when first asked for.")
    ]
    domain: Annotated[str, typer.Option(help="Name or alias of a domain, or the path of a domain file.")]
    checkpoint: CheckpointOption = None
    rows: Annotated[int | None, typer.Option(min=1, help="Windows at most, drawn by the seed.", show_default="all")] = (
        None
    )
    chunk: Annotated[
        int | None, typer.Option(min=4, help="Actions of one generation.", show_default="the domain's")
    ] = None
    stride: Annotated[
        int | None, typer.Option(min=1, help="Time steps from window to window.", show_default="no overlap")
    ] = None
    seed: Annotated[int, typer.Option(min=0, help="Of all draws.")] = 0
    num_steps: Annotated[int | None, typer.Option(min=1, help="Denoising steps.")] = None
    guidance: Annotated[float | None, typer.Option(help="Classifier-free guidance scale.")] = None
    shift: Annotated[float | None, typer.Option(help="Flow shift of the noise schedule.")] = None
    fps: Annotated[float | None, typer.Option(help="Frames a second of the windows.")] = None
    image_size: Annotated[str | None, typer.Option(help="Resolution tier: 256, 480, 704 or 720.")] = None
    view_point: Annotated[str | None, typer.Option(help="Where the camera stands, as in ego_view.")] = None
    prompt: Annotated[str | None, typer.Option(help="Instead of the episodes' own.")] = None
    controls: Annotated[bool, typer.Option(help="Also measure what is wrong on purpose.")] = True
    batch: Annotated[int, typer.Option(min=1, help="Rows of one call.")] = 1
    keep_predictions: Annotated[
        bool, typer.Option("--keep-predictions", help="Keep what is predicted, for the report's videos.")
    ] = False
    device: DeviceOption = None
    dtype: DtypeOption = None
    out: Annotated[Path | None, typer.Option(help="Folder of the run.", show_default="outputs/bench/<suite>")] = None
    workers: WorkersOption = None
    ray: RayOption = None
    retry_failed: RetryOption = False


@with_settings
def forward_dynamics(
    *,
    settings: RunSettings,
    horizon: Annotated[
        int | None,
        typer.Option(min=4, help="Actions of a window; chained where longer than a chunk.", show_default="a chunk"),
    ] = None,
    noises: NoisesOption = 1,
    consistency: Annotated[bool, typer.Option(help="Also read the imagined frames by inverse dynamics.")] = True,
    fvd_weights: Annotated[Path | None, typer.Option(help="i3d_torchscript.pt, for FVD.")] = None,
) -> None:
    """Imagine recorded windows from their first frame and their actions, and compare with what the camera saw."""
    weights = None if fvd_weights is None else str(fvd_weights)
    _one(settings, "forward-dynamics", horizon=horizon, noises=noises, consistency=consistency, fvd_weights=weights)


@with_settings
def inverse_dynamics(*, settings: RunSettings, noises: NoisesOption = 1) -> None:
    """Read the actions of recorded windows off their frames, and compare with those that were taken."""
    _one(settings, "inverse-dynamics", noises=noises)


@with_settings
def policy(
    *,
    settings: RunSettings,
    samples: Annotated[int, typer.Option(min=1, help="Answers for each window, for the best of them.")] = 1,
) -> None:
    """Let the policy choose from the first frames of recorded windows, and compare with the actions taken."""
    _one(settings, "policy", samples=samples)


def run(
    *,
    file: Annotated[Path, typer.Argument(help="TOML with [defaults] and a [[run]] for each.")],
    out: Annotated[Path, typer.Option(help="Folder for the runs' folders.")] = Path("outputs/bench"),
    workers: WorkersOption = None,
    ray: RayOption = None,
    retry_failed: RetryOption = False,
) -> None:
    """Do every run that a file names, each in a folder of its name.

    Exit status: 0; 1 if rows failed; 2 if the input cannot be used; 130 after Ctrl-C.
    """
    from cosmos_robot.benchmarks.run_config import read_run_file

    _execute([(config, out / config.name) for config in read_run_file(file)], workers, ray, retry_failed=retry_failed)


def _one(settings: RunSettings, suite: str, **own: Any) -> None:
    from cosmos_robot.benchmarks.run_config import RunConfig

    not_the_runs = {"out", "workers", "ray", "retry_failed"}
    shared = {key: value for key, value in asdict(settings).items() if key not in not_the_runs}
    config = RunConfig(suite=suite, **shared, **own)
    folder = settings.out or Path("outputs/bench") / suite
    _execute([(config, folder)], settings.workers, settings.ray, retry_failed=settings.retry_failed)


def _execute(runs: "list[tuple[RunConfig, Path]]", workers: int | None, ray: str | None, *, retry_failed: bool) -> None:
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # gym-pusht records without a display
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    from cosmos_robot.benchmarks.run_execution import Workers, execute

    failed = 0
    for config, folder in runs:
        with _progress() as bars:
            show = _shown_on(bars, config.suite)
            rows = execute(config, folder, workers=Workers(workers, ray), retry_failed=retry_failed, report=show)
        wrong = [row for row in rows if row["status"] == "failed"]
        failed += len(wrong)
        typer.echo(f"{len(rows)} rows, {len(wrong)} failed, in {folder}")
        if wrong:
            typer.echo(f"error: row {wrong[0]['row']}: {wrong[0]['error']}", err=True)
        typer.echo(f"to look at them: cosmos-robot report {folder}")
    if failed:
        raise typer.Exit(SOME_FAILED)


def _shown_on(bars: Progress, suite: str) -> "Report":
    task = bars.add_task(f"{suite}: loading", total=None)

    def show(done: int, total: int, failures: int) -> None:
        bars.update(task, description=f"{suite}, {failures} failed" if failures else suite, completed=done, total=total)

    return show


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
