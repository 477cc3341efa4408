"""Where episodes start: pictures, recorded episodes, a simulator's reset, or arrays."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from cosmos_robot.datasets.camera_canvas import canvas_frames, find_cameras
from cosmos_robot.datasets.episode import Episode, Episodes, first_task
from cosmos_robot.datasets.images import IMAGE_SUFFIXES, read_image
from cosmos_robot.datasets.open_episodes import READERS, open_episodes
from cosmos_robot.domains.domain import Domain
from cosmos_robot.errors import InvalidInputError, MissingDependencyError
from cosmos_robot.short_repr import ShortRepr
from cosmos_robot.types import Frames, require_frame

type StartsLike = str | Path | Mapping[str, Any] | Frames | Episodes | Starts
"""What can be named as starts; see `open_starts`."""


@dataclass(frozen=True, eq=False, repr=False)
class Start(ShortRepr):
    """Where one episode starts.

    Attributes:
        number: which of the starts.
        frame: uint8 `[H, W, 3]`.
        task: what the robot was told there, or "".
    """

    number: int
    frame: Frames
    task: str = ""


class Starts(ABC):
    """A numbered set of starts: those of `numbers`."""

    @property
    @abstractmethod
    def numbers(self) -> range:
        """The numbers of the starts."""

    @abstractmethod
    def load(self, number: int, step: int = 0) -> Start:
        """Give start `number`; of a recorded episode the frame at time step `step`.

        Raises:
            InvalidInputError: if there is no such start or step.
        """

    def close(self) -> None:  # noqa: B027  (most have nothing to close)
        """Free what is held; calling it again does nothing."""

    def frame_size(self) -> tuple[int, int]:
        """Height and width in pixels of the starts' frames, which are all of the first one's size."""
        height, width = self.load(self.numbers[0]).frame.shape[:2]
        return height, width

    def _require(self, number: int, step: int = 0, steps: int = 1) -> None:
        if number not in self.numbers:
            known = f"{self.numbers.start} to {self.numbers.stop - 1}"
            raise InvalidInputError(f"there is no start number {number}; they are {known}.")
        if not 0 <= step < steps:
            raise InvalidInputError(f"start number {number} has time steps 0 to {steps - 1}; got step={step}.")


@dataclass(frozen=True, eq=False)
class FrameStarts(Starts):
    """Starts from frames in memory, uint8 `[N, H, W, 3]`."""

    frames: Frames

    @property
    def numbers(self) -> range:
        """0 to N - 1."""
        return range(len(self.frames))

    def load(self, number: int, step: int = 0) -> Start:
        """Give frame `number`."""
        self._require(number, step)
        return Start(number, self.frames[number])


@dataclass(frozen=True)
class ImageStarts(Starts):
    """Starts from image files, by name."""

    paths: tuple[Path, ...]

    @property
    def numbers(self) -> range:
        """0 to the number of files - 1."""
        return range(len(self.paths))

    def load(self, number: int, step: int = 0) -> Start:
        """Read file `number`."""
        self._require(number, step)
        return Start(number, read_image(self.paths[number]))


@dataclass(frozen=True, eq=False)
class EpisodeStarts(Starts):
    """Starts from recorded episodes: a time step as the domain's windows show it, or of one camera.

    Attributes:
        episodes: the dataset.
        camera: which camera, as it is; None is the domain's canvas.
        domain: whose canvas; the first camera is shown where it is None, or says nothing of cameras.
    """

    episodes: Episodes
    camera: str | None = None
    domain: Domain | None = None

    @property
    def numbers(self) -> range:
        """Positions in the dataset."""
        return range(len(self.episodes))

    def load(self, number: int, step: int = 0) -> Start:
        """Decode one time step of an episode.

        Raises:
            InvalidInputError: if there is no such start or step, or the episode lacks cameras; they are named.
        """
        self._require(number)
        episode = self.episodes[number]
        self._require(number, step, len(episode))
        return Start(number, self._frames(episode, step)[0], first_task(episode))

    def close(self) -> None:
        """Close the dataset's files; it opens them again when it is asked."""
        self.episodes.close()

    def _frames(self, episode: Episode, step: int) -> Frames:
        if self.camera is not None or self.domain is None or not self.domain.recorded.cameras:
            return episode.frames(self.camera, step, step + 1)
        try:
            cameras = find_cameras(episode, self.domain)
        except InvalidInputError as error:
            raise InvalidInputError(
                f'{error} Starts of one camera alone are {{"episodes": source, "camera": name}}.'
            ) from error
        return canvas_frames(episode, cameras, np.array([step]))


