"""Progress bars on standard error: the samples or stages of a run, and the denoising steps of the present one."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


def open_bars(*, transient: bool = False) -> Progress:
    """Bars on standard error, which are not drawn where that is not a terminal; transient ones go when they end."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=transient,
        disable=not console.is_terminal,
    )


class ProgressBars:
    """Two bars within a `with` block; nothing is drawn where standard error is not a terminal.

    Args:
        samples: how many samples there are; for one alone there is no bar of samples.
        noun: what the bar of samples is called.
    """

    def __init__(self, samples: int, noun: str = "samples") -> None:
        self._bars = open_bars(transient=True)
        self._samples = self._bars.add_task(noun, total=samples, visible=samples > 1)
        self._steps = self._bars.add_task("loading the checkpoint", total=None)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        self._bars.stop()

    def start(self, description: str) -> None:
        """Begin a new batch."""
        self._bars.reset(self._steps, description=description, total=None)

    def step(self, done: int, total: int) -> None:
        """Show that `done` of `total` denoising steps are done."""
        self._bars.update(self._steps, completed=done, total=total)

    def finish(self, samples: int) -> None:
        """Show that so many more samples are finished."""
        self._bars.advance(self._samples, samples)
