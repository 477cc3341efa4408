"""How robot units become the numbers that a checkpoint was trained on, and back.

Each normaliser is a frozen value with its statistics; `forward` takes `[..., D]` in robot units to model
space, `inverse` takes it back, both in float64. Statistics are given or the normaliser cannot be built: none
is defaulted.

Formulas: cosmos-framework `utils/action_processing.py` (`resolve_action_normalization`). Its data pipeline
clamps some of the results to [-1, 1]. That loses what lay outside, so that no inverse exists; it is **not**
applied here.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from cosmos_robot.domains.poses import Float64
from cosmos_robot.errors import InvalidInputError

type Figures = tuple[float, ...]
"""One figure for each channel."""

_LOW_AND_HIGH = (("q01", "q99"), ("minimum", "maximum"))
"""Statistics of which the first can be nowhere above the second."""

SMALLEST_RANGE = 1e-8
"""A channel that never moved in the data would divide by zero; the framework floors its range at this."""


class Normaliser(ABC):
    """A transform of actions `[..., D]` that inverts."""

    method: ClassVar[str]
    """The field's own word for it, as the domain files spell it."""

    @property
    @abstractmethod
    def width(self) -> int | None:
        """Number of channels that there are statistics for; None where any number will do."""

    @abstractmethod
    def forward(self, values: ArrayLike) -> Float64:
        """Take `[..., D]` from robot units to model space."""

    @abstractmethod
    def inverse(self, values: ArrayLike) -> Float64:
        """Take `[..., D]` from model space to robot units."""


@dataclass(frozen=True)
class Identity(Normaliser):
    """The checkpoint was trained on robot units as they are."""

    method: ClassVar[str] = "identity"

    @property
    def width(self) -> None:
        """Any."""
        return None

    def forward(self, values: ArrayLike) -> Float64:
        """`y = x`."""
        return np.array(values, dtype=np.float64)

    def inverse(self, values: ArrayLike) -> Float64:
        """`x = y`."""
        return np.array(values, dtype=np.float64)


class _Statistics(Normaliser):
    """What the normalisers with statistics share: figures that can be right, and `z = (x - offset) / scale`."""

    def __post_init__(self) -> None:
        lengths = {name: len(figures) for name, figures in self._figures().items()}
        if 0 in lengths.values() or len(set(lengths.values())) != 1:
            raise InvalidInputError(
                f"the statistics of a {self.method} normaliser must have one figure for each channel; got "
                + ", ".join(f"{length} in {name}" for name, length in lengths.items())
                + "."
            )
        for name, figures in self._figures().items():
            if not np.isfinite(figures).all():
                raise InvalidInputError(f"the statistic {name} of a {self.method} normaliser is not finite.")
        self._require_ranges()

    def _require_ranges(self) -> None:
        figures = self._figures()
        for low, high in _LOW_AND_HIGH:
            wrong = np.flatnonzero(np.greater(figures.get(low, ()), figures.get(high, ())))
            if len(wrong):
                raise InvalidInputError(
                    f"the statistic {low} of a {self.method} normaliser is greater than {high} at channel {wrong[0]}."
                )

    def _figures(self) -> dict[str, Figures]:
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        return {name: value for name, value in values.items() if isinstance(value, tuple)}

    @property
    def width(self) -> int:
        """Number of channels."""
        return len(next(iter(self._figures().values())))

    @abstractmethod
    def _affine(self) -> tuple[Float64, Float64]:
        """Offset and scale `[D]`."""

    def forward(self, values: ArrayLike) -> Float64:
        """`y = (x - offset) / scale`."""
        offset, scale = self._affine()
        return (np.asarray(values, dtype=np.float64) - offset) / scale

    def inverse(self, values: ArrayLike) -> Float64:
        """`x = y * scale + offset`."""
        offset, scale = self._affine()
        return np.asarray(values, dtype=np.float64) * scale + offset


@dataclass(frozen=True)
class Quantile(_Statistics):
    """The data's 1st and 99th percentile go to -1 and +1: `y = 2 (x - q01) / (q99 - q01) - 1`."""

    method: ClassVar[str] = "quantile"
    q01: Figures
    q99: Figures

    def _affine(self) -> tuple[Float64, Float64]:
        return _centre_and_half_range(self.q01, self.q99)