class SimulatorStarts(Starts):
    """Starts from a real environment's reset; a start's number is the seed of the reset.

    Args:
        env: id for `gymnasium.make`; `module:id` imports the module first.
        kwargs: of `gymnasium.make`.
        seeds: least seed, and one past the greatest.

    Raises:
        InvalidInputError: if the seeds are not two such integers.
    """

    def __init__(self, env: str, kwargs: Mapping[str, Any] | None = None, seeds: Sequence[int] = (0, 2**31)) -> None:
        self._id, self._kwargs = env, dict(kwargs or {})
        self._numbers = _seed_range(seeds)
        self._made: gymnasium.Env[Any, Any] | None = None

    @property
    def numbers(self) -> range:
        """The seeds."""
        return self._numbers

    def load(self, number: int, step: int = 0) -> Start:
        """Reset the simulator with seed `number` and take what it shows."""
        self._require(number, step)
        env = self._env()
        observation, _ = env.reset(seed=number)
        return Start(number, require_frame(self._picture(env, observation)))

    def close(self) -> None:
        """Close the simulator."""
        if self._made is not None:
            self._made.close()
            self._made = None

    def _env(self) -> gymnasium.Env[Any, Any]:
        if self._made is None:
            try:
                self._made = gymnasium.make(self._id, disable_env_checker=True, **self._kwargs)
            except ModuleNotFoundError as error:
                extra = "the extra cosmos-robot[pusht]" if "gym_pusht" in self._id else "the package that has it"
                raise MissingDependencyError(
                    f"episodes start from {self._id}, which is not installed here: install {extra}, "
                    f"or name other starts."
                ) from error
        return self._made

    def _picture(self, env: gymnasium.Env[Any, Any], observation: Any) -> Any:
        if isinstance(observation, Mapping) and "pixels" in observation:
            return observation["pixels"]
        if isinstance(observation, np.ndarray) and observation.ndim == 3:
            return observation
        picture = env.render()
        if not isinstance(picture, np.ndarray):
            raise InvalidInputError(
                f"{self._id} shows no picture: make it with an observation of pixels, or render_mode='rgb_array'."
            )
        return picture


@dataclass(frozen=True, eq=False)
class _Opened(Starts):
    """Starts from a dataset that is opened when it is first asked."""

    source: str
    camera: str | None
    fps: float | None
    domain: Domain | None

    @cached_property
    def _inner(self) -> EpisodeStarts:
        return EpisodeStarts(open_episodes(self.source, fps=self.fps), self.camera, self.domain)

    @property
    def numbers(self) -> range:
        return self._inner.numbers

    def load(self, number: int, step: int = 0) -> Start:
        return self._inner.load(number, step)

    def close(self) -> None:
        if "_inner" in self.__dict__:
            self._inner.close()


def open_starts(given: StartsLike, domain: Domain | None = None) -> Starts:
    """Open starts.

    Args:
        given: one of these, of which the first four survive a round trip through JSON.

            - anything that `open_episodes` opens: a path, or the id of a LeRobot dataset on the Hub;
            - the path of an image or of a folder of images, in the order of their names;
            - `{"episodes": source, "camera": name, "fps": number}`, the last two optional;
            - `{"env": id, "kwargs": {...}, "seeds": [least, past the greatest]}`: a real environment's reset, the
              last two optional;
            - a frame uint8 `[H, W, 3]` or frames `[N, H, W, 3]`;
            - an `Episodes`, or a `Starts` of your own.
        domain: whose canvas recorded episodes are shown on where no camera is named; see `EpisodeStarts`.

    Raises:
        InvalidInputError: if it is none of these, or there is nothing in it.
    """
    if isinstance(given, Starts):
        return given
    if isinstance(given, Episodes):
        return EpisodeStarts(given, domain=domain)
    if isinstance(given, np.ndarray):
        frames = given if given.ndim == 4 else given[None]
        if len(frames) == 0:
            raise InvalidInputError("the array of starts is empty.")
        return FrameStarts(np.stack([require_frame(frame) for frame in frames]))
    if isinstance(given, Mapping):
        return _from_mapping(given, domain)
    if isinstance(given, str | Path):
        return _from_path(given, domain)
    raise InvalidInputError(f"starts must be a path, a mapping, frames or episodes; got {type(given).__name__}.")


def _from_mapping(given: Mapping[str, Any], domain: Domain | None) -> Starts:
    keys = set(given)
    if "env" in keys and keys <= {"env", "kwargs", "seeds"}:
        return SimulatorStarts(**given)
    if "episodes" in keys and keys <= {"episodes", "camera", "fps"}:
        return _Opened(given["episodes"], given.get("camera"), given.get("fps"), domain)
    raise InvalidInputError(
        f"starts as a mapping have the keys env, kwargs and seeds, or episodes, camera and fps; got "
        f"{', '.join(sorted(keys)) or 'none'}."
    )


def _from_path(given: str | Path, domain: Domain | None) -> Starts:
    path = Path(given).expanduser()
    if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageStarts((path,))
    if path.is_dir():
        images = tuple(sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES))
        if images and not _is_dataset(path):
            return ImageStarts(images)
    return _Opened(str(given), None, None, domain)


def _is_dataset(folder: Path) -> bool:
    """Whether a reader knows the folder: a picture beside its data, such as a preview, is no start."""
    readers = (import_module(f"cosmos_robot.datasets.{module}") for _, module in READERS)
    return any(reader.recognises(folder) for reader in readers)


def _seed_range(seeds: Sequence[int]) -> range:
    if len(seeds) != 2 or not all(isinstance(seed, int | np.integer) for seed in seeds) or not 0 <= seeds[0] < seeds[1]:
        raise InvalidInputError(
            f"a simulator's seeds are two integers, the least seed from 0 and one past the greatest; got {seeds!r}."
        )
    return range(int(seeds[0]), int(seeds[1]))
