"""The folder of one training: its state on disk, which survives a kill at any moment, and its metrics as they come."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from cosmos_robot.errors import InvalidInputError, RecordingError


class RunFolder:
    """Where a training keeps its state (`state.pt`), its metrics (`metrics.jsonl`) and what it is of (`run.json`).

    Args:
        path: the folder; made if it is not there.

    Raises:
        RecordingError: if it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        with written(path):
            path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._state = path / "state.pt"
        self._metrics = path / "metrics.jsonl"

    def claim(self, facts: dict[str, Any]) -> None:
        """Say what the training is of; a folder that another one has is refused.

        Args:
            facts: what makes it another training: JSON values by name.

        Raises:
            InvalidInputError: if the folder has the state or the windows of another training.
        """
        record = self.path / "run.json"
        wanted = json.loads(json.dumps(facts))
        if record.is_file():
            known = json.loads(record.read_text())
            other = [name for name in {**known, **wanted} if known.get(name) != wanted.get(name)]
            if other:
                told = "; ".join(f"{name} was {known.get(name)!r} and is {wanted.get(name)!r}" for name in other)
                raise InvalidInputError(f"{self.path} holds another training: {told}. Give another folder with --out.")
        elif self._state.exists():
            raise InvalidInputError(
                f"{self.path} holds a training that does not say what it is of; give another folder with --out."
            )
        else:
            with written(record):
                partial = record.with_suffix(".partial")
                partial.write_text(json.dumps(wanted, indent=2) + "\n")
                partial.replace(record)

    def load(self) -> dict[str, Any] | None:
        """The last saved state, or None in a fresh folder; its tensors stay on disk until they are used."""
        if not self._state.exists():
            return None
        state: dict[str, Any] = torch.load(self._state, map_location="cpu", weights_only=True, mmap=True)
        return state

    def save(self, state: dict[str, Any]) -> None:
        """Replace the saved state in one atomic move.

        Raises:
            RecordingError: if there is no room for it; the last saved state is kept.
        """
        partial = self._state.with_suffix(".partial")
        with written(partial):
            torch.save(state, partial)
            partial.replace(self._state)

    def log(self, **metrics: float | str) -> None:
        """Append one line to the metrics file, with the time."""
        line = json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S"), **metrics})
        with written(self._metrics), self._metrics.open("a") as file:
            file.write(line + "\n")

    def forget_after(self, step: int) -> None:
        """Take back the metrics of steps that were not saved, which are taken again, and a line that was cut short."""
        if not self._metrics.is_file():
            return
        lines = [line for line in self._metrics.read_text().splitlines() if _is_of(line, step)]
        partial = self._metrics.with_suffix(".partial")
        with written(partial):
            partial.write_text("".join(f"{line}\n" for line in lines))
            partial.replace(self._metrics)


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Say in a sentence what could not be written, and leave no half of it.

    Args:
        path: what is written within the block.

    Raises:
        RecordingError: if it cannot be; what was there before is kept.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors do not raise OSError
        if path.suffix == ".partial" and path.is_file():
            path.unlink()
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).splitlines()[0]
        raise RecordingError(
            f"{path} cannot be written: {reason}. Make room, or see to the permission; the same command then goes on "
            f"from what was saved last."
        ) from error


def _is_of(line: str, step: int) -> bool:
    try:
        return bool(json.loads(line)["step"] <= step)
    except json.JSONDecodeError:
        return False
