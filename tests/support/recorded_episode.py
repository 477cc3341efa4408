"""Episodes held in memory, with every read noted, for tests of what is made of episodes."""

import numpy as np

from cosmos_robot.datasets.episode import Episode, Episodes
from cosmos_robot.errors import EpisodeError


class RecordedEpisode(Episode):
    """An episode of given arrays; `broken` frames raise as a damaged file does."""

    def __init__(self, columns, pictures=None, *, fps=10.0, index=0, task="do it", broken=()):
        self._columns, self._pictures = dict(columns), dict(pictures or {})
        self.index, self.fps, self.task, self.where = index, float(fps), task, f"memory, episode {index}"
        self.columns, self.cameras = tuple(self._columns), tuple(self._pictures)
        self.broken = set(broken)
        self.frames_read = []
        self.rows_read = []

    def __len__(self):
        return len(next(iter((*self._columns.values(), *self._pictures.values()))))

    def _column(self, name, start, stop):
        self.rows_read += [(name, row) for row in range(start, stop)]
        return self._columns[name][start:stop]

    def _frames(self, camera, start, stop):
        for frame in range(start, stop):
            if frame in self.broken:
                raise EpisodeError(f"{self.where}, camera {camera}: frame {frame} does not decode.")
        self.frames_read += [(camera, frame) for frame in range(start, stop)]
        return self._pictures[camera][start:stop]


class RecordedEpisodes(Episodes):
    """A dataset of them."""

    def __init__(self, episodes):
        self._all = list(episodes)
        self.source, self.format, self.fps = "memory", "memory", self._all[0].fps
        self.opened = 0

    def __len__(self):
        return len(self._all)

    def _episode(self, position):
        self.opened += 1
        return self._all[position]

    def lengths(self):
        return np.array([len(episode) for episode in self._all])

    def close(self):
        pass


def numbered_pictures(count, height=16, width=32, offset=0):
    """Pictures whose every pixel is their number: uint8 `[count, height, width, 3]`."""
    numbers = (np.arange(count) + offset).astype(np.uint8)
    return np.broadcast_to(numbers[:, None, None, None], (count, height, width, 3)).copy()
