"""Files that stay open between reads: a bounded number, and each process its own."""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class OpenFiles[F]:
    """Open files by path; beyond `limit` the least recently used is closed.

    It can be pickled and survives a fork: what another process opened is left to that process, because a decoder's
    threads and a file's position do not come along, and files are opened again where they are asked for.

    Args:
        open_file: opens a path; its exceptions pass through.
        close_file: closes what `open_file` gave.
        limit: how many are open at once.
    """

    def __init__(self, open_file: Callable[[Path], F], close_file: Callable[[F], None], limit: int) -> None:
        self._open_file, self._close_file, self._limit = open_file, close_file, limit
        self._begin()

    def _begin(self) -> None:
        self._files: OrderedDict[Path, F] = OrderedDict()
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._foreign: list[Any] = []

    def __len__(self) -> int:
        return len(self._files) if self._process == os.getpid() else 0

    @contextmanager
    def using(self, path: Path) -> Iterator[F]:
        """Give the open file of `path` to one thread at a time."""
        self._own()
        with self._lock:
            if path not in self._files:
                self._files[path] = self._open_file(path)
            self._files.move_to_end(path)
            while len(self._files) > self._limit:
                self._close_file(self._files.popitem(last=False)[1])
            yield self._files[path]

    def forget(self, path: Path) -> None:
        """Close one file, if it is open."""
        self._own()
        with self._lock:
            if path in self._files:
                self._close_file(self._files.pop(path))

    def close(self) -> None:
        """Close all; `using` opens them again."""
        self._own()
        with self._lock:
            while self._files:
                self._close_file(self._files.popitem()[1])

    def _own(self) -> None:
        if self._process == os.getpid():
            return
        # Kept, not closed: closing a decoder waits for threads that did not survive the fork.
        foreign = [*self._foreign, self._files]
        self._begin()
        self._foreign = foreign

    def __getstate__(self) -> dict[str, Any]:
        return {"_open_file": self._open_file, "_close_file": self._close_file, "_limit": self._limit}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()