@dataclass(frozen=True)
class QuantileRot(Quantile):
    """The same affine map as `Quantile`, with statistics of the raw rotations.

    The framework's `global` statistics leave rotation channels as they are; `global_raw` measures them too.
    """

    method: ClassVar[str] = "quantile_rot"


@dataclass(frozen=True)
class QuantileRotScaleFloor(_Statistics):
    """`QuantileRot` with the scale floored, so that the most extreme training value becomes at most 5.

    `scale = max((q99 - q01) / 2, max(|minimum - offset|, |maximum - offset|) / 5)`.
    """

    method: ClassVar[str] = "quantile_rot_scale_floor"
    target_max: ClassVar[float] = 5.0
    q01: Figures
    q99: Figures
    minimum: Figures
    maximum: Figures

    def _affine(self) -> tuple[Float64, Float64]:
        offset, scale = _centre_and_half_range(self.q01, self.q99)
        farthest = np.maximum(np.abs(np.array(self.minimum) - offset), np.abs(np.array(self.maximum) - offset))
        return offset, np.maximum(scale, np.maximum(farthest / self.target_max, SMALLEST_RANGE))


@dataclass(frozen=True)
class AsinhRot(QuantileRot):
    """Tails pressed together without a clamp: `y = asinh(z) / asinh(1)`, `z` being the quantile value."""

    method: ClassVar[str] = "asinh_rot"

    def forward(self, values: ArrayLike) -> Float64:
        """`y = asinh(z) / asinh(1)`."""
        return np.arcsinh(super().forward(values)) / math.asinh(1.0)

    def inverse(self, values: ArrayLike) -> Float64:
        """`z = sinh(y asinh(1))`."""
        return super().inverse(np.sinh(np.asarray(values, dtype=np.float64) * math.asinh(1.0)))


@dataclass(frozen=True)
class PiecewiseAsinhRot(QuantileRot):
    """Linear inside [-1, 1], pressed together outside.

    `y = z` where `|z| <= 1`, else `y = sign(z) (1 + asinh(beta (|z| - 1)) / beta)`; `beta` is 1 in the
    framework.
    """

    method: ClassVar[str] = "piecewise_asinh_rot"
    beta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.beta > 0:
            raise InvalidInputError(f"beta of a {self.method} normaliser must be positive; got {self.beta}.")

    def forward(self, values: ArrayLike) -> Float64:
        """See the class."""
        z = super().forward(values)
        excess = np.maximum(np.abs(z) - 1.0, 0.0)
        return np.where(np.abs(z) <= 1.0, z, np.sign(z) * (1.0 + np.arcsinh(self.beta * excess) / self.beta))

    def inverse(self, values: ArrayLike) -> Float64:
        """`|z| = 1 + sinh(beta (|y| - 1)) / beta` outside [-1, 1]."""
        y = np.asarray(values, dtype=np.float64)
        excess = np.maximum(np.abs(y) - 1.0, 0.0)
        return super().inverse(
            np.where(np.abs(y) <= 1.0, y, np.sign(y) * (1.0 + np.sinh(self.beta * excess) / self.beta))
        )


@dataclass(frozen=True)
class MinMax(_Statistics):
    """Least and greatest value go to -1 and +1: `y = 2 (x - minimum) / (maximum - minimum) - 1`."""

    method: ClassVar[str] = "minmax"
    minimum: Figures
    maximum: Figures

    def _affine(self) -> tuple[Float64, Float64]:
        return _centre_and_half_range(self.minimum, self.maximum)


@dataclass(frozen=True)
class MeanStd(_Statistics):
    """Zero mean, unit deviation: `y = (x - mean) / std`."""

    method: ClassVar[str] = "meanstd"
    mean: Figures
    std: Figures

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.std) < 0:
            raise InvalidInputError(f"std of a {self.method} normaliser must not be negative; got {min(self.std)}.")

    def _affine(self) -> tuple[Float64, Float64]:
        return np.array(self.mean), np.maximum(np.array(self.std), SMALLEST_RANGE)


def _centre_and_half_range(low: Figures, high: Figures) -> tuple[Float64, Float64]:
    least, greatest = np.array(low), np.array(high)
    return (greatest + least) / 2.0, np.maximum(greatest - least, SMALLEST_RANGE) / 2.0
