"""Several cameras on one canvas, as a domain's training data had them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.datasets.bilinear import resize_bilinear
from cosmos_robot.datasets.episode import Episode
from cosmos_robot.domains.domain import Domain
from cosmos_robot.domains.source import Arrangement
from cosmos_robot.errors import InvalidInputError, MediaError
from cosmos_robot.types import Frames


@dataclass(frozen=True)
class CanvasCameras:
    """The cameras of an episode that make a domain's canvas.

    Attributes:
        names: of the episode's cameras, in the order of the arrangement.
        arrangement: how they are put together.
        tile: height and width that each picture is brought to first, or None.
    """

    names: tuple[str, ...]
    arrangement: Arrangement
    tile: tuple[int, int] | None = None


def find_cameras(episode: Episode, domain: Domain, cameras: Sequence[str] | None = None) -> CanvasCameras:
    """Find the cameras of a domain's canvas in an episode.

    Args:
        episode: whose cameras.
        domain: whose canvas.
        cameras: the episode's cameras to take, in the order of the domain's arrangement; one alone is shown as it is.
            None goes by the names in the domain's `[source]` table.

    Raises:
        InvalidInputError: if a camera is missing (the place, the names tried and the cameras there are named).
    """
    recorded = domain.recorded
    if cameras is not None:
        names = _given(episode, domain, tuple(cameras))
    elif recorded.cameras:
        names = _by_place(episode, domain)
    elif len(episode.cameras) == 1:
        names = episode.cameras
    else:
        raise InvalidInputError(
            f"domain {domain.name!r} does not say which camera it is shown, and {episode.where} has "
            f"{', '.join(episode.cameras) or 'none'}: name them with cameras=(...)."
        )
    arrangement: Arrangement = "single" if len(names) == 1 else recorded.arrangement
    return CanvasCameras(names, arrangement, recorded.tile)


def canvas_frames(episode: Episode, cameras: CanvasCameras, steps: NDArray[np.int64]) -> Frames:
    """Read some frames of an episode as they stand on the canvas; no other frame is asked for.

    Args:
        episode: whose frames.
        cameras: of this episode.
        steps: `[N]` time steps, not falling.

    Returns:
        uint8 RGB `[N, H, W, 3]`.

    Raises:
        MediaError: if the pictures do not fit together.
        EpisodeError: if a frame cannot be read.
    """
    pictures = [_frames_at(episode, name, steps) for name in cameras.names]
    return compose(pictures, cameras.arrangement, cameras.tile)


def compose(pictures: Sequence[Frames], arrangement: Arrangement, tile: tuple[int, int] | None = None) -> Frames:
    """Put clips of several cameras together, frame by frame.

    Args:
        pictures: uint8 RGB `[N, H, W, 3]` of each camera; sizes may differ.
        arrangement: `single`; `stacked`, the first as it is above the second and third at half its size;
            `side_by_side`, all brought to the first one's size.
        tile: height and width that each is brought to first; None leaves the first as it is.

    Returns:
        uint8 RGB: `[N, H, W, 3]`, `[N, H + H // 2, W, 3]` or `[N, H, cameras * W, 3]`.

    Raises:
        MediaError: if `stacked` pictures are of odd width, so that two halves do not fill it.
    """
    first = pictures[0] if tile is None else resize_bilinear(pictures[0], *tile)
    height, width = first.shape[1:3]
    if arrangement == "single":
        return np.ascontiguousarray(first)
    if arrangement == "side_by_side":
        return np.concatenate([first, *(resize_bilinear(p, height, width) for p in pictures[1:])], axis=2)
    if width % 2:
        raise MediaError(f"two pictures at half size do not fit below one of odd width; got {height}x{width} (HxW).")
    below = np.concatenate([resize_bilinear(p, height // 2, width // 2) for p in pictures[1:]], axis=2)
    return np.concatenate([first, below], axis=1)


def _frames_at(episode: Episode, camera: str, steps: NDArray[np.int64]) -> Frames:
    """Consecutive time steps are read in one go; a reader goes on from one run to the next without going back."""
    runs = np.split(steps, np.flatnonzero(np.diff(steps) != 1) + 1)
    clips = [episode.frames(camera, int(run[0]), int(run[-1]) + 1) for run in runs]
    return clips[0] if len(clips) == 1 else np.concatenate(clips)


def _given(episode: Episode, domain: Domain, cameras: tuple[str, ...]) -> tuple[str, ...]:
    missing = [name for name in cameras if name not in episode.cameras]
    if missing or not cameras:
        raise InvalidInputError(
            f"{episode.where} has no camera {', '.join(missing)}; it has {', '.join(episode.cameras) or 'none'}."
        )
    places = len(domain.recorded.cameras) if domain.recorded.arrangement != "single" else 1
    if len(cameras) not in (1, places):
        raise InvalidInputError(
            f"the canvas of domain {domain.name!r} has {places} place(s); got {len(cameras)} cameras. "
            f"Give as many, or one alone."
        )
    return cameras


def _by_place(episode: Episode, domain: Domain) -> tuple[str, ...]:
    found = [next((name for name in place.names if name in episode.cameras), None) for place in domain.recorded.cameras]
    missing = [place for place, name in zip(domain.recorded.cameras, found, strict=True) if name is None]
    if missing:
        tried = "; ".join(f"{place.place} ({' or '.join(place.names)})" for place in missing)
        raise InvalidInputError(
            f"{episode.where} has no camera for these places on the canvas of domain {domain.name!r}: {tried}. "
            f"It has {', '.join(episode.cameras) or 'none'}; name those to take with cameras=(...)."
        )
    return tuple(name for name in found if name is not None)
