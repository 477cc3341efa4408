"""Rows of a benchmark in a file that grows while it runs, so that a run goes on where it was stopped."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cosmos_robot.datasets.atomic_file import replaced_when_complete
from cosmos_robot.errors import InvalidInputError


class RowFile:
    """JSON lines in `rows.jsonl` of a folder, beside `run.json`, which says what was run.

    Args:
        folder: made if it is not there.
        run: what makes two runs the same: everything that the rows depend on, as plain data.

    Raises:
        InvalidInputError: if the folder holds rows of another run.
    """

    def __init__(self, folder: Path, run: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path, head = folder / "rows.jsonl", folder / "run.json"
        wanted = json.loads(json.dumps(run))
        if head.exists() and self.path.exists():
            changed = self.changed(head, run)
            if changed:
                raise InvalidInputError(
                    f"{folder} holds rows of a run with other settings ({', '.join(changed)}); choose another folder."
                )
        with replaced_when_complete(head) as temporary:
            temporary.write_text(json.dumps(wanted, indent=1) + "\n", encoding="utf-8")
        self._drop_torn_line()

    @staticmethod
    def changed(head: Path, run: Mapping[str, Any]) -> list[str]:
        """The settings in which a run is another one than that whose `run.json` is named."""
        known, wanted = json.loads(head.read_text(encoding="utf-8")), json.loads(json.dumps(run))
        return sorted(key for key in {*known, *wanted} if known.get(key) != wanted.get(key))

    def read(self) -> list[dict[str, Any]]:
        """All rows so far."""
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows; they are on disk when this returns."""
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
            file.flush()
            os.fsync(file.fileno())

    def _drop_torn_line(self) -> None:
        """Cut off a last line that a stop in the middle of writing left without its end; what is before it stays."""
        if self.path.exists():
            text = self.path.read_bytes()
            if not text.endswith(b"\n"):
                os.truncate(self.path, text.rfind(b"\n") + 1)
