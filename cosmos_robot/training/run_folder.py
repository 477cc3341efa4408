"""The folder of one training: its state on disk, which survives a kill at any moment, and its metrics as they come."""

import json
import time
from pathlib import Path
from typing import Any

import torch


class RunFolder:
    """Where a training keeps its state (`state.pt`) and its metrics (`metrics.jsonl`).

    Args:
        path: the folder; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._state = path / "state.pt"

    def load(self) -> dict[str, Any] | None:
        """The last saved state, or None in a fresh folder."""
        if not self._state.exists():
            return None
        state: dict[str, Any] = torch.load(self._state, map_location="cpu", weights_only=True)
        return state

    def save(self, state: dict[str, Any]) -> None:
        """Replace the saved state in one atomic move."""
        partial = self._state.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self._state)

    def log(self, **metrics: float | str) -> None:
        """Append one line to the metrics file, with the time."""
        line = json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S"), **metrics})
        with (self.path / "metrics.jsonl").open("a") as file:
            file.write(line + "\n")
