"""Reading a domain from its TOML file: every key known, every figure checked, every error with its place."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from cosmos_robot.domains import normalisers as n
from cosmos_robot.domains.canvas import TIERS
from cosmos_robot.domains.channels import Channel, PoseBlock, PoseConvention
from cosmos_robot.domains.domain import Domain, PublishedFacts, SamplingDefaults
from cosmos_robot.domains.domain_tables import FrameStepTable, Table
from cosmos_robot.domains.source_table import SourceTable
from cosmos_robot.domains.statistics_file import with_statistics
from cosmos_robot.domains.view_points import require_view_point
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.types import require_chunk_size


class _Pose(Table):
    """Nine channels: a translation, then rot6d by columns."""

    pose: str
    convention: Literal["backward_framewise", "backward_anchored", "controller_command", "unpublished"]
    unit: str = "m"
    frame: list[FrameStepTable] | None = None

    def block(self, start: int) -> PoseBlock:
        frame = None if self.frame is None else tuple(step.build() for step in self.frame)
        return PoseBlock(self.pose, start, PoseConvention(self.convention), self.unit, frame)


class _Singles(Table):
    """Channels one by one, with the same unit; `low` and `high` are one figure for all, or one for each."""

    names: Annotated[list[str], Field(min_length=1)]
    unit: str
    low: float | list[float] | None = None
    high: float | list[float] | None = None

    @model_validator(mode="after")
    def _bounds_fit(self) -> Self:
        for channel in self.channels():
            if channel.low is not None and channel.high is not None and not channel.low < channel.high:
                raise ValueError(f"low must be less than high; {channel.name} has {channel.low} and {channel.high}")
        return self

    def channels(self) -> tuple[Channel, ...]:
        low, high = self._spread("low", self.low), self._spread("high", self.high)
        return tuple(Channel(name, self.unit, *bounds) for name, *bounds in zip(self.names, low, high, strict=True))

    def _spread(self, key: str, bound: float | list[float] | None) -> list[float | None]:
        if not isinstance(bound, list):
            return [bound] * len(self.names)
        if len(bound) != len(self.names):
            raise ValueError(f"{key} has {len(bound)} figures for {len(self.names)} names")
        return list(bound)


class _Sampling(Table):
    num_steps: Annotated[int, Field(ge=1)] = SamplingDefaults.num_steps
    guidance: Annotated[float, Field(ge=1)] = SamplingDefaults.guidance
    shift: Annotated[float, Field(gt=0)] = SamplingDefaults.shift


class _Identity(Table):
    method: Literal["identity"]
    source: str

    def build(self) -> n.Normaliser:
        return n.Identity()


class _Quantile(Table):
    method: Literal["quantile", "quantile_rot", "asinh_rot"]
    source: str
    q01: list[float]
    q99: list[float]

    def build(self) -> n.Normaliser:
        kinds = {"quantile": n.Quantile, "quantile_rot": n.QuantileRot, "asinh_rot": n.AsinhRot}
        return kinds[self.method](tuple(self.q01), tuple(self.q99))


class _PiecewiseAsinh(Table):
    method: Literal["piecewise_asinh_rot"]
    source: str
    q01: list[float]
    q99: list[float]
    beta: float = n.PiecewiseAsinhRot.beta

    def build(self) -> n.Normaliser:
        return n.PiecewiseAsinhRot(tuple(self.q01), tuple(self.q99), self.beta)


class _ScaleFloor(Table):
    method: Literal["quantile_rot_scale_floor"]
    source: str
    q01: list[float]
    q99: list[float]
    min: list[float]
    max: list[float]

    def build(self) -> n.Normaliser:
        figures = tuple(self.q01), tuple(self.q99), tuple(self.min), tuple(self.max)
        return n.QuantileRotScaleFloor(*figures)


class _MinMax(Table):
    method: Literal["minmax"]
    source: str
    min: list[float]
    max: list[float]

    def build(self) -> n.Normaliser:
        return n.MinMax(tuple(self.min), tuple(self.max))


class _MeanStd(Table):
    method: Literal["meanstd"]
    source: str
    mean: list[float]
    std: list[float]

    def build(self) -> n.Normaliser:
        return n.MeanStd(tuple(self.mean), tuple(self.std))


type _Normaliser = Annotated[
    _Identity | _Quantile | _PiecewiseAsinh | _ScaleFloor | _MinMax | _MeanStd, Field(discriminator="method")
]


class _DomainFile(Table):
    """The whole file. What nobody has published is left out."""

    name: str
    robot: str
    source: SourceTable
    domain_id: Annotated[int, Field(ge=0)]
    raw_action_dim: Annotated[int, Field(ge=1)]
    channels: Annotated[list[_Pose | _Singles], Field(min_length=1)]
    aliases: list[str] = Field(default_factory=list)
    action_chunk_size: int | None = None
    fps: Annotated[float, Field(gt=0)] | None = None
    view_point: str | None = None
    view_description: str | None = None
    tier: int | None = None
    gripper: str | None = None
    translation_scale: Annotated[float, Field(gt=0)] = 1.0
    state_row: bool = False
    decodes_frames: bool = True
    sampling: _Sampling = _Sampling()
    normaliser: _Normaliser | None = None
    notes: list[str] = Field(default_factory=list)

    @field_validator("source", mode="before")
    @classmethod
    def _facts_alone(cls, source: Any) -> Any:
        return {"facts": source} if isinstance(source, str) else source

    @field_validator("channels", mode="before")
    @classmethod
    def _pose_or_singles(cls, tables: Any) -> Any:
        # Chosen by hand: pydantic's union would report the errors of both readings.
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            return tables
        return [_Pose.model_validate(t) if "pose" in t else _Singles.model_validate(t) for t in tables]

    @field_validator("action_chunk_size")
    @classmethod
    def _whole_latent_frames(cls, chunk: int | None) -> int | None:
        return chunk if chunk is None else require_chunk_size(chunk)

    @field_validator("view_point")
    @classmethod
    def _trained_view_point(cls, view_point: str | None) -> str | None:
        return view_point if view_point is None else require_view_point(view_point)

    @field_validator("tier")
    @classmethod
    def _existing_tier(cls, tier: int | None) -> int | None:
        if tier is not None and tier not in TIERS:
            raise ValueError(f"no such resolution tier; they are {', '.join(map(str, TIERS))}")
        return tier

    def build(self) -> Domain:
        blocks: list[PoseBlock] = []
        channels: list[Channel] = []
        for table in self.channels:
            if isinstance(table, _Pose):
                blocks.append(table.block(len(channels)))
                channels.extend(blocks[-1].channels())
            else:
                channels.extend(table.channels())
        normaliser = None if self.normaliser is None else self.normaliser.build()
        self._check_widths(channels, normaliser)
        return Domain(
            name=self.name,
            robot=self.robot,
            domain_id=self.domain_id,
            channels=tuple(channels),
            source=self.source.facts,
            published=PublishedFacts(
                self.action_chunk_size, self.fps, self.view_point, self.tier, self.gripper, normaliser
            ),
            aliases=tuple(self.aliases),
            pose_blocks=tuple(blocks),
            view_description=self.view_description,
            sampling=SamplingDefaults(self.sampling.num_steps, self.sampling.guidance, self.sampling.shift),
            state_row=self.state_row,
            decodes_frames=self.decodes_frames,
            translation_scale=self.translation_scale,
            notes=tuple(self.notes),
            recorded=self.source.build(channels, blocks, state_row=self.state_row),
        )

    def _check_widths(self, channels: list[Channel], normaliser: n.Normaliser | None) -> None:
        names = [channel.name for channel in channels]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise InvalidInputError(f"channels: the name {doubled[0]!r} stands there twice")
        if len(channels) != self.raw_action_dim:
            raise InvalidInputError(
                f"raw_action_dim: is {self.raw_action_dim}, but the channels are {len(channels)} ({', '.join(names)})"
            )
        if normaliser is not None and normaliser.width not in (None, len(channels)):
            raise InvalidInputError(
                f"normaliser: has statistics for {normaliser.width} channels, but there are {len(channels)}"
            )


def load_domain_file(path: Path) -> Domain:
    """Read a domain from a TOML file.

    Raises:
        InvalidInputError: if the file is not there, is no TOML, or says something that a domain file cannot;
            the message names the file, the key, and what is allowed there.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInputError(f"cannot read the domain file {path}: {error.strerror or error}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path} is not a TOML file: {error}.") from error
    try:
        return _DomainFile.model_validate(with_statistics(table, path.parent)).build()
    except ValidationError as error:
        raise InvalidInputError(f"{path}: {_first_sentence(error)}.") from error
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {str(error).removesuffix('.')}.") from error


def _first_sentence(error: ValidationError) -> str:
    """Say where the first of the errors is, in the file's own terms, and what it is."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    message = str(first["msg"]).removeprefix("Value error, ").removesuffix(".")
    rest = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{place}: {message}{rest}" if place else f"{message}{rest}"
