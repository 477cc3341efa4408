"""Prompts by hindsight: what happened in a Push-T window, said as the instruction that it would have followed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.training.pusht_scripts import block_centre

DIRECTIONS = (
    "right",
    "lower right",
    "bottom",
    "lower left",
    "left",
    "upper left",
    "top",
    "upper right",
)
"""By angle in steps of 45 degrees from the x axis towards y, which points down in the picture."""

_PUSH = ("push the T to the {}", "push the T towards the {}", "shove the block to the {}")
_MOVE = ("move the pusher to the {}", "move the pusher towards the {}", "go to the {}")
_TURN = ("turn the T {}", "rotate the T {}", "turn the block {}")
_HOLD = ("hold the pusher still", "do not move", "stay where you are")


@dataclass(frozen=True)
class HindsightLimits:
    """From where on something counts as having happened.

    Attributes:
        push: way of the T's centre of mass, table pixels.
        turn: rotation of a T that was not pushed so far, rad.
        move: way of the pusher where the T stayed, table pixels.
    """

    push: float = 20.0
    turn: float = 0.4
    move: float = 25.0


def hindsight_prompt(
    agent: NDArray[np.floating],
    block: NDArray[np.floating],
    *,
    wording: int = 0,
    limits: HindsightLimits | None = None,
) -> str:
    """Say what happened between the first and the last row of a window.

    Args:
        agent: `[T + 1, 2]` centre of the pusher in table pixels (y down).
        block: `[T + 1, 3]` pose of the T: x, y in table pixels, angle in rad.
        wording: which of three wordings, 0..2; 0 is the plain one.
        limits: from where on something counts as having happened.

    Returns:
        A push with one of eight directions where the T moved, else a turn, else a way of the pusher, else stillness.
    """
    limits = limits or HindsightLimits()
    centre = block_centre(block)
    pushed, moved = centre[-1] - centre[0], np.asarray(agent[-1] - agent[0], dtype=np.float64)
    turned = float(block[-1, 2] - block[0, 2])
    if np.linalg.norm(pushed) >= limits.push:
        return _PUSH[wording].format(direction_name(pushed))
    if abs(turned) >= limits.turn:
        return _TURN[wording].format("clockwise" if turned > 0 else "counterclockwise")
    if np.linalg.norm(moved) >= limits.move:
        return _MOVE[wording].format(direction_name(moved))
    return _HOLD[wording]


def all_prompts() -> tuple[str, ...]:
    """Every prompt that `hindsight_prompt` can give."""
    prompts = [text.format(name) for text in (*_PUSH, *_MOVE) for name in DIRECTIONS]
    prompts += [text.format(name) for text in _TURN for name in ("clockwise", "counterclockwise")]
    return (*prompts, *_HOLD)


def captions() -> dict[str, str]:
    """For every wording of each prompt the caption of a video in which that happens."""
    said = {text.format(name): push_caption(name) for text in _PUSH for name in DIRECTIONS}
    said |= {text.format(name): f"the pusher moves to the {name}" for text in _MOVE for name in DIRECTIONS}
    ways = ("clockwise", "counterclockwise")
    said |= {text.format(way): f"the pusher turns the T {way}" for text in _TURN for way in ways}
    return said | dict.fromkeys(_HOLD, "the pusher holds still")


def push_caption(direction: str) -> str:
    """The caption of a video in which the T is pushed towards one of `DIRECTIONS`."""
    return f"the pusher pushes the T to the {direction}"


def push_prompt(direction: str) -> str:
    """The plain wording of a push towards one of `DIRECTIONS`."""
    return _PUSH[0].format(direction)


def direction_name(way: NDArray[np.floating]) -> str:
    """The nearest of `DIRECTIONS` to a way `[2]` (x right, y down)."""
    eighth = round(float(np.arctan2(way[1], way[0])) / (np.pi / 4))
    return DIRECTIONS[eighth % 8]


def direction_vector(name: str) -> NDArray[np.float64]:
    """Unit vector `[2]` (x right, y down) of one of `DIRECTIONS`."""
    angle = DIRECTIONS.index(name) * np.pi / 4
    return np.array([np.cos(angle), np.sin(angle)])
