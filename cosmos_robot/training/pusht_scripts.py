"""Scripted pushers for Push-T: what moves the simulator while ground truth is recorded.

A pusher looks at the scene and answers with the next target of the simulator's position controller, in pixels of its
512 px table, ten times a second. Several kinds are mixed so that a world model sees pushes from every side, free
motion, and nothing at all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

type Vector = NDArray[np.float64]

TABLE_SIZE = 512.0
"""Side of the simulator's table in its own pixels."""
_MARGIN = 18.0
_CENTRE_OF_MASS = np.array([0.0, 45.0])
_CLEAR_RADIUS = 112.0
"""A pusher whose centre is this far from the T's centre of mass touches it at no angle (76.5 + 15 px, and room)."""


@dataclass(frozen=True, eq=False)
class Scene:
    """Where things stand, in table pixels.

    Attributes:
        agent: float64 `[2]` centre of the pusher.
        block: float64 `[3]`: x, y of the T's body origin (the middle of the bar's outer edge) and its angle in rad.
    """

    agent: Vector
    block: Vector

    @property
    def centre(self) -> Vector:
        """The T's centre of mass `[2]`."""
        return block_centre(self.block)


class Pusher(Protocol):
    """Anything that answers a scene with the next target `[2]` in table pixels."""

    def target(self, scene: Scene) -> Vector:
        """Give the next target `[2]`."""
        ...


def block_centre(pose: NDArray[np.floating]) -> Vector:
    """Centre of mass `[..., 2]` of the T for poses `[..., 3]` (x, y, angle in rad), in table pixels."""
    pose = np.asarray(pose, dtype=np.float64)
    cos, sin = np.cos(pose[..., 2]), np.sin(pose[..., 2])
    offset_x = cos * _CENTRE_OF_MASS[0] - sin * _CENTRE_OF_MASS[1]
    offset_y = sin * _CENTRE_OF_MASS[0] + cos * _CENTRE_OF_MASS[1]
    return np.stack([pose[..., 0] + offset_x, pose[..., 1] + offset_y], axis=-1)


def on_table(point: Vector) -> Vector:
    """Clip a point `[2]` to the part of the table that the pusher may use."""
    return np.clip(point, _MARGIN, TABLE_SIZE - _MARGIN)


def random_point(rng: np.random.Generator) -> Vector:
    """A point `[2]` anywhere on the table."""
    return rng.uniform(_MARGIN, TABLE_SIZE - _MARGIN, 2)


class PushTowards:
    """Go round to the far side of the T, then push it in a direction; again in another direction when done."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._commanded: Vector | None = None
        self._plan: _PushPlan | None = None

    def target(self, scene: Scene) -> Vector:
        """Give the next target `[2]`."""
        if self._plan is None or self._plan.finished(scene):
            self._plan = _PushPlan.draw(self._rng, scene)
        position = scene.agent if self._commanded is None else self._commanded
        goal = self._plan.goal(scene)
        self._commanded = on_table(_step_towards(position, goal, self._plan.speed(scene)))
        return self._commanded + self._rng.normal(0.0, self._plan.tremor, 2)


@dataclass(eq=False)
class _PushPlan:
    """One approach and one push.

    Attributes:
        direction: unit vector `[2]` of the push.
        lateral: how far beside the centre of mass the pusher aims, px: it turns the T.
        distance: how far the T is to be pushed, px.
        approach_speed, push_speed: px a step.
        tremor: standard deviation of the noise on the target, px.
        start: the T's centre when the push was planned.
        patience: steps after which the plan is given up.
        pushing: whether the approach is over.
    """

    direction: Vector
    lateral: float
    distance: float
    approach_speed: float
    push_speed: float
    tremor: float
    start: Vector
    patience: int
    pushing: bool = False

    @classmethod
    def draw(cls, rng: np.random.Generator, scene: Scene) -> "_PushPlan":
        return cls(
            direction=_roomy_direction(rng, scene.centre),
            lateral=float(rng.normal(0.0, 10.0) if rng.random() < 0.7 else rng.uniform(-55.0, 55.0)),
            distance=float(rng.uniform(40.0, 180.0)),
            approach_speed=float(rng.uniform(14.0, 50.0)),
            push_speed=float(rng.uniform(6.0, 26.0)),
            tremor=float(rng.choice([0.0, 1.0, 3.0])),
            start=scene.centre,
            patience=int(rng.integers(35, 60)),
        )

    def finished(self, scene: Scene) -> bool:
        self.patience -= 1
        pushed = float((scene.centre - self.start) @ self.direction)
        return self.patience <= 0 or (self.pushing and pushed >= self.distance)

    def speed(self, scene: Scene) -> float:
        return self.push_speed if self.pushing else self.approach_speed

    def goal(self, scene: Scene) -> Vector:
        side = np.array([-self.direction[1], self.direction[0]])
        centre = scene.centre
        behind = centre - self.direction * _CLEAR_RADIUS + side * self.lateral
        if not self.pushing and np.linalg.norm(on_table(behind) - scene.agent) < 26.0:
            self.pushing = True
        if self.pushing:
            ahead = float((scene.agent - centre) @ self.direction) + 60.0
            return centre + self.direction * ahead + side * self.lateral
        return _way_round(scene.agent, behind, centre)


class SmoothWaypoints:
    """Glide through random waypoints with a speed that changes from one to the next."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._goal = random_point(rng)
        self._speed = float(rng.uniform(4.0, 30.0))
        self._commanded: Vector | None = None
        self._velocity: Vector = np.zeros(2)

    def target(self, scene: Scene) -> Vector:
        """Give the next target `[2]`."""
        if self._commanded is None:
            self._commanded = scene.agent
        if np.linalg.norm(self._goal - self._commanded) < 1.5 * self._speed:
            near_block = scene.centre + self._rng.normal(0.0, 60.0, 2)
            self._goal = on_table(near_block) if self._rng.random() < 0.6 else random_point(self._rng)
            self._speed = float(self._rng.uniform(4.0, 30.0))
        wanted = _step_towards(self._commanded, self._goal, self._speed) - self._commanded
        self._velocity = 0.6 * self._velocity + 0.4 * wanted
        self._commanded = on_table(self._commanded + self._velocity)
        return self._commanded


