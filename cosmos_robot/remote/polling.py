"""How often a queue is asked how far it is: soon at first, then less and less often."""

from collections.abc import Iterator


def poll_waits(first: float, longest: float) -> Iterator[float]:
    """Seconds between one question and the next, without end: each half as long again as the one before.

    Args:
        first: the first wait.
        longest: what they grow to.
    """
    wait = first
    while True:
        yield min(wait, longest)
        wait = min(wait * 1.5, longest)
