"""One run of the speed benchmark: comparisons in their order, as long as there is time for the next."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from cosmos_robot.benchmarks.speed_cases import Case, difference
from cosmos_robot.benchmarks.speed_clock import TimeIsUpError
from cosmos_robot.benchmarks.speed_contenders import BASELINE, ENGINE, Contender
from cosmos_robot.benchmarks.speed_cost import Costs
from cosmos_robot.benchmarks.speed_floor import Work
from cosmos_robot.benchmarks.speed_measure import FAILURES, Bench, Row
from cosmos_robot.benchmarks.speed_plan import Comparison, steps_apart


@dataclass(eq=False)
class SpeedRun:
    """What was measured so far, and what was not, and why.

    Attributes:
        everyone: the contenders, by name.
        exact: names of those who answer exactly, in their order.
        work_of: counts a case's work.
        bench: that measures.
        costs: that foretells.
        rows: with the part of the plan that each belongs to.
        left_out: comparisons and contenders without a figure.
        differences: of the whole engine's answer from diffusers', by case.
    """

    everyone: dict[str, Contender]
    exact: tuple[str, ...]
    work_of: Callable[[Case], Work]
    bench: Bench
    costs: Costs
    rows: list[tuple[str, Row]] = field(default_factory=list)
    left_out: list[dict[str, str]] = field(default_factory=list)
    differences: dict[str, float] = field(default_factory=dict)
    _given_up: set[str] = field(default_factory=set)

    def add(self, comparison: Comparison) -> None:
        """Measure a comparison, if what it is foretold to take is left."""
        case = comparison.case
        names = [name for name in comparison.who or self.exact if name not in self._given_up]
        everyone = [self.everyone[name] for name in names if name in self.everyone]
        steps = steps_apart(case, cuda=self.bench.device.type == "cuda")
        seen, left = self.bench.seen(case), self.bench.left
        needed = self.costs.comparison(everyone, case, steps, rounds=1, seen=seen)
        if needed > left:
            self._leave_out(comparison, ", ".join(names), f"would take {needed:.0f} s of {max(left, 0):.0f} s")
            return
        found = self.bench.measure(case, everyone, self.work_of(case), steps=steps)
        self.rows += [(comparison.part, row) for row in found.rows]
        for name, why in found.left_out.items():
            self._leave_out(comparison, name, why)
            self._given_up |= {name} - {ENGINE, BASELINE}
        self._compare_answers(case, everyone)
        for one in everyone:
            one.forget()

    def _leave_out(self, comparison: Comparison, who: str, why: str) -> None:
        self.left_out.append({"part": comparison.part, "case": comparison.case.name, "who": who, "why": why})

    def _compare_answers(self, case: Case, everyone: Sequence[Contender]) -> None:
        """Tell how far the whole engine's answer of one item is from diffusers', once for a kind of case."""
        single = case.single
        asked = {one.name: one for one in everyone if one.name in (ENGINE, BASELINE)}
        if len(asked) < 2 or single.name in self.differences:
            return
        try:
            with self.bench.clock.at_most(self.bench.left):
                asked[BASELINE].ready()
                answers = [asked[name].ask(single, 2) for name in (ENGINE, BASELINE)]
                self.differences[single.name] = difference(single, answers[0], answers[1])
        except (TimeIsUpError, *FAILURES) as error:
            why = type(error).__name__ if isinstance(error, Exception) else "time was up"
            self.left_out.append({"part": "differences", "case": single.name, "who": ENGINE, "why": why})

    def result(self) -> dict[str, Any]:
        """Everything that was measured, and what was not."""
        return {
            "rows": [{"part": part, **asdict(row)} for part, row in self.rows],
            "differences": self.differences,
            "not_measured": self.left_out,
            "ranking": {name: self.everyone[name].adds for name in self.exact if self.everyone[name].adds},
        }
