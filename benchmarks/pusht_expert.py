"""A scripted expert of Push-T that sees pixels alone and answers with a chunk of targets, and its worse relatives.

The expert finds the T and the pusher in the frame, weighs straight pushes at every point of the T's outline by where
they would leave the T (the simulator has no momentum: a push moves the T by the impulse alone), goes round the T to
the best of them and pushes. Worse policies are the same expert, but some of their chunks are aimless strokes, and some
give up after a while. All draws follow from the seed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.envs.pusht_block import BOXES, CENTRE_OF_MASS, GOAL_POSE, find_block, to_table
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.types import FloatArray

type Vector = NDArray[np.float64]

TABLE_SIZE = 512.0
_GYRATION = 3000.0
"""Moment of inertia over mass of gym-pusht's T, in square table pixels."""
_PUSHER = 15.0
_GAP = 8.0
_MARGIN = 22.0
_CLEAR = 108.0
_KEY_POINTS: Vector = np.array([[-60.0, 0.0], [60.0, 0.0], [60.0, 30.0], [-60.0, 30.0], [-15.0, 120.0], [15.0, 120.0]])
_LENGTHS = np.array([6.0, 12.0, 20.0, 32.0, 48.0, 70.0])


@dataclass(frozen=True)
class Grade:
    """How good a policy is.

    Attributes:
        aimless: probability that a chunk is an aimless stroke across the table.
        chunks: chunks after which it holds still; None never does.
        free_speed: table pixels an action on the way to the T.
        push_speed: table pixels an action while it pushes.

    Raises:
        InvalidInputError: if a number is out of its range.
    """

    aimless: float = 0.0
    chunks: int | None = None
    free_speed: float = 36.0
    push_speed: float = 14.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.aimless <= 1.0 or (self.chunks is not None and self.chunks < 0):
            raise InvalidInputError(f"aimless is a probability and chunks is not negative; got {self}.")
        if min(self.free_speed, self.push_speed) <= 0:
            raise InvalidInputError(f"speeds must be positive; got {self}.")


class PushTExpert:
    """A policy: `act(observation)` gives `[chunk, 2]` targets in table pixels.

    Args:
        grade: how good it is.
        chunk: actions of one answer.
        seed: of its draws.
    """

    def __init__(self, grade: Grade, *, chunk: int = 16, seed: int = 0) -> None:
        self._grade, self._chunk = grade, chunk
        self._rng = np.random.default_rng(seed)
        self._asked = 0

    def act(self, observation: Mapping[str, Any]) -> FloatArray:
        """Answer an observation with `pixels` and `agent_pos`."""
        agent = np.asarray(observation["agent_pos"], dtype=np.float64)
        self._asked += 1
        aimless = self._rng.random() < self._grade.aimless
        ends = self._rng.uniform(_MARGIN, TABLE_SIZE - _MARGIN, (3, 2))
        if self._grade.chunks is not None and self._asked > self._grade.chunks:
            return _along([agent, agent], [1.0], self._chunk)
        if aimless:
            return _along([agent, *ends], [self._grade.free_speed] * 3, self._chunk)
        block = find_block(observation["pixels"])
        if block is None:
            return _along([agent, agent], [1.0], self._chunk)
        return self._push(agent, block.pose)

    def _push(self, agent: Vector, pose: Vector) -> FloatArray:
        push = best_push(pose, agent)
        if push is None:
            return _along([agent, agent], [1.0], self._chunk)
        centre = to_table(pose, CENTRE_OF_MASS)
        way = _way_round(agent, push.behind, centre, pose)
        points = [agent, *way, push.end]
        speeds = [self._grade.free_speed] * len(way) + [self._grade.push_speed]
        return _along(points, speeds, self._chunk)


@dataclass(frozen=True, eq=False)
class Push:
    """A straight push: from `behind` to `end`, both `[2]` centres of the pusher on the table."""

    behind: Vector
    end: Vector


def best_push(pose: Vector, agent: Vector) -> Push | None:
    """Choose the push that brings the T nearest to its goal, or None where none brings it nearer."""
    contacts, inward = _outline(pose)
    starts = contacts - inward * (_PUSHER + _GAP)
    possible = ((starts > _MARGIN - 8) & (starts < TABLE_SIZE - _MARGIN + 8)).all(axis=1)
    contacts, inward, starts = contacts[possible], inward[possible], starts[possible]
    if len(starts) == 0:
        return None
    costs: Vector = np.stack([_distance(_pushed(pose, contacts, inward, length)) for length in _LENGTHS], axis=1)
    here = float(_distance(pose[None])[0])
    # A push far from the pusher costs time: of nearly equal ones the near one is taken.
    costs = costs + 0.004 * np.linalg.norm(starts - agent, axis=1)[:, None]
    index, length = np.unravel_index(int(np.argmin(costs)), costs.shape)
    if costs[index, length] > here - 0.5:
        return None
    return Push(starts[index], starts[index] + inward[index] * (_GAP + float(_LENGTHS[length])))


