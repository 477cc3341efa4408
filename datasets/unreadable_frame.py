"""Which frame of a range it is that cannot be read."""

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from cosmos_robot.errors import EpisodeError


def read_or_name_frame(
    read: Callable[[int, int], NDArray[Any]],
    start: int,
    stop: int,
    *,
    where: str,
    what: str,
    errors: tuple[type[Exception], ...],
) -> NDArray[Any]:
    """Read a range at once; where that fails, find the frame by reading one by one.

    Args:
        read: gives rows `start:stop`.
        start: first row.
        stop: one past the last.
        where: what the error calls the episode.
        what: what the error calls the data.
        errors: what a failing read raises.

    Returns:
        what `read` gives.

    Raises:
        EpisodeError: if the read fails; it names episode, frame, data and reason.
    """
    try:
        return read(start, stop)
    except EpisodeError:
        raise  # it says where already, and is a ValueError, too
    except errors as error:
        for frame in range(start, stop):
            try:
                read(frame, frame + 1)
            except errors as one:
                raise EpisodeError(f"{where}, frame {frame}: {what} cannot be read ({reason(one)}).") from one
        raise EpisodeError(f"{where}: {what} cannot be read ({reason(error)}).") from error


def reason(error: Exception) -> str:
    """The first line of an error as part of a sentence, or its kind where it says nothing."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return text.strip().partition("\n")[0].rstrip(".") or type(error).__name__
