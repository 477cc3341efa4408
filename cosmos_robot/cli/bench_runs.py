"""`cosmos-robot bench forward-dynamics` and the other suites of offline runs, and `bench run` for a file of them."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import Progress

from cosmos_robot.cli.bench_simulator import prepare_simulator
from cosmos_robot.cli.progress import open_bars
from cosmos_robot.cli.settings import CheckpointOption, DeviceOption, DtypeOption, with_settings

if TYPE_CHECKING:
    from cosmos_robot.benchmarks.run_config import RunConfig
    from cosmos_robot.benchmarks.run_execution import Report

SOME_FAILED = 1

WorkersOption = Annotated[int | None, typer.Option(min=1, help="Processes, or actors of --ray.", show_default="one")]
RayOption = Annotated[str | None, typer.Option(help="Address of a Ray cluster; `local` starts one here.")]
RetryOption = Annotated[bool, typer.Option("--retry-failed", help="Measure rows again that failed.")]
RenewOption = Annotated[bool, typer.Option("--renew", help="Throw away rows of other weights or settings.")]
NoisesOption = Annotated[int, typer.Option(min=1, help="Seeds of the noise for each window.")]
SamplesOption = Annotated[int, typer.Option(min=1, help="Answers to each question, for the best of them.")]
FvdOption = Annotated[Path | None, typer.Option(help="i3d_torchscript.pt, for FVD.")]


class GenerationMode(StrEnum):
    """What is generated."""

    TEXT2IMAGE = "text2image"
    TEXT2VIDEO = "text2video"
    IMAGE2VIDEO = "image2video"


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """The options of every suite; None is the domain's or the checkpoint's own default."""

    checkpoint: CheckpointOption = None
    rows: Annotated[int | None, typer.Option(min=1, help="At most, drawn by the seed.", show_default="all")] = None
    seed: Annotated[int, typer.Option(min=0, help="Of all draws.")] = 0
    num_steps: Annotated[int | None, typer.Option(min=1, help="Denoising steps.")] = None
    guidance: Annotated[float | None, typer.Option(help="Classifier-free guidance scale.")] = None
    shift: Annotated[float | None, typer.Option(help="Flow shift of the noise schedule.")] = None
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
    renew: RenewOption = False


@dataclass(frozen=True, kw_only=True)
class WindowSettings(RunSettings):
    """Those of the suites that are measured on windows of recorded episodes."""

    episodes: Annotated[
        str, typer.Option(help="What open_episodes opens; or pusht-held-out, recorded when first asked for.")
    ]
    domain: Annotated[str, typer.Option(help="Name or alias of a domain, or the path of a domain file.")]
    chunk: Annotated[
        int | None, typer.Option(min=4, help="Actions of one generation.", show_default="the domain's")
    ] = None
    stride: Annotated[
        int | None, typer.Option(min=1, help="Time steps from window to window.", show_default="no overlap")
    ] = None
    fps: Annotated[float | None, typer.Option(help="Frames a second of the windows.")] = None
    image_size: Annotated[str | None, typer.Option(help="Resolution tier: 256, 480, 704 or 720.")] = None
    view_point: Annotated[str | None, typer.Option(help="Where the camera stands, as in ego_view.")] = None
    prompt: Annotated[str | None, typer.Option(help="Instead of the episodes' own.")] = None


@with_settings
def forward_dynamics(
    *,
    settings: WindowSettings,
    horizon: Annotated[
        int | None,
        typer.Option(min=4, help="Actions of a window; chained where longer than a chunk.", show_default="a chunk"),
    ] = None,
    noises: NoisesOption = 1,
    consistency: Annotated[bool, typer.Option(help="Also read the imagined frames by inverse dynamics.")] = True,
    fvd_weights: FvdOption = None,
) -> None:
    """Imagine recorded windows from their first frame and their actions, and compare with what the camera saw."""
    own = {"horizon": horizon, "consistency": consistency, "fvd_weights": _name(fvd_weights)}
    run_one(settings, "forward-dynamics", noises=noises, **own)


@with_settings
def inverse_dynamics(*, settings: WindowSettings, noises: NoisesOption = 1) -> None:
    """Read the actions of recorded windows off their frames, and compare with those that were taken."""
    run_one(settings, "inverse-dynamics", noises=noises)


@with_settings
def policy(
    *,
    settings: WindowSettings,
    samples: SamplesOption = 1,
) -> None:
    """Let the policy choose from the first frames of recorded windows, and compare with the actions taken."""
    run_one(settings, "policy", samples=samples)


@with_settings
def generation(
    *,
    settings: WindowSettings,
    mode: Annotated[GenerationMode, typer.Option(help="What is generated.")] = GenerationMode.IMAGE2VIDEO,
    noises: NoisesOption = 1,
    fvd_weights: FvdOption = None,
    clip_weights: Annotated[
        Path | None, typer.Option(help="Folder of a CLIP checkpoint.", show_default="the Hub's cache")
    ] = None,
) -> None:
    """Generate from the words, and the first frames, of recorded windows; of Push-T see whether the T goes as told."""
    from cosmos_robot.benchmarks.generation_suite import GenerationSettings

    own = GenerationSettings(mode.value, None if clip_weights is None else str(clip_weights))
    run_one(settings, "generation", noises=noises, fvd_weights=_name(fvd_weights), own=own)


@with_settings
def closed_loop(
    *,
    settings: RunSettings,
    chunks: Annotated[int, typer.Option(min=1, help="How often the policy looks.")] = 8,
    replan_every: Annotated[int, typer.Option(min=1, help="Actions that are taken of each chunk.")] = 8,
    noises: NoisesOption = 1,
    samples: SamplesOption = 1,
) -> None:
    """Let the policy play in gym-pusht, told where to push the T, from held-out starts; its open loop beside it."""
    from cosmos_robot.benchmarks.closed_loop_suite import ClosedLoopSettings

    own = ClosedLoopSettings(chunks, replan_every)
    run_one(settings, "closed-loop", domain="pusht", noises=noises, samples=samples, own=own)


def run(
    *,
    file: Annotated[Path, typer.Argument(help="TOML with [defaults] and a [[run]] for each.")],
    out: Annotated[Path, typer.Option(help="Folder for the runs' folders.")] = Path("outputs/bench"),
    workers: WorkersOption = None,
    ray: RayOption = None,
    retry_failed: RetryOption = False,
    renew: RenewOption = False,
) -> None:
    """Do every run that a file names, each in a folder of its name.

    Exit status: 0; 1 if rows failed; 2 if the input cannot be used; 130 after Ctrl-C.
    """
    from cosmos_robot.benchmarks.run_file import read_run_file

    runs = [(config, out / config.name) for config in read_run_file(file)]
    execute_runs(runs, Who(workers, ray, retry_failed, renew))


@dataclass(frozen=True)
class Who:
    """Who measures, and what becomes of rows that are there."""

    workers: int | None = None
    ray: str | None = None
    retry_failed: bool = False
    renew: bool = False


def _name(path: Path | None) -> str | None:
    return None if path is None else str(path)


def run_one(settings: RunSettings, suite: str, **own: Any) -> Path:
    """Do one run with the options of a command, and give its folder."""
    from cosmos_robot.benchmarks.run_config import RunConfig

    not_the_runs = {"out", "workers", "ray", "retry_failed", "renew"}
    shared = {key: value for key, value in asdict(settings).items() if key not in not_the_runs}
    config = RunConfig(suite=suite, **shared, **own)
    folder = settings.out or Path("outputs/bench") / suite
    execute_runs([(config, folder)], Who(settings.workers, settings.ray, settings.retry_failed, settings.renew))
    return folder


def execute_runs(runs: "list[tuple[RunConfig, Path]]", who: Who) -> None:
    """Do runs one after another, each in its folder, and say what became of them.

    Raises:
        Exit: with status 1 if rows failed.
    """
    prepare_simulator()
    from cosmos_robot.benchmarks.run_execution import Workers, execute

    failed = 0
    for config, folder in runs:
        with open_bars() as bars:
            show = _shown_on(bars, config.suite)
            rows = execute(
                config,
                folder,
                workers=Workers(who.workers, who.ray),
                retry_failed=who.retry_failed,
                renew=who.renew,
                report=show,
            )
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
