"""`cosmos-robot bench`: measurements that take minutes to hours; run one again and it goes on where it was stopped."""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from cosmos_robot.cli.bench_golden import golden
from cosmos_robot.cli.bench_runs import closed_loop, forward_dynamics, generation, inverse_dynamics, policy, run
from cosmos_robot.cli.bench_simulator import prepare_simulator
from cosmos_robot.cli.settings import CheckpointOption, DeviceOption, DtypeOption
from cosmos_robot.errors import InvalidInputError, MissingDependencyError

if TYPE_CHECKING:
    from cosmos_robot.benchmarks.agreement_statistics import Interval
    from cosmos_robot.cli.model_choice import ModelChoice

bench_app = typer.Typer(
    name="bench",
    no_args_is_help=True,
    help="Measure a world model: on recorded episodes, and against a real simulator.",
)
bench_app.command("forward-dynamics")(forward_dynamics)
bench_app.command("inverse-dynamics")(inverse_dynamics)
bench_app.command("policy")(policy)
bench_app.command("closed-loop")(closed_loop)
bench_app.command("generation")(generation)
bench_app.command("golden")(golden)
bench_app.command("run")(run)

StepsOption = Annotated[int | None, typer.Option(min=1, help="Denoising steps.", show_default="the checkpoint's")]
EnvOption = Annotated[str, typer.Option(help="Which environment; pusht is the one there is.")]


