"""How well a trust score tells bad imagination from good: AUROC against the real error.

Rows are those of the long rollouts (`long_rollout.py`): the score and the true error of every imagined chunk.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from cosmos_robot.benchmarks.agreement_statistics import Interval
from cosmos_robot.errors import InvalidInputError

WORST = (0.5, 0.25, 0.1)
"""Shares of the chunks, those with the greatest error, that a score should tell from the others."""


@dataclass(frozen=True)
class TrustFigures:
    """How a score goes with the real error.

    Attributes:
        error: which error.
        worst: share of the chunks that count as bad, those with the greatest error; more than was asked for where many
            have the same, as a T that is not found is always as wrong.
        auroc: of the score of the chunk itself.
        auroc_so_far: of the greatest score of the episode up to the chunk, on which a stop acts.
        chunks: how many.
        episodes: how many.
    """

    error: str
    worst: float
    auroc: Interval
    auroc_so_far: Interval
    chunks: int
    episodes: int


def auroc(*, scores: ArrayLike, bad: ArrayLike) -> float:
    """Probability that a bad one has a greater score than a good one, ties counted half; NaN where all are alike.

    It is the Mann-Whitney statistic over the product of the counts.
    """
    values, labels = np.asarray(scores, dtype=np.float64), np.asarray(bad, dtype=bool)
    if values.shape != labels.shape or values.ndim != 1:
        raise InvalidInputError(f"give one label for each score; got {labels.shape} and {values.shape}.")
    positive, negative = int(labels.sum()), int((~labels).sum())
    if not positive or not negative:
        return float("nan")
    ranks = stats.rankdata(values)
    return float((ranks[labels].sum() - positive * (positive + 1) / 2) / (positive * negative))


def trust_figures(
    rows: Sequence[dict[str, Any]], *, error: str = "pixel_error", resamples: int = 1000, seed: int = 0
) -> list[TrustFigures]:
    """Measure the scores of rows with `episode`, `chunk`, `score` and the named error, with intervals over episodes.

    Returns:
        One for each share of `WORST`; shares that ties make the same chunks of are there once.
    """
    episodes = sorted({row["episode"] for row in rows})
    by_episode = {e: sorted((r for r in rows if r["episode"] == e), key=lambda r: r["chunk"]) for e in episodes}
    tables = [_table(by_episode[episode], error) for episode in episodes]
    if not tables:
        raise InvalidInputError("there are no rows to measure trust with.")
    whole = np.concatenate(tables)
    figures = []
    limits = {float(np.quantile(whole[:, 2], 1.0 - worst, method="higher")): None for worst in WORST}
    for limit in limits:
        worst = float((whole[:, 2] >= limit).mean())
        each = [_interval(tables, column, limit, resamples, seed) for column in (0, 1)]
        figures.append(TrustFigures(error, worst, each[0], each[1], len(whole), len(tables)))
    return figures


def _table(rows: Sequence[dict[str, Any]], error: str) -> NDArray[np.float64]:
    """Score, greatest score so far and error `[n, 3]` of an episode's chunks."""
    scores = np.array([row["score"] for row in rows], dtype=np.float64)
    return np.column_stack([scores, np.maximum.accumulate(scores), [row[error] for row in rows]])


def _interval(tables: Sequence[NDArray[np.float64]], column: int, limit: float, resamples: int, seed: int) -> Interval:
    rng = np.random.default_rng(seed)

    def measured(chosen: Sequence[NDArray[np.float64]]) -> float:
        rows = np.concatenate(chosen)
        return auroc(scores=rows[:, column], bad=rows[:, 2] >= limit)

    drawn = [measured([tables[i] for i in rng.integers(len(tables), size=len(tables))]) for _ in range(resamples)]
    defined = [value for value in drawn if np.isfinite(value)]
    if not defined:
        return Interval(measured(tables), float("nan"), float("nan"))
    low, high = np.quantile(defined, [0.025, 0.975])
    return Interval(measured(tables), float(low), float(high))
