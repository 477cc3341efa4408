"""Several files of a folder that change together, so that a crash in between can be finished or forgotten.

The files are prepared in a folder beside, then moved into place one after the other. A list that is written before
the first move says that all are ready: whoever opens the folder next makes the moves that are missing. Without the
list nothing has been moved yet, and what was prepared is thrown away.
"""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path


class FolderCommit:
    """Moves prepared files into a folder.

    Args:
        folder: where the files belong; it appears with the first commit.
        beside: a folder on the same file system for what is being prepared.
    """

    def __init__(self, folder: Path, beside: Path) -> None:
        self._folder = folder
        self.files = beside / "commit"
        self._list = beside / "commit.json"

    @property
    def pending(self) -> bool:
        """Whether moves are missing."""
        return self._list.is_file()

    def begin(self) -> Path:
        """Empty the place for new files and give it."""
        shutil.rmtree(self.files, ignore_errors=True)
        self.files.mkdir(parents=True)
        return self.files

    def publish(self, order: Sequence[str]) -> None:
        """Move the files that were prepared, in this order.

        Args:
            order: relative paths of all of them.

        Raises:
            OSError: if the disk refuses. What was moved stays, and `finish` makes the other moves.
        """
        for name in order:
            _flush(self.files / name)
        partial = self._list.with_suffix(".partial")
        partial.write_text(json.dumps(list(order)), encoding="utf-8")
        _flush(partial)
        partial.replace(self._list)
        self.finish()

    def finish(self) -> None:
        """Make the moves that are missing, if there was a commit.

        Raises:
            OSError: if the disk refuses.
        """
        if not self._list.is_file():
            return
        order: list[str] = json.loads(self._list.read_text(encoding="utf-8"))
        if self.files.is_dir() and _is_free(self._folder):
            self.files.replace(self._folder)  # the first commit: the whole folder at once
        for name in order:
            prepared, place = self.files / name, self._folder / name
            if prepared.is_file():
                place.parent.mkdir(parents=True, exist_ok=True)
                prepared.replace(place)
        for folder in {self._folder.parent, *((self._folder / name).parent for name in order)}:
            _flush(folder)
        self._list.unlink()


def _is_free(folder: Path) -> bool:
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))


def _flush(path: Path) -> None:
    """Have a file's content, or a folder's entries, written to the disk itself."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