@bench_app.command("agreement")
def agreement(
    *,
    env: EnvOption = "pusht",
    checkpoint: CheckpointOption = None,
    out: Annotated[Path, typer.Option(help="Folder for rows, figures and plot.")] = Path("outputs/agreement"),
    config: Annotated[
        Path | None, typer.Option(help="A file like the committed one.", show_default="the committed one")
    ] = None,
    starts: Annotated[
        int | None, typer.Option(min=2, help="Only the first so many starts.", show_default="all of the file")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Episodes imagined at once.")] = 10,
    controls: Annotated[bool, typer.Option(help="Also measure world models that are wrong on purpose.")] = True,
    num_steps: StepsOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
) -> None:
    """Play policies of graded quality in the real simulator and in the learned one, and compare their mean results."""
    _prepare("gym_pusht", "matplotlib")
    _require_pusht(env)
    from dataclasses import asdict, replace

    from cosmos_robot.benchmarks.agreement import CONFIGS, AgreementConfig, run_agreement
    from cosmos_robot.benchmarks.agreement_report import write_report
    from cosmos_robot.benchmarks.row_file import RowFile
    from cosmos_robot.cli.model_choice import ModelChoice

    chosen = AgreementConfig.read(config or CONFIGS[env])
    chosen = chosen if starts is None else replace(chosen, starts=min(starts, chosen.starts))
    choice = ModelChoice(checkpoint, device, dtype)
    settings = {key: value for key, value in asdict(chosen).items() if key not in ("starts", "resamples")}
    rows = RowFile(out, {**_weights(choice), "num_steps": num_steps, **settings})
    with Console(stderr=True).status("loading") as status:
        world_model = choice.load()
        played = run_agreement(
            world_model,
            chosen,
            rows,
            batch=batch,
            num_steps=num_steps,
            controls=controls,
            report=lambda what, done, total: status.update(f"{what}: {done} of {total} episodes"),
        )
    for table in write_report(played, chosen, out):
        Console().print(table)
    typer.echo(f"\nrows, summary.json and scatter.png are in {out}")


@bench_app.command("long-rollout")
def long_rollout(
    *,
    env: EnvOption = "pusht",
    checkpoint: CheckpointOption = None,
    out: Annotated[Path, typer.Option(help="Folder for rows, figures and plot.")] = Path("outputs/long_rollout"),
    episodes: Annotated[int, typer.Option(min=2, help="How many are imagined.")] = 16,
    actions: Annotated[int, typer.Option(min=16, help="Of each episode.")] = 256,
    calibration_episodes: Annotated[int, typer.Option(min=1, help="Real ones that the threshold is taken from.")] = 16,
    quantile: Annotated[float, typer.Option(help="Share of the real chunks that are to be trusted.")] = 0.99,
    batch: Annotated[int, typer.Option(min=1, help="Episodes imagined at once.")] = 4,
    num_steps: StepsOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
) -> None:
    """Measure the error against the horizon, with and without the trust stop, and how well the score tells it."""
    _prepare("gym_pusht", "matplotlib")
    _require_pusht(env)
    from cosmos_robot.benchmarks.long_rollout import (
        LongRolloutConfig,
        calibrate_on_pusht,
        plot_curves,
        run_long_rollouts,
        run_settings,
    )
    from cosmos_robot.benchmarks.row_file import RowFile
    from cosmos_robot.cli.model_choice import ModelChoice
    from cosmos_robot.envs.inverse_dynamics_trust import InverseDynamicsScore, TrustCalibration

    config = LongRolloutConfig(
        episodes=episodes, actions=actions, calibration_episodes=calibration_episodes, quantile=quantile
    )
    choice = ModelChoice(checkpoint, device, dtype)
    settings = {key: value for key, value in run_settings(config).items() if key != "episodes"}
    rows = RowFile(out, {**_weights(choice), "num_steps": num_steps, **settings})
    file = out / "trust.json"
    with Console(stderr=True).status("calibrating trust on real episodes") as status:
        world_model = choice.load()
        if not (file.exists() and rows.path.exists()):  # without rows it may be of other weights
            calibrate_on_pusht(world_model, config, num_steps=num_steps, batch=batch).write(file)
        calibration = TrustCalibration.read(file)
        played = run_long_rollouts(
            world_model,
            config,
            rows,
            score=InverseDynamicsScore(num_steps=num_steps),
            batch=batch,
            num_steps=num_steps,
            report=lambda done, total: status.update(f"{done} of {total} episodes"),
        )
    plot_curves(out / "long_rollout.png", played, calibration.threshold)
    _show_long_rollout(played, calibration.threshold)
    typer.echo(f"\nrows, trust.json (the calibration) and long_rollout.png are in {out}")


@bench_app.command("planning")
def planning(
    *,
    env: EnvOption = "pusht",
    checkpoint: CheckpointOption = None,
    out: Annotated[Path, typer.Option(help="Folder for rows.")] = Path("outputs/planning"),
    starts: Annotated[int, typer.Option(min=2, help="How many plans.")] = 20,
    first_start: Annotated[int, typer.Option(min=1_000_000, help="Seed of the first start.")] = 1_000_500,
    horizon: Annotated[int, typer.Option(min=1, help="Chunks of a plan.")] = 2,
    futures: Annotated[int, typer.Option(min=4, help="Futures imagined in one batch.")] = 16,
    iterations: Annotated[int, typer.Option(min=1, help="Batches of a plan.")] = 3,
    num_steps: StepsOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
) -> None:
    """Plan by imagined reward, and play the plans and their random proposals in the real simulator."""
    _prepare("gym_pusht")
    _require_pusht(env)
    from cosmos_robot.benchmarks.planning import planning_figures, run_planning
    from cosmos_robot.benchmarks.row_file import RowFile
    from cosmos_robot.cli.model_choice import ModelChoice
    from cosmos_robot.envs.planner import PlannerConfig

    config = PlannerConfig(horizon=horizon, futures=futures, iterations=iterations)
    choice = ModelChoice(checkpoint, device, dtype)
    rows = RowFile(out, {**_weights(choice), "num_steps": num_steps, **vars(config)})
    numbers = range(first_start, first_start + starts)
    with Console(stderr=True).status("loading") as status:
        played = run_planning(
            choice.load(),
            numbers,
            rows,
            config,
            num_steps=num_steps,
            report=lambda done, total: status.update(f"{done} of {total} plans"),
        )
    figures = planning_figures([row for row in played if row["start"] in numbers])
    table = Table("what", "figure", box=None, pad_edge=False)
    table.add_row("mean real reward of the plans", f"{figures.plan:.4f}")
    table.add_row("mean real reward of the random proposals", f"{figures.random:.4f}")
    table.add_row("gain", _shown(figures.gain))
    table.add_row("random proposals that are worse than the plan", f"{figures.beaten:.0%}")
    Console().print(table)
    typer.echo(f"\nrows of {figures.starts} starts are in {out}")


def _show_long_rollout(rows: list[dict[str, Any]], threshold: float) -> None:
    from cosmos_robot.benchmarks.long_rollout import ERRORS, curve
    from cosmos_robot.benchmarks.trust import trust_figures

    table = Table("horizon", *(f"{error}, with the stop" for error in ERRORS), "go on", box=None, pad_edge=False)
    table.title, table.title_justify = f"trust stop above a score of {threshold:.3f}", "left"
    free = [curve(rows, error) for error in ERRORS]
    stopped = [curve(rows, error, threshold=threshold) for error in ERRORS]
    for i, horizon in enumerate(free[0].horizon):
        pairs = (f"{one.error[i]:.3f}, {other.error[i]:.3f}" for one, other in zip(free, stopped, strict=True))
        table.add_row(str(horizon), *pairs, f"{stopped[0].going[i]:.0%}")
    Console().print(table)
    scores = Table("error", "worst", "AUROC of the score", "of the greatest so far", box=None, pad_edge=False)
    for error in ERRORS[:3]:
        for found in trust_figures(rows, error=error):
            scores.add_row(error, f"{found.worst:.0%}", _shown(found.auroc), _shown(found.auroc_so_far))
    Console().print(scores)


def _shown(interval: "Interval") -> str:
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def _weights(choice: "ModelChoice") -> dict[str, str | None]:
    from cosmos_robot.benchmarks.weights_digest import weights_digest

    return {"checkpoint": choice.name, "weights": weights_digest(choice.checkpoint)}


def _require_pusht(env: str) -> None:
    if env != "pusht":
        raise InvalidInputError(f"there is no benchmark for the environment {env!r}; pusht is the one there is.")


def _prepare(*packages: str) -> None:
    prepare_simulator()
    extras = {"gym_pusht": "pusht", "matplotlib": "viz"}
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise MissingDependencyError(
                f"this benchmark needs {package}, which is not installed; get it with "
                f"pip install 'cosmos-robot[{extras[package]}]'."
            ) from error
