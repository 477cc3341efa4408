"""A GPU that is not there: contenders of the speed benchmark that take the time it would take, on a clock of their own.

The rates are those that shared notes expect of an H200 (bfloat16, Nano): launching takes 43 ms of a step of diffusers,
its products reach some 60 of 100 of the peak, the autoencoder 350 TFLOP/s.
"""

from contextlib import contextmanager
from dataclasses import dataclass, field

from cosmos_robot.benchmarks import speed
from cosmos_robot.benchmarks.speed_clock import Clock, TimeIsUpError
from cosmos_robot.benchmarks.speed_contenders import BASELINE, COMPILED, ENGINE, PLAIN, RANKING, Contender
from cosmos_robot.benchmarks.speed_floor import Peaks, work_of
from cosmos_robot.benchmarks.speed_plan import FP8

H200 = Peaks(matmul=790e12, float8=1580e12, attention=600e12, bandwidth=4.3e12)
UNDERSTANDING = 1.74e12
"""FLOPs of the prompt, which diffusers computes at every step."""

STEPS = [f"engine, + {name.replace('_', ' ')}" for name in list(RANKING)[:-1]]
LADDER = [PLAIN, *STEPS, ENGINE]
"""The engine from plain to whole."""

_WORKS = {}


def nano_work(case):
    """A case's work on Nano's form, counted once."""
    if case.single not in _WORKS:
        _WORKS[case.single] = work_of(case.single, speed.NANO, 2)
    return _WORKS[case.single].of(case.batch)


class SteppedClock(Clock):
    """Goes on when it is told to, and keeps its limits."""

    def __init__(self):
        self.time, self._limit = 0.0, float("inf")

    def now(self):
        return self.time

    @contextmanager
    def at_most(self, seconds):
        if seconds <= 0:
            raise TimeIsUpError
        self._limit = self.time + seconds
        try:
            yield
        finally:
            self._limit = float("inf")

    def spend(self, seconds):
        """Let time pass, up to the limit."""
        if self.time + seconds > self._limit:
            self.time = self._limit
            raise TimeIsUpError
        self.time += seconds


@dataclass(eq=False)
class Machine:
    """What everything takes.

    Attributes:
        clock: that the time is spent on.
        compile_s: seconds to compile for each of the first two shapes; a third finds it compiled for any.
        speed: of the device beside an H200.
    """

    clock: SteppedClock = field(default_factory=SteppedClock)
    compile_s: float = 40.0
    speed: float = 1.0
    _compiled: dict = field(default_factory=dict)

    def contenders(self):
        """Everyone, by name."""
        names = [BASELINE, COMPILED, *LADDER, FP8]
        return {
            name: Contender(
                name,
                lambda case, steps, name=name: self.answer(name, case, steps),
                one_by_one=name in (BASELINE, COMPILED),
                warm_ups=1 if name in (BASELINE, PLAIN) else 3,
                compiles=self._compiles(name),
                kin=ENGINE if name in LADDER[4:] else "",
                float8=name == FP8,
                adds="something" if name in LADDER else "",
            )
            for name in names
        }

    def answer(self, name, case, steps):
        """Spend what an answer takes."""
        theirs = name in (BASELINE, COMPILED)
        work = nano_work(case.single if theirs else case)
        launching, share = {
            BASELINE: (0.043, 0.62),
            COMPILED: (0.030, 0.70),
            PLAIN: (0.025, 0.65),
            FP8: (0.009, 1.1),
        }.get(name, (0.010, 0.78))
        flops = work.step + (UNDERSTANDING if theirs else 0)
        step = max(launching, flops / (share * H200.matmul * self.speed))
        shapes = self._compiled.setdefault(ENGINE if name in LADDER[4:] else name, set())
        if self._compiles(name) and case.name not in shapes:
            shapes.add(case.name)
            self.clock.spend(self.compile_s if len(shapes) <= 2 else 2.0)
        self.clock.spend(0.1 + steps * step + work.autoencoder / (350e12 * self.speed))
        return []

    @staticmethod
    def _compiles(name):
        return name in (COMPILED, FP8) or name in LADDER[4:]
