"""How far a training is: a bar where standard error is a terminal, a line now and then where it is a pipe or a file."""

import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINE_SECONDS = 30.0
"""Between two lines."""


class TrainingProgress:
    """Shows one stage within a `with` block.

    Args:
        stage: its name.
        line_seconds: between two lines, where there is no terminal.
    """

    def __init__(self, stage: str, line_seconds: float = LINE_SECONDS) -> None:
        self._stage, self._line_seconds = stage, line_seconds
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task(stage, total=1.0)
        self._told = float("-inf")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, done: float, words: str) -> None:
        """Show how far it is.

        Args:
            done: share that is done, 0 to 1.
            words: what else there is to say, such as the loss.
        """
        self._bar.update(self._task, completed=done, description=f"{self._stage}, {words}")
        now = time.monotonic()
        if not self._console.is_terminal and (done >= 1.0 or now - self._told >= self._line_seconds):
            self._told = now
            self._console.print(
                f"{self._stage}: {100 * done:.1f} %, {words}", markup=False, highlight=False, soft_wrap=True
            )


def counted[Item](items: Iterable[Item], stage: str, total: int | None = None) -> Iterator[Item]:
    """Give items and show how many there were.

    Args:
        items: any number of them.
        stage: what is done with them.
        total: how many there will be, or None where that is not known beforehand.
    """
    with TrainingProgress(stage) as progress:
        number = 0
        for number, item in enumerate(items, start=1):
            yield item
            progress.show(number / total if total else 0.0, f"{number}" if total is None else f"{number} of {total}")
        progress.show(1.0, f"{number} done")
