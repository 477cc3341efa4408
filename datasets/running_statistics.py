"""Statistics of any number of rows in one pass and bounded memory."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.errors import InvalidInputError

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
KEPT_ROWS = 200_000
"""Rows kept for the quantiles: 46 MB for the widest domain, 57 channels."""

type Float64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Statistics:
    """What is known of the rows, each float64 `[D]`.

    Attributes:
        count: number of rows.
        mean: of each channel.
        std: of each channel, with the count in the denominator.
        minimum: of each channel.
        maximum: of each channel.
        quantiles: by name, `q01` to `q99`; between two values in proportion, as numpy has them.
        rank_error: how far a quantile may be off, as a share of all rows: 0 where they were computed from every row.
    """

    count: int
    mean: Float64
    std: Float64
    minimum: Float64
    maximum: Float64
    quantiles: dict[str, Float64]
    rank_error: float


class RunningStatistics:
    """Takes rows in blocks and holds a fixed number of them.

    Count, mean, deviation, least and greatest value are those of all rows; the mean and the squared deviations of two
    blocks are joined by Chan's formula, which does not lose digits as a sum of squares does. Quantiles are of a uniform
    random sample (a reservoir) of `kept` rows, and exact while there are no more rows than that. The share of rows
    below a quantile p of a sample of n deviates from p by `sqrt(p (1 - p) / n)` in the mean; `rank_error` is four times
    that at the median, the largest: at 200,000 rows 0.0045, and 0.0009 for q01 and q99. Unlike a histogram's, this
    error does not grow with a single outlier.

    Args:
        kept: rows kept for the quantiles.
        seed: of the sample.
    """

    def __init__(self, *, kept: int = KEPT_ROWS, seed: int = 0) -> None:
        self._kept, self._random = kept, np.random.default_rng(seed)
        self._count = 0
        self._sample: NDArray[np.float32] | None = None

    @property
    def count(self) -> int:
        """Rows so far."""
        return self._count

    def add(self, rows: NDArray[Any]) -> None:
        """Take a block of rows `[N, D]`.

        Raises:
            InvalidInputError: if the width changes.
        """
        block = np.asarray(rows, dtype=np.float64)
        if len(block) == 0:
            return
        if self._sample is None:
            self._begin(block.shape[1])
        elif block.shape[1] != self._sample.shape[1]:
            raise InvalidInputError(f"rows must have {self._sample.shape[1]} numbers; got {block.shape[1]}.")
        self._join(block)
        self._keep(block)
        self._count += len(block)

    def result(self) -> Statistics:
        """The statistics of all rows so far.

        Raises:
            InvalidInputError: if there was none.
        """
        if self._sample is None:
            raise InvalidInputError("there is no row to take statistics of.")
        sample = self._sample[: min(self._count, self._kept)].astype(np.float64)
        values = np.quantile(sample, list(QUANTILES.values()), axis=0)
        return Statistics(
            count=self._count,
            mean=self._mean.copy(),
            std=np.sqrt(self._squares / self._count),
            minimum=self._minimum.copy(),
            maximum=self._maximum.copy(),
            quantiles=dict(zip(QUANTILES, values, strict=True)),
            rank_error=0.0 if self._count <= self._kept else 2.0 / float(np.sqrt(self._kept)),
        )

    def _begin(self, width: int) -> None:
        self._sample = np.empty((self._kept, width), dtype=np.float32)
        self._mean, self._squares = np.zeros(width), np.zeros(width)
        self._minimum, self._maximum = np.full(width, np.inf), np.full(width, -np.inf)

    def _join(self, block: Float64) -> None:
        mean = block.mean(axis=0)
        total = self._count + len(block)
        step = mean - self._mean
        self._squares += ((block - mean) ** 2).sum(axis=0) + step**2 * (self._count * len(block) / total)
        self._mean += step * (len(block) / total)
        self._minimum = np.minimum(self._minimum, block.min(axis=0))
        self._maximum = np.maximum(self._maximum, block.max(axis=0))

    def _keep(self, block: Float64) -> None:
        """Row t of all takes a random place of t + 1 places; it is kept if that is one of the reservoir's."""
        assert self._sample is not None
        fits = max(0, min(self._kept - self._count, len(block)))
        self._sample[self._count : self._count + fits] = block[:fits]
        number = np.arange(self._count + fits, self._count + len(block))
        place = self._random.integers(0, number + 1)
        kept = place < self._kept
        # Of several rows for one place the last one stays, as if they came one by one.
        self._sample[place[kept]] = block[fits:][kept]
