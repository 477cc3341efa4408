"""A mean with its bootstrap interval (scipy), over episodes: rows of one episode are no independent witnesses."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

RESAMPLES = 2000
STATISTIC_RESAMPLES = 500
"""Of figures that are no means, which cost more."""
CONFIDENCE = 0.95

type Statistic = Callable[[Sequence[Any]], float | None]
"""A figure of rows together, or None where it is not defined for them."""


@dataclass(frozen=True)
class Estimate:
    """A figure of rows, and between which bounds it lies with 95 of 100.

    Attributes:
        value: of all rows, or None where there is none.
        low: lower bound; None where there are less than two episodes.
        high: upper bound.
        n: rows.
        episodes: that they are of.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    episodes: int


def mean_of(values: Mapping[Any, float], groups: Mapping[Any, Hashable], *, seed: int = 0) -> Estimate:
    """Mean of the rows' values; episodes are drawn with repetition for the interval.

    Args:
        values: by row.
        groups: the episode of each row.
        seed: of the draws.
    """
    by_group: dict[Hashable, list[float]] = {}
    for key, value in values.items():
        by_group.setdefault(groups[key], []).append(float(value))
    if not by_group:
        return Estimate(None, None, None, 0, 0)
    sums = np.array([sum(group) for group in by_group.values()])
    counts = np.array([len(group) for group in by_group.values()], dtype=np.float64)
    value = float(sums.sum() / counts.sum())
    low, high = _bounds(sums, counts, value, seed)
    return Estimate(value, low, high, int(counts.sum()), len(sums))


def _bounds(
    sums: NDArray[np.float64], counts: NDArray[np.float64], value: float, seed: int
) -> tuple[float | None, float | None]:
    means = sums / counts
    if len(sums) < 2:
        return None, None
    if np.ptp(means) <= 1e-12 * max(1.0, abs(value)):
        return value, value  # where all are alike, BCa divides by nothing

    def ratio(total: Any, count: Any, axis: int = -1) -> Any:
        return total.sum(axis=axis) / count.sum(axis=axis)

    found = stats.bootstrap(
        (sums, counts),
        ratio,
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return _number(found.low), _number(found.high)


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def statistic_of(
    values: Mapping[Any, Any], groups: Mapping[Any, Hashable], measure: Statistic, *, seed: int = 0
) -> Estimate:
    """A figure that is no mean, as R², with its interval over episodes.

    Args:
        values: what it is taken of, by row.
        groups: the episode of each row.
        measure: takes a list of values and gives a number, or None where it is not defined.
        seed: of the draws.
    """
    return _resampled(_grouped(values, groups), measure, seed)


def paired_difference(
    first: Mapping[Any, Any],
    second: Mapping[Any, Any],
    groups: Mapping[Any, Hashable],
    measure: Statistic,
    *,
    seed: int = 0,
) -> Estimate:
    """A figure that is no mean, of the second less that of the first, over the rows that both have.

    Each resample draws episodes once, for both: what both find hard does not widen the interval.

    Args:
        first: what it is taken of, by row.
        second: the same of what is compared.
        groups: the episode of each row.
        measure: takes a list of values and gives a number, or None where it is not defined.
        seed: of the draws.
    """

    def apart(pairs: Sequence[tuple[Any, Any]]) -> float | None:
        one, other = (measure([pair[i] for pair in pairs]) for i in (0, 1))
        return None if one is None or other is None else other - one

    return _resampled(_grouped({key: (first[key], second[key]) for key in second if key in first}, groups), apart, seed)


def _grouped(values: Mapping[Any, Any], groups: Mapping[Any, Hashable]) -> list[list[Any]]:
    by_group: dict[Hashable, list[Any]] = {}
    for key, value in values.items():
        by_group.setdefault(groups[key], []).append(value)
    return list(by_group.values())


def _resampled(groups: Sequence[Sequence[Any]], measure: Statistic, seed: int) -> Estimate:
    rows = sum(len(group) for group in groups)
    value = measure([row for group in groups for row in group]) if groups else None
    if value is None or len(groups) < 2:
        return Estimate(value, None, None, rows, len(groups))
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(STATISTIC_RESAMPLES):
        chosen = rng.integers(len(groups), size=len(groups))
        drawn.append(measure([row for i in chosen for row in groups[i]]))
    defined = [each for each in drawn if each is not None]
    if len(defined) < STATISTIC_RESAMPLES / 2:
        return Estimate(value, None, None, rows, len(groups))
    low, high = np.quantile(defined, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value, float(low), float(high), rows, len(groups))
