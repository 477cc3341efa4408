"""How far a learned environment agrees with the real one about policies: figures of mean results, with intervals."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from cosmos_robot.errors import InvalidInputError

type Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A figure with its bootstrap interval; NaN where it is not defined, as a correlation with a constant.

    Attributes:
        value: of all starts.
        low: 2.5 of 100 resamples are below it.
        high: 97.5 of 100 are.
    """

    value: float
    low: float
    high: float


def pearson(*, real: ArrayLike, simulated: ArrayLike) -> float:
    """Pearson's correlation of two results `[P]` of the same policies; NaN where one of them is constant."""
    first, second = _pair(real, simulated)
    return float(stats.pearsonr(first, second).statistic) if _vary(first, second) else float("nan")


def spearman(*, real: ArrayLike, simulated: ArrayLike) -> float:
    """Spearman's rank correlation of two results `[P]`; NaN where one of them is constant."""
    first, second = _pair(real, simulated)
    return (
        float(stats.spearmanr(first.reshape(-1), second.reshape(-1)).statistic)
        if _vary(first, second)
        else float("nan")
    )


def mmrv(*, real: ArrayLike, simulated: ArrayLike) -> float:
    """Mean maximum rank violation of two results `[P]` of the same policies; 0 is best.

    For every policy the largest difference in the real results to one that the simulation ranks the other way round,
    averaged over the policies: Li et al., "Evaluating Real-World Robot Manipulation Policies in Simulation" (SIMPLER),
    2024, section III. It is in the results' own unit and is not symmetric: mind which is which. A tie in the simulation
    counts against the worse of two policies alone, so that a simulation in which nothing happens scores better than it
    should: look at the correlations beside it.
    """
    first, second = _pair(real, simulated)
    gaps = np.abs(first[:, None] - first[None])
    violated = (second[:, None] < second[None]) != (first[:, None] < first[None])
    return float((gaps * violated).max(axis=1).mean())


def _pair(real: ArrayLike, simulated: ArrayLike) -> tuple[Vector, Vector]:
    first, second = np.asarray(real, dtype=np.float64), np.asarray(simulated, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape or len(first) < 2:
        raise InvalidInputError(
            f"agreement needs results of the same two or more policies; got {first.shape} and {second.shape}."
        )
    return first, second


def _vary(first: Vector, second: Vector) -> bool:
    return bool(np.ptp(first) > 1e-12 and np.ptp(second) > 1e-12)
