"""`cosmos-robot bench`: measurements that take minutes to hours; run one again and it goes on where it was stopped."""

import importlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from cosmos_robot.cli.bench_agreement import agreement
from cosmos_robot.cli.bench_golden import golden
from cosmos_robot.cli.bench_runs import closed_loop, forward_dynamics, generation, inverse_dynamics, policy, run
from cosmos_robot.cli.bench_simulator import prepare_simulator
from cosmos_robot.cli.bench_speed import speed
from cosmos_robot.cli.settings import CheckpointOption, DeviceOption, DtypeOption, with_settings
from cosmos_robot.errors import InvalidInputError, MissingDependencyError

if TYPE_CHECKING:
    from cosmos_robot.benchmarks.row_file import RowFile
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
bench_app.command("agreement")(agreement)
bench_app.command("speed")(speed)
bench_app.command("golden")(golden)
bench_app.command("run")(run)


@dataclass(frozen=True, kw_only=True)
class PushTSettings:
    """The options of the measurements in gym-pusht that are no suites of runs."""

    env: Annotated[str, typer.Option(help="Which environment; pusht is the one there is.")] = "pusht"
    checkpoint: CheckpointOption = None
    out: Annotated[Path | None, typer.Option(help="Folder for rows.", show_default="outputs/<command>")] = None
    num_steps: Annotated[int | None, typer.Option(min=1, help="Denoising steps.", show_default="the checkpoint's")] = (
        None
    )
    device: DeviceOption = None
    dtype: DtypeOption = None

    def choice(self) -> "ModelChoice":
        """The world model.

        Raises:
            InvalidInputError: if the environment is another than Push-T.
        """
        from cosmos_robot.cli.model_choice import ModelChoice

        if self.env != "pusht":
            raise InvalidInputError(
                f"there is no benchmark for the environment {self.env!r}; pusht is the one there is."
            )
        return ModelChoice(self.checkpoint, self.device, self.dtype)

    def rows(self, out: Path, choice: "ModelChoice", settings: Mapping[str, Any]) -> "RowFile":
        """The rows of a folder, those of these weights and settings."""
        from cosmos_robot.benchmarks.row_file import RowFile
        from cosmos_robot.benchmarks.weights_digest import weights_digest

        weights = {"checkpoint": choice.name, "weights": weights_digest(choice.checkpoint)}
        return RowFile(out, {**weights, "num_steps": self.num_steps, **settings})


@bench_app.command("long-rollout")
@with_settings
def long_rollout(
    *,
    settings: PushTSettings,
    episodes: Annotated[int, typer.Option(min=2, help="How many are imagined.")] = 16,
    actions: Annotated[int, typer.Option(min=16, help="Of each episode.")] = 256,
    calibration_episodes: Annotated[int, typer.Option(min=1, help="Real ones that the threshold is taken from.")] = 16,
    quantile: Annotated[float, typer.Option(help="Share of the real chunks that are to be trusted.")] = 0.99,
    batch: Annotated[int, typer.Option(min=1, help="Episodes imagined at once.")] = 4,
) -> None:
    """Measure the error against the horizon, with and without the trust stop, and how well the score tells it."""
    _prepare("gym_pusht", "matplotlib")
    from cosmos_robot.benchmarks.long_rollout import (
        LongRolloutConfig,
        calibrate_on_pusht,
        long_rollout_figures,
        plot_curves,
        run_long_rollouts,
        run_settings,
    )
    from cosmos_robot.envs.inverse_dynamics_trust import InverseDynamicsScore, TrustCalibration

    config = LongRolloutConfig(
        episodes=episodes, actions=actions, calibration_episodes=calibration_episodes, quantile=quantile
    )
    choice, out = settings.choice(), settings.out or Path("outputs/long_rollout")
    shared = {key: value for key, value in run_settings(config).items() if key != "episodes"}
    rows, file, num_steps = settings.rows(out, choice, shared), out / "trust.json", settings.num_steps
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
    figures = long_rollout_figures(played, calibration.threshold)
    _write_figures(out, figures)
    _show_long_rollout(figures)
    typer.echo(f"\nrows, figures.json, trust.json (the calibration) and long_rollout.png are in {out}")


@bench_app.command("planning")
@with_settings
def planning(
    *,
    settings: PushTSettings,
    starts: Annotated[int, typer.Option(min=2, help="How many plans.")] = 20,
    first_start: Annotated[int, typer.Option(min=1_000_000, help="Seed of the first start.")] = 1_000_500,
    horizon: Annotated[int, typer.Option(min=1, help="Chunks of a plan.")] = 2,
    futures: Annotated[int, typer.Option(min=4, help="Futures imagined in one batch.")] = 16,
    iterations: Annotated[int, typer.Option(min=1, help="Batches of a plan.")] = 3,
    most_change: Annotated[float, typer.Option(min=0.001, help="From action to action, share of the table.")] = 0.05,
) -> None:
    """Plan by imagined reward, and play the plans and their random proposals in the real simulator."""
    _prepare("gym_pusht")
    from cosmos_robot.benchmarks.planning import planning_figures, run_planning
    from cosmos_robot.envs.planner import PlannerConfig

    config = PlannerConfig(horizon=horizon, futures=futures, iterations=iterations, most_change=most_change)
    choice, out = settings.choice(), settings.out or Path("outputs/planning")
    rows = settings.rows(out, choice, vars(config))
    numbers = range(first_start, first_start + starts)
    with Console(stderr=True).status("loading") as status:
        played = run_planning(
            choice.load(),
            numbers,
            rows,
            config,
            num_steps=settings.num_steps,
            report=lambda done, total: status.update(f"{done} of {total} plans"),
        )
    figures = planning_figures([row for row in played if row["start"] in numbers])
    _write_figures(out, asdict(figures))
    table = Table("what", "figure", box=None, pad_edge=False)
    table.add_row("mean real reward of the plans", f"{figures.plan:.4f}")
    table.add_row("mean real reward of the random proposals", f"{figures.random:.4f}")
    table.add_row("mean real reward of staying where one is", f"{figures.still:.4f}")
    table.add_row("gain of the plans over random proposals", _interval(vars(figures.gain)))
    table.add_row("gain of the plans over staying", _interval(vars(figures.gain_on_still)))
    table.add_row("random proposals that are worse than the plan", f"{figures.beaten:.0%}")
    Console().print(table)
    typer.echo(f"\nrows of {figures.starts} starts and figures.json are in {out}")


def _show_long_rollout(figures: dict[str, Any]) -> None:
    free, stopped = figures["without the stop"], figures["with the stop"]
    errors = [error for error in free if error != "copied_pixel_error"]
    table = Table("horizon", *(f"{error}, with the stop" for error in errors), "go on", box=None, pad_edge=False)
    table.title, table.title_justify = f"trust stop above a score of {figures['threshold']:.3f}", "left"
    for i, horizon in enumerate(figures["horizon"]):
        pairs = (f"{free[error][i]:.3f}, {_figure(stopped[error][i])}" for error in errors)
        table.add_row(str(horizon), *pairs, f"{figures['share that goes on'][i]:.0%}")
    Console().print(table)
    scores = Table("error", "worst", "AUROC of the score", "of the greatest so far", box=None, pad_edge=False)
    for found in figures["auroc"]:
        each = (_interval(found[name]) for name in ("auroc", "auroc_so_far"))
        scores.add_row(found["error"], f"{found['worst']:.0%}", *each)
    Console().print(scores)


def _write_figures(out: Path, figures: dict[str, Any]) -> None:
    (out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _interval(found: Mapping[str, float]) -> str:
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


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
