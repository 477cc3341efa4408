"""What a measurement will take, foretold: from a case's counted work, and from what everyone's own pace has been."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from cosmos_robot.benchmarks.speed_cases import Case
from cosmos_robot.benchmarks.speed_contenders import Contender
from cosmos_robot.benchmarks.speed_floor import Peaks, Work

SLOWNESS = 4.0
"""Times the floor: the pace of a contender that has not been measured, and the worst that is foretold of any."""

WORST_REST = 10.0
"""Times the floor: the most that is foretold of encoding and decoding; what is more is the host's and does not grow."""

LAUNCHING_S = 0.06
"""Seconds of a step of thousands of small kernels on CUDA, however little they compute; nothing on a CPU."""

COMPILING_S, READYING_S, LOOKING_S = 45.0, 3.0, 4.0
"""Seconds, on CUDA, beyond the answers themselves: to compile for a case, to load and choose kernels, to profile."""

SLACK = 1.2
"""What is foretold beyond what the figures say."""


@dataclass(frozen=True)
class Pace:
    """How a contender has been seen to compute.

    Attributes:
        step_slowness: seconds of a step / the step's floor, the best so far: the more work, the nearer to the floor.
        rest_slowness: likewise of everything but the steps, the last.
        launching_s: seconds of the quickest step so far: what launching takes.
        ready_s: seconds beyond the answers themselves until it was ready for its last case.
        look_s: likewise of its last profile.
    """

    step_slowness: float
    rest_slowness: float
    launching_s: float
    ready_s: float
    look_s: float


class Costs:
    """Foretells seconds of answers and of whole comparisons.

    Args:
        peaks: of the device.
        work_of: counts a case's work.
        cuda: whether there are launches and compilation to wait for.
    """

    def __init__(self, peaks: Peaks, work_of: Callable[[Case], Work], *, cuda: bool) -> None:
        self._peaks, self._work_of, self._cuda = peaks, work_of, cuda
        self._paces: dict[str, Pace] = {}

    def answer(self, one: Contender, case: Case, num_steps: int) -> float:
        """Seconds of one answer with so many denoising steps."""
        work, pace = self._work_of(one.asked(case)), self._pace(one)
        step = max(pace.launching_s, pace.step_slowness * work.step_floor(self._peaks, float8=one.float8))
        return num_steps * step + pace.rest_slowness * work.rest_floor(self._peaks)

    def readying(self, one: Contender, case: Case, steps: tuple[int, int], *, seen: bool) -> float:
        """Seconds until it can be timed; one that was seen at this case before is not looked at again."""
        warm = self._pace(one).ready_s + one.warm_ups * self.answer(one, case, steps[0])
        if seen:
            return warm
        looks = LOOKS if self._cuda else LOOKS[:1]
        return warm + self._pace(one).look_s + sum(self.answer(one, case, count) for count in looks)

    def round(self, everyone: list[Contender], case: Case, steps: tuple[int, int]) -> float:
        """Seconds of a round of everyone."""
        return sum(self.answer(one, case, count) for one in everyone for count in steps)

    def comparison(
        self, everyone: list[Contender], case: Case, steps: tuple[int, int], rounds: int, seen: Collection[str] = ()
    ) -> float:
        """Seconds of everything that a comparison takes; `seen` are names of those who were looked at before."""
        ready = sum(self.readying(one, case, steps, seen=one.name in seen) for one in everyone)
        return SLACK * (ready + rounds * self.round(everyone, case, steps))

    def learn(
        self, one: Contender, case: Case, *, step_s: float | None, rest_s: float, ready_s: float, look_s: float | None
    ) -> None:
        """Take over what was measured.

        Args:
            one: who was.
            case: of what.
            step_s: seconds of a step of an answer; None where they did not stand out.
            rest_s: seconds of an answer without its steps.
            ready_s: seconds until it was ready, beyond those of the answers that warmed it up.
            look_s: likewise of its profiles; None where there was none.
        """
        work, before = self._work_of(one.asked(case)), self._pace(one)
        known = one.name in self._paces
        floor, rest_floor = work.step_floor(self._peaks, float8=one.float8), work.rest_floor(self._peaks)
        paces = [before.step_slowness] if step_s is None else [before.step_slowness, step_s / floor]
        launches = [before.launching_s] if known else []
        launches += [step_s] if step_s is not None and self._cuda else []
        self._paces[one.name] = Pace(
            step_slowness=min(paces),
            rest_slowness=min(max(rest_s, 0.0) / rest_floor, WORST_REST) if rest_floor else before.rest_slowness,
            launching_s=min(launches, default=before.launching_s),
            ready_s=max(ready_s, 0.0),
            look_s=before.look_s if look_s is None else max(look_s, 0.0),
        )

    def _pace(self, one: Contender) -> Pace:
        """Its own pace, that of one which computes alike, or a guess."""
        if not self._cuda:
            first = Pace(SLOWNESS, SLOWNESS, 0.0, 0.0, 0.0)
        else:
            first = Pace(SLOWNESS, SLOWNESS, LAUNCHING_S, COMPILING_S if one.compiles else READYING_S, LOOKING_S)
        return self._paces.get(one.name, self._paces.get(one.kin, first))


LOOKS = (1, 3)
"""Denoising steps of the two answers that are profiled: their difference is two steps and nothing else."""