class Circling:
    """Go round a point: the T's first place or anywhere on the table."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._around_block = rng.random() < 0.6
        self._centre: Vector | None = None
        self._radius = float(rng.uniform(25.0, 150.0))
        self._turn = float(rng.uniform(4.0, 28.0)) / self._radius * float(rng.choice([-1.0, 1.0]))
        self._angle = 0.0

    def target(self, scene: Scene) -> Vector:
        """Give the next target `[2]`."""
        if self._centre is None:
            self._centre = scene.centre if self._around_block else random_point(self._rng)
            offset = scene.agent - self._centre
            self._angle = float(np.arctan2(offset[1], offset[0]))
        self._angle += self._turn
        return on_table(self._centre + self._radius * _unit(self._angle))


class HoldStill:
    """Keep the pusher where it is, with a tremor that may be nothing.

    Args:
        rng: source of the tremor.
        tremor: its standard deviation, px.
    """

    def __init__(self, rng: np.random.Generator, tremor: float = 0.0) -> None:
        self._rng = rng
        self._tremor = tremor
        self._place: Vector | None = None

    def target(self, scene: Scene) -> Vector:
        """Give the next target `[2]`."""
        if self._place is None:
            self._place = scene.agent
        return on_table(self._place + self._rng.normal(0.0, self._tremor, 2))


class StraightLines:
    """Straight lines at a constant speed, often right through the T."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._commanded: Vector | None = None
        self._goal: Vector | None = None
        self._speed = 0.0

    def target(self, scene: Scene) -> Vector:
        """Give the next target `[2]`."""
        if self._commanded is None:
            self._commanded = scene.agent
        if self._goal is None or np.linalg.norm(self._goal - self._commanded) < 1.0:
            through = scene.centre + (scene.centre - self._commanded) * self._rng.uniform(0.2, 1.0)
            self._goal = on_table(through) if self._rng.random() < 0.6 else random_point(self._rng)
            self._speed = float(self._rng.uniform(4.0, 32.0))
        self._commanded = _step_towards(self._commanded, self._goal, self._speed)
        return self._commanded


class Jumps:
    """A far new target every few steps: the controller's own accelerations, as random policies give them."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._goal = random_point(rng)
        self._left = 0

    def target(self, scene: Scene) -> Vector:
        """Give the next target `[2]`."""
        if self._left == 0:
            near = scene.agent + self._rng.normal(0.0, 70.0, 2)
            self._goal = on_table(near) if self._rng.random() < 0.7 else random_point(self._rng)
            self._left = int(self._rng.integers(1, 9))
        self._left -= 1
        return self._goal


PUSHERS: dict[str, tuple[float, Callable[[np.random.Generator], Pusher]]] = {
    "push": (0.62, PushTowards),
    "waypoints": (0.10, SmoothWaypoints),
    "lines": (0.10, StraightLines),
    "jumps": (0.07, Jumps),
    "circling": (0.06, Circling),
    "jitter": (0.03, lambda rng: HoldStill(rng, tremor=6.0)),
    "still": (0.02, HoldStill),
}
"""Name: (share of the recorded time, constructor)."""


def draw_pusher(rng: np.random.Generator) -> Pusher:
    """Draw one pusher by the shares of `PUSHERS`."""
    names = list(PUSHERS)
    shares = np.array([PUSHERS[name][0] for name in names])
    name = names[int(rng.choice(len(names), p=shares / shares.sum()))]
    return PUSHERS[name][1](rng)


def _unit(angle: float) -> Vector:
    return np.array([np.cos(angle), np.sin(angle)])


def _step_towards(start: Vector, goal: Vector, length: float) -> Vector:
    offset = goal - start
    distance = float(np.linalg.norm(offset))
    return goal.copy() if distance <= length else start + offset * (length / distance)


def _roomy_direction(rng: np.random.Generator, centre: Vector) -> Vector:
    """A direction that keeps the T on the table and leaves the pusher room behind it, found by a few draws."""
    best, best_room = _unit(0.0), -np.inf
    for _ in range(6):
        direction = _unit(float(rng.uniform(-np.pi, np.pi)))
        ends = np.concatenate([centre + 90.0 * direction, centre - 105.0 * direction])
        room = float(np.min(np.minimum(ends, TABLE_SIZE - ends)))
        if room > 60.0:
            return direction
        if room > best_room:
            best, best_room = direction, room
    return best


def _way_round(agent: Vector, goal: Vector, centre: Vector) -> Vector:
    """The next point `[2]` on a way from `agent` to `goal` that keeps clear of a circle around `centre`."""
    heading = goal - agent
    along = float(np.clip((centre - agent) @ heading / max(float(heading @ heading), 1e-9), 0.0, 1.0))
    if np.linalg.norm(agent + along * heading - centre) > 0.8 * _CLEAR_RADIUS or along == 0.0:
        return goal
    here, there = agent - centre, goal - centre
    angle = float(np.arctan2(here[1], here[0]))
    turn = float(np.arctan2(there[1], there[0])) - angle
    turn = (turn + np.pi) % (2.0 * np.pi) - np.pi
    return centre + (_CLEAR_RADIUS + 8.0) * _unit(angle + float(np.clip(turn, -0.7, 0.7)))
