"""Reading the `[source]` table of a domain file: which columns and cameras of recorded data are the robot's.

    [source]
    facts = "where the facts about the robot come from"
    arrangement = "stacked"                                     # or "single" (the default), "side_by_side"
    cameras = [
        { place = "wrist", names = ["observation.images.wrist"] },
        { place = "left", names = ["observation.images.left"] },
        { place = "right", names = ["observation.images.right"] },
    ]

    [[source.layouts]]                                          # the first whose columns are all there is used
    name = "our own recordings"
    channels = [                                                # every channel of the domain once
        { pose = "arm", position = "observation.state[0:3]", euler_xyz = "observation.state[3:6]" },
        { names = ["gripper"], column = "action[6]", scale = -1.0, offset = 1.0 },
    ]

A pose's rotation stands under the name of its form (`euler_xyz`, `quaternion_xyzw`, `quaternion_wxyz`, `axis_angle`,
`rot6d_columns`, `rot6d_rows`, `matrix`). `at = "next"` takes a channel from the frame that the action leads to.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from cosmos_robot.domains.channels import Channel, PoseBlock
from cosmos_robot.domains.domain_tables import FrameStepTable, Table
from cosmos_robot.domains.rotation_forms import RotationForm
from cosmos_robot.domains.source import CameraPlace, ColumnPart, Layout, PoseColumns, SingleColumns, Source
from cosmos_robot.errors import InvalidInputError

_CAMERAS = {"single": (1, 1), "stacked": (3, 3), "side_by_side": (2, 8)}
"""How many places each arrangement has, at least and at most."""


class _PoseColumnsTable(Table):
    pose: str
    position: str
    euler_xyz: str | None = None
    quaternion_xyzw: str | None = None
    quaternion_wxyz: str | None = None
    axis_angle: str | None = None
    rot6d_columns: str | None = None
    rot6d_rows: str | None = None
    matrix: str | None = None
    frame: list[FrameStepTable] | None = None

    @model_validator(mode="after")
    def _one_rotation(self) -> Self:
        given = [form.value for form in RotationForm if getattr(self, form.value) is not None]
        if len(given) != 1:
            raise ValueError(
                f"pose {self.pose!r} takes its rotation from one of {', '.join(RotationForm)}; "
                f"got {' and '.join(given) or 'none'}"
            )
        return self

    def build(self) -> PoseColumns:
        form = next(form for form in RotationForm if getattr(self, form.value) is not None)
        return PoseColumns(
            self.pose,
            ColumnPart.parse(self.position),
            ColumnPart.parse(getattr(self, form.value)),
            form,
            None if self.frame is None else tuple(step.build() for step in self.frame),
        )


class _SingleColumnsTable(Table):
    names: Annotated[list[str], Field(min_length=1)]
    column: str
    scale: float = 1.0
    offset: float = 0.0
    at: Literal["this", "next"] = "this"

    def build(self) -> SingleColumns:
        return SingleColumns(tuple(self.names), ColumnPart.parse(self.column), self.scale, self.offset, self.at)


class _LayoutTable(Table):
    name: str
    channels: Annotated[list[_PoseColumnsTable | _SingleColumnsTable], Field(min_length=1)]
    state: list[_SingleColumnsTable] = Field(default_factory=list)
    only_with: list[str] = Field(default_factory=list)

    @field_validator("channels", mode="before")
    @classmethod
    def _pose_or_singles(cls, tables: Any) -> Any:
        # Chosen by hand: pydantic's union would report the errors of both readings.
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            return tables
        return [
            _PoseColumnsTable.model_validate(t) if "pose" in t else _SingleColumnsTable.model_validate(t)
            for t in tables
        ]

    def build(self) -> Layout:
        return Layout(
            self.name,
            tuple(columns.build() for columns in self.channels),
            tuple(columns.build() for columns in self.state),
            tuple(self.only_with),
        )


class _CameraTable(Table):
    place: str
    names: Annotated[list[str], Field(min_length=1)]


class SourceTable(Table):
    """The whole table."""

    facts: str
    arrangement: Literal["single", "stacked", "side_by_side"] = "single"
    tile: Annotated[list[int], Field(min_length=2, max_length=2)] | None = None
    cameras: list[_CameraTable] = Field(default_factory=list)
    layouts: list[_LayoutTable] = Field(default_factory=list)

    @model_validator(mode="after")
    def _cameras_fit(self) -> Self:
        least, most = _CAMERAS[self.arrangement]
        if self.cameras and not least <= len(self.cameras) <= most:
            raise ValueError(f"cameras: {self.arrangement!r} has {least} to {most} places; got {len(self.cameras)}")
        return self

    def build(self, channels: list[Channel], blocks: list[PoseBlock], *, state_row: bool) -> Source:
        """Give it as the type, checked against the domain's channels.

        Raises:
            InvalidInputError: if a layout does not give every channel once.
        """
        layouts = tuple(table.build() for table in self.layouts)
        for layout in layouts:
            _check_channels(layout, channels, blocks)
            _check_state(layout, channels, state_row=state_row)
        places = tuple(CameraPlace(c.place, tuple(c.names)) for c in self.cameras)
        tile = None if self.tile is None else (self.tile[0], self.tile[1])
        return Source(layouts, places, self.arrangement, tile)


def _check_channels(layout: Layout, channels: list[Channel], blocks: list[PoseBlock]) -> None:
    by_pose = {block.name: [channel.name for channel in channels[block.columns]] for block in blocks}
    given: list[str] = []
    for columns in layout.channels:
        if isinstance(columns, PoseColumns):
            if columns.pose not in by_pose:
                raise InvalidInputError(f"source: layout {layout.name!r} has a pose {columns.pose!r}, the domain none")
            given += by_pose[columns.pose]
        else:
            given += columns.names
    _require_once(layout, "channel", given, [channel.name for channel in channels])


def _check_state(layout: Layout, channels: list[Channel], *, state_row: bool) -> None:
    if layout.state and not state_row:
        raise InvalidInputError(f"source: layout {layout.name!r} has a state, but the domain has no state row")
    if state_row:
        given = [name for columns in layout.state for name in columns.names]
        _require_once(layout, "number of the state", given, [channel.name for channel in channels])


def _require_once(layout: Layout, what: str, given: list[str], wanted: list[str]) -> None:
    wrong = [name for name in dict.fromkeys([*wanted, *given]) if given.count(name) != wanted.count(name)]
    if wrong:
        raise InvalidInputError(
            f"source: layout {layout.name!r} must give every {what} once ({', '.join(wanted)}); "
            f"it gives {wrong[0]!r} {given.count(wrong[0])} times"
        )
