"""Where the T lies in Push-T frames, and how much of its goal it covers, from the pixels alone.

Blue minus red is about 40 for the T, 160 for the pusher and 0 for the table and the goal, so that the T is told from
all else whatever lies under it. The first moments of that mask give a place, the second ones an axis, and a few
Gauss-Newton steps fit the T's known outline to the mask. What it covers of the goal follows from the pose by cutting
polygons. Pixels near the pusher are left out of the fit.

The simulator itself is not asked: a frame goes in, a pose or "not found" comes out. How exact it is, is held by
`tests/envs/test_rewards.py` against gym-pusht's own poses and coverage.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cosmos_robot.envs.pusht_state import FRAME_SIZE, TABLE_SIZE, find_pusher
from cosmos_robot.types import Frames

type Vector = NDArray[np.float64]

GOAL_POSE: Vector = np.array([256.0, 256.0, np.pi / 4])
"""x, y in table pixels and angle in rad of the goal that gym-pusht draws and measures."""
CENTRE_OF_MASS: Vector = np.array([0.0, 45.0])
"""Of the simulated T, in its own axes: x along the bar, y down the stem, the origin the middle of the outer edge."""
BOXES: Vector = np.array([[[-60.0, 0.0], [60.0, 30.0]], [[-15.0, 30.0], [15.0, 120.0]]])
"""The T's two parts `[2, corner, xy]`, table pixels in its own axes: least and greatest corner of bar and stem."""

_BLUENESS = 36.0
_OUTLINE = 2.0
"""Table pixels by which the simulator's outline is drawn wider than the T."""
_SCALE = TABLE_SIZE / FRAME_SIZE
_AREA = 6300.0 / _SCALE**2
_CENTROID = np.array([0.0, (15.0 * 3600.0 + 75.0 * 2700.0) / 6300.0])
_CLEAR_OF_PUSHER = 4.5
_MARGIN = 6
_STEPS = 8
_GOOD_OVERLAP, _LEAST_OVERLAP = 0.85, 1 / 3
_STEP: Vector = np.array([1.0, 1.0, 0.02])
_GRID: Vector = np.stack(np.meshgrid(*[(np.arange(FRAME_SIZE) + 0.5) * _SCALE] * 2), axis=-1)


@dataclass(frozen=True, eq=False)
class BlockFit:
    """The T that was found in a frame.

    Attributes:
        pose: float64 `[3]`: x, y of the middle of the bar's outer edge in table pixels (0 to 512), angle in rad.
        overlap: how well the T's outline fits what was found: intersection over union of both, 0 to 1. Low where the
            T is bent, torn or doubled.
    """

    pose: Vector
    overlap: float

    @property
    def coverage(self) -> float:
        """Share of the goal that the T covers, 0 to 1."""
        return coverage_of(self.pose)

    @property
    def centre(self) -> Vector:
        """The T's centre of mass `[2]` in table pixels."""
        return to_table(self.pose, CENTRE_OF_MASS)


def find_block(frame: Frames) -> BlockFit | None:
    """Find the T in a frame, or None where less than a third of it is to be seen, or what is seen has not its outline.

    Args:
        frame: uint8 `[H, W, 3]` of the whole table; one of another size than 96x96 is scaled to it.
    """
    if frame.shape[:2] != (FRAME_SIZE, FRAME_SIZE):
        frame = np.asarray(Image.fromarray(frame).resize((FRAME_SIZE, FRAME_SIZE), Image.Resampling.BOX))
    mask, weight = _mask(frame)
    if float(mask.sum()) < _AREA / 3:
        return None
    clipping = _Clipping.around(mask, weight)
    found: list[BlockFit] = []
    # Where a part is hidden the moments are moved: then the poses a quarter turn on are tried too.
    for first in (*clipping.first_poses(), *clipping.first_poses(turned=np.pi / 2)):
        pose = clipping.refine(first)
        found.append(BlockFit(pose, clipping.overlap(pose)))
        if found[-1].overlap > _GOOD_OVERLAP:
            break
    best = max(found, key=lambda fit: fit.overlap)
    return best if best.overlap >= _LEAST_OVERLAP else None


def coverage_of(pose: Vector) -> float:
    """Share of the goal that a T covers which lies at a pose `[3]`, as gym-pusht measures it."""
    area = sum(_overlap(_corners(pose, one), _corners(GOAL_POSE, other)) for one in BOXES for other in BOXES)
    return area / 6300.0


def to_table(pose: Vector, points: Vector) -> Vector:
    """Take points `[..., 2]` from the T's own axes to the table."""
    cos, sin = np.cos(pose[2]), np.sin(pose[2])
    moved: Vector = points @ np.array([[cos, sin], [-sin, cos]]) + pose[:2]
    return moved


