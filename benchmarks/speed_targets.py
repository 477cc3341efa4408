"""The targets of the speed benchmark, and what a run says of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cosmos_robot.benchmarks.speed_cases import Case
from cosmos_robot.benchmarks.speed_contenders import BASELINE, COMPILED, ENGINE
from cosmos_robot.benchmarks.speed_measure import Row, real_time_factor
from cosmos_robot.benchmarks.speed_plan import FP8, HEADLINE, INVERSE, LARGE, SMALL


@dataclass(frozen=True)
class Target:
    """One figure that is aimed at, on one H200.

    Attributes:
        name: for people.
        case: on which it is measured.
        who: whose figure it is; of several the best counts.
        limit: what is to be reached.
        beside: a contender that must be so many times slower; None is seconds of a chunk and environment.
    """

    name: str
    case: Case
    who: tuple[str, ...]
    limit: float
    beside: str | None = None


TARGETS = (
    Target("256x256 batch 8, seconds a chunk and environment", SMALL[2], (ENGINE,), 0.30),
    Target("256x256 batch 8, times as quick as diffusers", SMALL[2], (ENGINE,), 3.0, BASELINE),
    Target("256x256 batch 8, times as quick as diffusers compiled", SMALL[2], (ENGINE,), 2.0, COMPILED),
    Target("480x640 batch 1, seconds a chunk", LARGE[0], (ENGINE,), 1.4),
    Target("480x640 batch 1, times as quick as diffusers", LARGE[0], (ENGINE,), 1.35, BASELINE),
    Target("inverse dynamics of av, times as quick as diffusers", INVERSE, (ENGINE,), 1.4, BASELINE),
    Target("480x640 batch 1 in 8-bit floating point, seconds a chunk", LARGE[0], (FP8,), 0.95),
)


def reached(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Each target with what was measured, None where it was not."""
    return [_judged(target, [row for row in rows if row.case == target.case.name]) for target in TARGETS]


def headline(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Seconds of robot time for a second of computing, of each robot; 8-bit floating point counts for droid alone."""
    found = []
    for case in HEADLINE:
        allowed = (ENGINE, FP8) if case.domain.startswith("droid") else (ENGINE,)
        for name in allowed:
            mine = [row for row in rows if (row.case, row.contender) == (case.name, name)]
            factor = real_time_factor(case, mine[-1]) if mine else None
            found.append(
                {"domain": case.domain, "case": case.name, "who": name, "steps": case.num_steps, "factor": factor}
            )
    return found


def _judged(target: Target, rows: list[Row]) -> dict[str, Any]:
    own = [row for row in rows if row.contender in target.who]
    theirs = [row for row in rows if row.contender == target.beside]
    told: dict[str, Any] = {"target": target.name, "limit": target.limit, "measured": None, "reached": None}
    if not own or (target.beside is not None and not theirs):
        return told
    best = min(own, key=lambda row: row.chunk_s)
    floor = best.floor_share * best.chunk_s / target.case.batch
    if target.beside is None:
        measured = best.chunk_s / target.case.batch
        return told | {"measured": measured, "reached": measured <= target.limit, "floor": floor}
    measured = min(row.chunk_s for row in theirs) / best.chunk_s
    return told | {"measured": measured, "reached": measured >= target.limit, "floor": floor}
