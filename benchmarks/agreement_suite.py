"""Agreement: policies of graded quality in gym-pusht and in the learned environment, from the same starts.

    cosmos-robot bench agreement --env pusht [--checkpoint DIR] [--out DIR]

A row is a policy from a start, played in every world. What the worlds say of the policies is compared over all rows;
the intervals are over starts, drawn with repetition, the same for all policies and in all worlds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.benchmarks.agreement_config import AgreementConfig
from cosmos_robot.benchmarks.agreement_play import play_imagined, play_real
from cosmos_robot.benchmarks.agreement_statistics import mmrv, pearson, spearman
from cosmos_robot.benchmarks.bootstrap_interval import Statistic
from cosmos_robot.benchmarks.control_models import CopyFirstFrame, ShuffledActions
from cosmos_robot.benchmarks.run_config import RunConfig
from cosmos_robot.benchmarks.run_plan import PlannedRow, noise_seed
from cosmos_robot.benchmarks.suite import (
    MODEL,
    Load,
    Measure,
    Measured,
    Pooled,
    Row,
    Scatter,
    Series,
    key_of,
    plain,
    single,
)
from cosmos_robot.domains.domain import Domain
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.envs.options import EnvOptions
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.world_model import WorldModel

REAL = "gym-pusht"
CONTROLS: dict[str, Callable[[WorldModel], WorldModel]] = {
    "copy-first-frame": lambda _: CopyFirstFrame(),
    "shuffled-actions": ShuffledActions,
}
COVERAGE, ERROR = "coverage", "coverage error"

type Ends = tuple[str, float, float]
"""A policy, the coverage that it reached in gym-pusht, and that in a learned world."""


@dataclass(frozen=True)
class AgreementSuite:
    """The coverage at the end of each episode, in each world."""

    needs: tuple[str, ...] = ("gym_pusht",)
    ranking: str = ERROR
    settings: type[Any] | None = AgreementConfig

    def plan(self, config: RunConfig) -> list[PlannedRow]:
        """Every policy from every start."""
        if get_domain(config.domain).name != "pusht":
            raise InvalidInputError(f"agreement is with gym-pusht, of domain pusht; got {config.domain!r}.")
        if config.rows is not None:
            raise InvalidInputError("agreement compares every policy from every start: say how many starts, not rows.")
        own = config.settings(AgreementConfig)
        pairs = [(name, start) for name in own.policies for start in own.start_numbers]
        return [
            PlannedRow(i, None, start, 0, noise_seed(own.policy_seed, start), None, name)
            for i, (name, start) in enumerate(pairs)
        ]

    def begin(self, config: RunConfig, load: Load) -> Measure:
        """Load the world model."""
        learned = load()
        worlds = {MODEL: learned}
        if config.controls:
            worlds |= {name: make(learned) for name, make in CONTROLS.items()}
        return lambda rows: _measure(worlds, rows, config)

    def series(self, rows: Sequence[Row], domain: Domain) -> list[Series]:
        """How far a world's coverage is from gym-pusht's, and the coverage itself."""
        return [
            *single(rows, ERROR, "", higher_is_better=False),
            *single(rows, COVERAGE, "", higher_is_better=True),
        ]

    def pooled(self, rows: Sequence[Row], domain: Domain) -> list[Pooled]:
        """How a world ranks the policies."""
        found = []
        for world in _worlds(rows):
            ends = {key_of(row): _ends(row, world) for row in rows}
            found += [Pooled(name, "", world, up, ends, _over_policies(measure)) for name, up, measure in _MEASURES]
        return found

    def scatters(self, rows: Sequence[Row], domain: Domain) -> list[Scatter]:
        """Each policy's mean coverage, in a learned world against gym-pusht."""
        return [
            Scatter(
                f"policies, {world}", f"mean coverage in {REAL}", f"mean coverage, {world}", np.stack(means, axis=1)
            )
            for world in _worlds(rows)
            for means in [policy_means([_ends(row, world) for row in rows])[1:]]
        ]


def policy_means(ends: Sequence[Ends]) -> tuple[list[str], NDArray[np.float64], NDArray[np.float64]]:
    """The policies, and the mean coverage `[P]` of each in gym-pusht and in a learned world."""
    by_policy: dict[str, list[tuple[float, float]]] = {}
    for name, real, learned in ends:
        by_policy.setdefault(name, []).append((real, learned))
    means = np.array([np.mean(each, axis=0) for each in by_policy.values()], dtype=np.float64).reshape(-1, 2)
    return list(by_policy), means[:, 0], means[:, 1]


def mean_error(*, real: NDArray[np.float64], simulated: NDArray[np.float64]) -> float:
    """Mean absolute difference of the policies' mean coverage."""
    return float(np.abs(real - simulated).mean())


_MEASURES: tuple[tuple[str, bool, Callable[..., float]], ...] = (
    ("Pearson r of the policies", True, pearson),
    ("Spearman of the policies", True, spearman),
    ("MMRV of the policies", False, mmrv),
    ("mean error of the policies", False, mean_error),
)


def _measure(worlds: Mapping[str, WorldModel], rows: Sequence[PlannedRow], config: RunConfig) -> list[Measured]:
    own = config.settings(AgreementConfig)
    real = [play_real(own, row.case, row.episode) for row in rows]
    steps = own.embedded_num_steps if config.checkpoint is None and config.num_steps is None else config.num_steps
    given: EnvOptions = {"num_steps": steps, "guidance": config.guidance, "shift": config.shift}
    learned = {name: play_imagined(own, rows, **(given | {"world_model": world})) for name, world in worlds.items()}
    found = []
    for i, end in enumerate(real):
        coverage = {REAL: end.coverage} | {name: ends[i] for name, ends in learned.items()}
        error = {name: abs(coverage[name] - end.coverage) for name in learned}
        seen = {f"{REAL}, seen": end.seen_coverage}
        found.append(Measured(plain({COVERAGE: coverage | seen, ERROR: error})))
    return found


def _worlds(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row["figures"][ERROR]))


def _ends(row: Row, world: str) -> Ends:
    coverage = row["figures"][COVERAGE]
    return row["case"], coverage[REAL], coverage[world]


def _over_policies(measure: Callable[..., float]) -> Statistic:
    def figure(ends: Sequence[Ends]) -> float | None:
        names, real, simulated = policy_means(ends)
        if len(names) < 2:
            return None
        value = measure(real=real, simulated=simulated)
        return value if np.isfinite(value) else None

    return figure
