"""Where a domain's actions and pictures come from in recorded data: the `[source]` table of a domain file, as types.

The same robot's data are published under different column names, so that a source has several layouts; the first whose
columns are all there is used. Nothing here reads data.
"""

import re
from dataclasses import dataclass
from typing import Literal

from cosmos_robot.domains.channels import FrameStep
from cosmos_robot.domains.rotation_forms import RotationForm
from cosmos_robot.errors import InvalidInputError

_PART = re.compile(r"(?P<column>.+?)(?:\[(?P<start>\d+)(?::(?P<stop>\d+))?\])?")


@dataclass(frozen=True)
class ColumnPart:
    """A column, or some of the numbers that it has at each time step.

    Attributes:
        column: its name, as the dataset spells it.
        start: the first number taken; None takes all of them.
        stop: one past the last.
    """

    column: str
    start: int | None = None
    stop: int | None = None

    @classmethod
    def parse(cls, text: str) -> "ColumnPart":
        """Read `name`, `name[6]` or `name[0:3]`.

        Raises:
            InvalidInputError: if it is none of these.
        """
        found = _PART.fullmatch(text.strip())
        if found is None:
            raise InvalidInputError(f"{text!r} names no column; write name, name[6] or name[0:3]")
        if found["start"] is None:
            return cls(found["column"])
        start = int(found["start"])
        stop = start + 1 if found["stop"] is None else int(found["stop"])
        if stop <= start:
            raise InvalidInputError(f"{text!r} takes no number of {found['column']!r}")
        return cls(found["column"], start, stop)

    def __str__(self) -> str:
        if self.start is None or self.stop is None:
            return self.column
        numbers = f"{self.start}" if self.stop == self.start + 1 else f"{self.start}:{self.stop}"
        return f"{self.column}[{numbers}]"


@dataclass(frozen=True)
class PoseColumns:
    """The columns of one pose block.

    Attributes:
        pose: name of the block.
        position: three numbers, in the block's unit.
        rotation: as many numbers as `form` takes.
        form: how the rotation is written.
        frame: factors from this layout's own end-effector frame into the model's, where it is another than the
            block's; None takes the block's.
    """

    pose: str
    position: ColumnPart
    rotation: ColumnPart
    form: RotationForm
    frame: tuple[FrameStep, ...] | None = None

    def parts(self) -> tuple[tuple[ColumnPart, int], ...]:
        """What it reads, and how many numbers each must have."""
        return (self.position, 3), (self.rotation, self.form.width)


@dataclass(frozen=True)
class SingleColumns:
    """The columns of channels that are no pose: joints, grippers, targets.

    Attributes:
        names: the channels, in the order of the part's numbers.
        part: where the numbers are.
        scale: the channel is `scale * number + offset`: -1 and 1 turn closed into open.
        offset: see `scale`.
        at: the time step of the number that belongs to the step from frame i to i + 1: `this` is i, `next` is i + 1.
    """

    names: tuple[str, ...]
    part: ColumnPart
    scale: float = 1.0
    offset: float = 0.0
    at: Literal["this", "next"] = "this"

    def parts(self) -> tuple[tuple[ColumnPart, int], ...]:
        """What it reads, and how many numbers it must have."""
        return ((self.part, len(self.names)),)


@dataclass(frozen=True)
class Layout:
    """One way in which the robot's data are published.

    Attributes:
        name: which data these are, for errors.
        channels: the columns of all channels.
        state: the columns of the state row, in the order of the channels; empty where the domain has none.
        only_with: cameras that only these data have, where column names alone do not tell them from others.
    """

    name: str
    channels: tuple[PoseColumns | SingleColumns, ...]
    state: tuple[SingleColumns, ...] = ()
    only_with: tuple[str, ...] = ()


Arrangement = Literal["single", "stacked", "side_by_side"]
"""`single`: one camera. `stacked`: the first above, the second and third below it, left and right, at half size.
`side_by_side`: from left to right."""


@dataclass(frozen=True)
class CameraPlace:
    """One place on the canvas, and who can stand there.

    Attributes:
        place: what it is (`wrist`, `left`), for errors.
        names: cameras, as datasets spell them; the first that the episode has is taken.
    """

    place: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """Where a domain's actions and pictures come from.

    Attributes:
        layouts: ways in which the data are published; the first that fits is used.
        cameras: the places of the canvas, in the order of the arrangement.
        arrangement: how they are put together.
        tile: height and width that each picture is brought to first; None leaves the first picture as it is.
    """

    layouts: tuple[Layout, ...] = ()
    cameras: tuple[CameraPlace, ...] = ()
    arrangement: Arrangement = "single"
    tile: tuple[int, int] | None = None