def _mask(frame: Frames) -> tuple[Vector, Vector]:
    """How much of each pixel `[96, 96]` is the T, and 0 for those that the pusher is near, else 1."""
    pixels = frame.astype(np.float64)
    mask = np.clip((pixels[..., 2] - pixels[..., 0]) / _BLUENESS, 0.0, 1.0)
    mask[mask < 0.3] = 0.0
    weight = np.ones_like(mask)
    pusher = find_pusher(frame)
    if pusher is not None:
        weight[np.linalg.norm(_GRID / _SCALE - pusher, axis=-1) < _CLEAR_OF_PUSHER] = 0.0
    return mask * weight, weight


@dataclass(frozen=True, eq=False)
class _Clipping:
    """The part of the picture that the T is in: n pixels with their mask, their weight and their places `[n, 2]`."""

    mask: Vector
    weight: Vector
    grid: Vector

    @classmethod
    def around(cls, mask: Vector, weight: Vector) -> "_Clipping":
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        window = tuple(slice(max(line[0] - _MARGIN, 0), line[-1] + _MARGIN + 1) for line in (rows, columns))
        return cls(mask[window].ravel(), weight[window].ravel(), _GRID[window].reshape(-1, 2))

    def first_poses(self, *, turned: float = 0.0) -> list[Vector]:
        """The two poses that the mask's moments allow: the stem to the one side, or to the other.

        Args:
            turned: by how many rad more.
        """
        total = self.mask.sum()
        centre = self.mask @ self.grid / total
        offsets = self.grid - centre
        spread = (offsets * self.mask[:, None]).T @ offsets / total
        axis = np.linalg.eigh(spread)[1][:, 1]
        angle = float(np.arctan2(axis[1], axis[0])) - np.pi / 2 + turned
        rotations = [np.array([0.0, 0.0, angle + half]) for half in (0.0, np.pi)]
        poses = [np.array([*(centre - to_table(rotation, _CENTROID)), rotation[2]]) for rotation in rotations]
        return sorted(poses, key=self.overlap, reverse=True)

    def refine(self, pose: Vector) -> Vector:
        """Fit the T's outline to the mask by least squares."""
        for _ in range(_STEPS):
            slopes = [(self._cover(pose + step) - self._cover(pose - step)) * self.weight for step in np.diag(_STEP)]
            jacobian = np.stack(slopes, axis=1) / (2 * _STEP)
            rest = (self.mask - self._cover(pose)) * self.weight
            change = np.linalg.lstsq(jacobian, rest, rcond=None)[0]
            pose = pose + np.clip(change, -15 * _STEP, 15 * _STEP)
            if (np.abs(change) < 0.02 * _STEP).all():
                break
        return pose

    def overlap(self, pose: Vector) -> float:
        """Intersection over union of the mask and a T at a pose."""
        cover = self._cover(pose)
        return float((np.minimum(cover, self.mask) @ self.weight) / (np.maximum(cover, self.mask) @ self.weight))

    def _cover(self, pose: Vector) -> Vector:
        return _cover(pose, self.grid)


def _cover(pose: Vector, grid: Vector) -> Vector:
    """How much of each pixel `[n]` at places `[n, 2]` a T at a pose covers, with edges one pixel wide."""
    cos, sin = np.cos(pose[2]), np.sin(pose[2])
    x = (grid[:, 0] - pose[0]) * cos + (grid[:, 1] - pose[1]) * sin
    y = (grid[:, 1] - pose[1]) * cos - (grid[:, 0] - pose[0]) * sin
    bar = np.minimum(60.0 - np.abs(x), 15.0 - np.abs(y - 15.0))
    stem = np.minimum(15.0 - np.abs(x), 52.5 - np.abs(y - 67.5))  # taken up into the bar: there is no edge between
    cover: Vector = np.clip(0.5 + (np.maximum(bar, stem) + _OUTLINE) / _SCALE, 0.0, 1.0)
    return cover


def _corners(pose: Vector, box: Vector) -> Vector:
    """Corners `[4, 2]` of a box in order, on the table."""
    (left, top), (right, bottom) = box
    return to_table(pose, np.array([[left, top], [right, top], [right, bottom], [left, bottom]]))


def _overlap(polygon: Vector, window: Vector) -> float:
    """Area that two convex polygons share, both with the same sense of rotation (Sutherland and Hodgman, 1974)."""
    points = list(polygon)
    for start, end in zip(window, np.roll(window, -1, axis=0), strict=True):
        edge = end - start
        sides = [float(edge[0] * (p[1] - start[1]) - edge[1] * (p[0] - start[0])) for p in points]
        kept = []
        for i, (point, side) in enumerate(zip(points, sides, strict=True)):
            before, side_before = points[i - 1], sides[i - 1]
            if (side >= 0) != (side_before >= 0):
                kept.append(before + (point - before) * (side_before / (side_before - side)))
            if side >= 0:
                kept.append(point)
        points = kept
    if len(points) < 3:
        return 0.0
    x, y = np.array(points).T
    return 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))
