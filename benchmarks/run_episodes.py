"""The episodes of a run: what `open_episodes` opens, and Push-T as it was recorded for the embedded model."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.benchmarks.pusht_windows import held_out_shards
from cosmos_robot.datasets.episode import Episode, Episodes
from cosmos_robot.datasets.open_episodes import open_episodes
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.training.pusht_recording import FPS, PushTRecording, read_shard
from cosmos_robot.types import Frames

HELD_OUT = "pusht-held-out"
"""Names 64 held-out episodes of gym-pusht, which are recorded when they are first asked for."""

HELD_OUT_FOLDER = Path("outputs/pusht/held_out")
HELD_OUT_EPISODES = 64


def open_run_episodes(source: str) -> Episodes:
    """Open the episodes of a run.

    Args:
        source: `pusht-held-out`, a folder of recorded Push-T shards, or what `open_episodes` takes.

    Raises:
        InvalidInputError: if there is nothing that is known.
    """
    if source == HELD_OUT:
        held_out_shards(HELD_OUT_FOLDER, HELD_OUT_EPISODES)
        return PushTEpisodes(HELD_OUT_FOLDER, HELD_OUT_EPISODES)
    folder = Path(source)
    if folder.is_dir() and any(folder.glob("pusht_*.npz")):
        return PushTEpisodes(folder)
    return open_episodes(source)


def run_episodes_folder(source: str) -> Path | None:
    """The file or folder that the episodes are in; None for those of a Hub."""
    folder = HELD_OUT_FOLDER if source == HELD_OUT else Path(source).expanduser()
    return folder if folder.exists() else None


class PushTEpisodes(Episodes):
    """Shards of recorded Push-T episodes, without loss of a bit; the pusher's and the T's poses are columns.

    Args:
        folder: of the shards.
        count: take the first so many; None takes all.
    """

    format = "Push-T shards"

    def __init__(self, folder: Path, count: int | None = None) -> None:
        self.source, self.fps = str(folder), FPS
        self._places: list[tuple[Path, int]] = []
        self._lengths: list[int] = []
        for path in sorted(folder.glob("pusht_*.npz")):
            with np.load(path) as arrays:
                episodes, steps = arrays["agent"].shape[:2]
            self._places += [(path, number) for number in range(episodes)]
            self._lengths += [steps] * episodes
        if not self._places:
            raise InvalidInputError(f"no recorded Push-T shards (pusht_*.npz) in {folder}.")
        self._places, self._lengths = self._places[:count], self._lengths[:count]

    def __len__(self) -> int:
        return len(self._places)

    def lengths(self) -> NDArray[np.int64]:
        """Time steps of every episode, `[len(self)]`."""
        return np.array(self._lengths, dtype=np.int64)

    def _episode(self, position: int) -> Episode:
        path, number = self._places[position]
        return _PushTEpisode(position, _shard(path)[number], str(path))

    def close(self) -> None:
        """Nothing is open."""


class _PushTEpisode(Episode):
    def __init__(self, index: int, recording: PushTRecording, path: str) -> None:
        self.index, self.fps, self.task = index, FPS, ""
        self.where = f"{path}, seed {recording.seed}"
        self.cameras, self.columns = ("observation.image",), ("action", "agent", "block")
        self._recording = recording

    def __len__(self) -> int:
        return len(self._recording.frames)

    def _column(self, name: str, start: int, stop: int) -> NDArray[Any]:
        if name != "action":
            values: NDArray[Any] = getattr(self._recording, name)
            return values[start:stop]
        taken = self._recording.actions
        padded = np.concatenate([taken, taken[-1:]])  # nothing is done at the last time step
        return padded[start:stop]

    def _frames(self, camera: str, start: int, stop: int) -> Frames:
        return self._recording.frames[start:stop]


@lru_cache(maxsize=2)
def _shard(path: Path) -> list[PushTRecording]:
    return read_shard(path)
