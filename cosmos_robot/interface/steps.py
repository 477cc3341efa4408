"""Chains of generations without the asking: a generator gives the requests of each chunk and takes their answers.

So that one chain serves whoever asks: a world model on this machine, or a service on an event loop.
"""

from collections.abc import Awaitable, Callable, Generator
from typing import NamedTuple

from cosmos_robot.types import Progress


class Chunk[Asked](NamedTuple):
    """One chunk of a chain.

    Attributes:
        requests: what is asked, side by side.
        number: from 0 on.
        chunks: how many there are.
    """

    requests: list[Asked]
    number: int
    chunks: int

    def progress(self, whole: Progress | None) -> Progress | None:
        """Turn the progress of this chunk into progress of the whole."""
        if whole is None:
            return None
        return lambda done, total: whole(self.number * total + done, self.chunks * total)


type Steps[Asked, Answer] = Generator[Chunk[Asked], list[Answer], list[Answer]]
"""Gives chunks, takes their answers in the requests' order, and returns what they come to."""


def run_steps[Asked, Answer](steps: Steps[Asked, Answer], ask: Callable[[Chunk[Asked]], list[Answer]]) -> list[Answer]:
    """Ask for every chunk of a chain, and give what they come to."""
    try:
        chunk = next(steps)
        while True:
            chunk = steps.send(ask(chunk))
    except StopIteration as ended:
        joined: list[Answer] = ended.value
        return joined


async def run_steps_async[Asked, Answer](
    steps: Steps[Asked, Answer], ask: Callable[[Chunk[Asked]], Awaitable[list[Answer]]]
) -> list[Answer]:
    """Ask for every chunk of a chain on an event loop, and give what they come to."""
    try:
        chunk = next(steps)
        while True:
            chunk = steps.send(await ask(chunk))
    except StopIteration as ended:
        joined: list[Answer] = ended.value
        return joined
