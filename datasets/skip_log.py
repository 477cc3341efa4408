"""What was skipped because it could not be read, gathered from every process that reads."""

import json
import os
import tempfile
import weakref
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Skipped:
    """One window that could not be read.

    Attributes:
        episode: position of the episode in the sequence.
        start: time step at which the window starts.
        reason: the error's sentence; it names file, episode and frame.
    """

    episode: int
    start: int
    reason: str


class SkipLog:
    """A list that worker processes add to, whatever way they were started.

    It is a file of lines, opened for each one: a line written in append mode comes out whole beside those of other
    processes. The process that made the log removes the file at its end.
    """

    def __init__(self) -> None:
        handle, name = tempfile.mkstemp(prefix="cosmos-robot-skipped-", suffix=".jsonl")
        os.close(handle)
        self._path = Path(name)
        self._remove = weakref.finalize(self, _remove, self._path, os.getpid())

    def __getstate__(self) -> dict[str, Path]:
        return {"_path": self._path}

    def __setstate__(self, state: dict[str, Path]) -> None:
        self._path = state["_path"]

    def add(self, skipped: Skipped) -> None:
        """Write one more line."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(skipped)) + "\n")

    def read(self) -> tuple[Skipped, ...]:
        """All that was skipped so far, each window once, by episode and start."""
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:  # the process that made the log has ended
            return ()
        found = {Skipped(**json.loads(line)) for line in lines}
        return tuple(sorted(found, key=lambda skipped: (skipped.episode, skipped.start)))


def _remove(path: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked worker has a copy of the log and of its clean-up
        path.unlink(missing_ok=True)
