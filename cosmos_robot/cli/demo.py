"""`cosmos-robot demo`: the learned simulator beside the real one, from a start that it has never seen."""

import importlib
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cosmos_robot.cli.settings import CheckpointOption, DeviceOption, DtypeOption
from cosmos_robot.errors import CheckpointError, MissingDependencyError

if TYPE_CHECKING:
    from cosmos_robot.benchmarks.demo import DemoFigures

EXTRAS = {"gym_pusht": "pusht", "matplotlib": "viz"}
"""Optional packages that the demo needs, and the extras that bring them."""


def demo(
    *,
    checkpoint: CheckpointOption = None,
    out: Annotated[Path, typer.Option(help="Folder for the pictures and the figures.")] = Path("outputs/demo"),
    seed: Annotated[int, typer.Option(min=0, help="Which start, and the model's noise.")] = 0,
    num_steps: Annotated[
        int | None, typer.Option(min=1, help="Denoising steps.", show_default="the checkpoint's")
    ] = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
) -> None:
    """Play Push-T in the real simulator and in the learned one, side by side, with the errors in numbers."""
    # gym-pusht draws with pygame, which asks for a display where it is not told that there is none.
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")  # pygame's own affair
    _require_extras()
    _require_checkpoint(checkpoint)
    from cosmos_robot.benchmarks.demo import STAGES, run_demo, table
    from cosmos_robot.cli.model_choice import ModelChoice
    from cosmos_robot.cli.outputs import require_writable
    from cosmos_robot.cli.progress import ProgressBars

    require_writable(out)
    choice = ModelChoice(checkpoint, device, dtype)
    with ProgressBars(STAGES, noun="demo") as bars:
        model = choice.load()
        figures = run_demo(model, out, bars, checkpoint=choice.name, seed=seed, num_steps=num_steps)
    Console().print(_shown(figures, table(figures)))
    _say_where_to_look(out)


def _require_extras() -> None:
    for package, extra in EXTRAS.items():
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise MissingDependencyError(
                f"the demo needs {package}, which is not installed; get it with pip install 'cosmos-robot[{extra}]'."
            ) from error


def _require_checkpoint(checkpoint: str | None) -> None:
    from cosmos_robot.world_model import EMBEDDED

    if checkpoint is None and not EMBEDDED.is_dir():
        raise CheckpointError(
            "this build carries no embedded checkpoint; give one with --checkpoint, or make it with `make weights`."
        )


def _shown(figures: "DemoFigures", rows: list[tuple[str, str]]) -> Table:
    caption = f"held-out start {figures.environment_seed}; {sum(figures.seconds.values()):.0f} s"
    shown = Table("what", "figure", box=None, pad_edge=False, caption=caption, caption_justify="left")
    for row in rows:
        shown.add_row(*map(Text, row))
    return shown


def _say_where_to_look(out: Path) -> None:
    from cosmos_robot.benchmarks.demo import FILES

    typer.echo("\nlook at")
    width = max(len(str(out / name)) for name in FILES)
    for name, what in FILES.items():
        typer.echo(f"  {out / name!s:<{width}}  {what}")
