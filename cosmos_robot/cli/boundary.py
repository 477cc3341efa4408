"""Where errors and warnings leave the program: a sentence each on standard error, and an exit status."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from cosmos_robot.errors import CosmosRobotError, CosmosRobotWarning

BAD_INPUT = 2
INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""


class SentenceGroup(TyperGroup):
    """The top group of commands: shows this library's errors as a sentence, without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for.

        Raises:
            typer.Exit: with status 2 after an error in the input, 130 after Ctrl-C.
        """
        try:
            with _warnings_shown():
                return super().invoke(ctx)
        except CosmosRobotError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(BAD_INPUT) from error
        except KeyboardInterrupt as error:
            typer.echo("interrupted; what was finished is kept.", err=True)
            raise typer.Exit(INTERRUPTED) from error


def show_log() -> None:
    """Show what the library logs, a line each on standard error."""
    log = logging.getLogger("cosmos_robot")
    if not any(isinstance(handler, _Echo) for handler in log.handlers):
        log.addHandler(_Echo())
        log.setLevel(logging.INFO)


class _Echo(logging.Handler):
    """Writes to what standard error is now, unlike `StreamHandler`, which keeps what it was."""

    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(record.getMessage(), err=True)


@contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Collect the messages of this library's warnings, which are shown all the same."""
    messages: list[str] = []
    with warnings.catch_warnings():
        show = warnings.showwarning

        def collect(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, CosmosRobotWarning):
                messages.append(str(message))
            show(message, category, *place, **more)

        warnings.showwarning = collect
        yield messages


@contextmanager
def _warnings_shown() -> Iterator[None]:
    with warnings.catch_warnings():
        # Each sample deserves its own warning, although the line of code that gives it is the same.
        warnings.simplefilter("always", CosmosRobotWarning)
        show = warnings.showwarning

        def show_sentence(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, CosmosRobotWarning):
                typer.echo(f"warning: {message}", err=True)
            else:
                show(message, category, *place, **more)

        warnings.showwarning = show_sentence
        yield