def _pushed(pose: Vector, contacts: Vector, inward: Vector, length: float, parts: int = 4) -> Vector:
    """Where pushes `[n]` of some length leave the T: poses `[n, 3]`."""
    centres: Vector = np.repeat(to_table(pose, CENTRE_OF_MASS)[None], len(contacts), axis=0)
    turned: Vector = np.zeros(len(contacts))
    for part in range(parts):
        arm = contacts + inward * (length * part / parts) - centres
        torque = arm[:, 0] * inward[:, 1] - arm[:, 1] * inward[:, 0]
        impulse = (length / parts) / (1.0 + torque**2 / _GYRATION)
        centres = centres + impulse[:, None] * inward
        turned = turned + impulse * torque / _GYRATION
    angles = pose[2] + turned
    cos, sin = np.cos(angles), np.sin(angles)
    offset = np.stack([-sin * CENTRE_OF_MASS[1], cos * CENTRE_OF_MASS[1]], axis=1)
    return np.column_stack([centres - offset, angles])


def _distance(poses: Vector) -> Vector:
    """Mean distance `[n]` in table pixels of the T's corners from where they are in the goal."""
    goal = to_table(GOAL_POSE, _KEY_POINTS)
    cos, sin = np.cos(poses[:, 2, None]), np.sin(poses[:, 2, None])
    x = poses[:, 0, None] + cos * _KEY_POINTS[:, 0] - sin * _KEY_POINTS[:, 1]
    y = poses[:, 1, None] + sin * _KEY_POINTS[:, 0] + cos * _KEY_POINTS[:, 1]
    squares: Vector = (x - goal[:, 0]) ** 2 + (y - goal[:, 1]) ** 2
    distances: Vector = np.sqrt(squares.mean(axis=1))
    return distances


def _outline(pose: Vector) -> tuple[Vector, Vector]:
    """Points `[n, 2]` of the T's outline on the table, and the directions `[n, 2]` straight inward there."""
    (left, top), (right, under) = BOXES[0]
    (stem_left, _), (stem_right, bottom) = BOXES[1]
    sides = [
        ((left, top), (right, top), (0.0, 1.0)),
        ((left, under), (stem_left - _PUSHER - 4, under), (0.0, -1.0)),
        ((stem_right + _PUSHER + 4, under), (right, under), (0.0, -1.0)),
        ((left, top), (left, under), (1.0, 0.0)),
        ((right, top), (right, under), (-1.0, 0.0)),
        ((stem_left, under + _PUSHER + 4), (stem_left, bottom), (1.0, 0.0)),
        ((stem_right, under + _PUSHER + 4), (stem_right, bottom), (-1.0, 0.0)),
        ((stem_left, bottom), (stem_right, bottom), (0.0, -1.0)),
    ]
    points, inward = [], []
    for start, end, direction in sides:
        along = np.linspace(0.08, 0.92, 7)[:, None]
        points.append(np.array(start) + along * (np.array(end) - np.array(start)))
        inward.append(np.repeat(np.array(direction)[None], 7, axis=0))
    turn = np.array([0.0, 0.0, pose[2]])
    return to_table(pose, np.concatenate(points)), to_table(turn, np.concatenate(inward))


def _way_round(agent: Vector, goal: Vector, centre: Vector, pose: Vector) -> list[Vector]:
    """Points from the pusher to a place beside the T that keep clear of the T, `goal` the last of them."""
    if _is_clear(agent, goal, pose):
        return [goal]
    first, last = agent - centre, goal - centre
    here, there = float(np.arctan2(first[1], first[0])), float(np.arctan2(last[1], last[0]))
    turn = (there - here + np.pi) % (2 * np.pi) - np.pi
    best = [goal]
    for way in (turn, turn - 2 * np.pi * np.sign(turn)):
        count = max(2, int(np.ceil(abs(way) / 0.5)) + 1)
        ring = [centre + _CLEAR * np.array([np.cos(a), np.sin(a)]) for a in here + np.linspace(0.0, way, count)]
        best = [*ring, goal]
        if all(((point > 12) & (point < TABLE_SIZE - 12)).all() for point in ring):
            break
    else:
        best = [np.clip(point, 16.0, TABLE_SIZE - 16.0) for point in best]
    for skip in range(len(best) - 1, 0, -1):
        if _is_clear(agent, best[skip], pose):
            return best[skip:]
    return best


def _is_clear(start: Vector, end: Vector, pose: Vector) -> bool:
    """Whether the pusher passes from `start` to `end` without touching the T."""
    points = start + np.linspace(0.0, 1.0, 25)[:, None] * (end - start)
    turn = np.array([0.0, 0.0, -pose[2]])
    local = to_table(turn, points - pose[:2])
    outside = [np.maximum(np.maximum(low - local, local - high), 0.0) for low, high in BOXES]
    distance = np.min([np.linalg.norm(offsets, axis=1) for offsets in outside], axis=0)
    # One that touches the T already may go along it and away from it.
    return bool((distance[1:] > min(_PUSHER + 2.0, distance[0] - 0.5)).all())


def _along(points: list[Vector], speeds: list[float], count: int) -> FloatArray:
    """Targets `[count, 2]` along a line through points, a speed for each part; at the end it stays."""
    targets: list[Vector] = []
    for start, end, speed in zip(points[:-1], points[1:], speeds, strict=True):
        steps = max(1, int(np.ceil(np.linalg.norm(end - start) / speed)))
        targets += [start + (end - start) * (i + 1) / steps for i in range(steps)]
    targets = targets[:count]
    targets += [targets[-1]] * (count - len(targets))
    return np.clip(np.stack(targets), 0.0, TABLE_SIZE).astype(np.float32)
