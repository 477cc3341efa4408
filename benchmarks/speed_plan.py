"""What the speed benchmark compares, in the order of its worth: time may run out."""

from dataclasses import dataclass, replace
from typing import Literal

from cosmos_robot.benchmarks.speed_cases import Case, smaller
from cosmos_robot.benchmarks.speed_contenders import BASELINE, COMPILED, ENGINE, PLAIN

BRIDGE, STEPS = "bridge_orig_lerobot", 30
FP8 = "preset fp8"
"""The contender of the preset that targets are set for."""

HEADLINE = [
    Case("forward_dynamics", "bridge_orig_lerobot", 480, 640, 480, 16, STEPS),
    Case("forward_dynamics", "umi", 256, 256, 256, 16, STEPS),
    Case("forward_dynamics", "droid_lerobot", 540, 640, 480, 16, STEPS),
    Case("forward_dynamics", "av", 480, 832, 480, 60, STEPS),
]
"""One robot each, at its own canvas, frames a second and chunk."""

SMALL, LARGE = (
    [Case("forward_dynamics", BRIDGE, height, width, tier, 16, STEPS, batch) for batch in (1, 4, 8, 16)]
    for height, width, tier in ((256, 256, 256), (480, 640, 480))
)
INVERSE = Case("inverse_dynamics", "av", 480, 832, 480, 60, STEPS)
POLICY = Case("policy", BRIDGE, 480, 640, 480, 16, STEPS)
VIDEO = Case("text2video", BRIDGE, 480, 832, 480, 8, 35)

ON_CUDA = [SMALL[0], SMALL[2], LARGE[0], LARGE[2], POLICY, INVERSE, VIDEO, SMALL[1], SMALL[3], LARGE[1], LARGE[3]]

ON_A_CPU = [
    Case(mode, "pusht", 96, 96, 256, 16, 4, batch)
    for mode in ("forward_dynamics", "policy", "inverse_dynamics")
    for batch in (1, 16)
]


@dataclass(frozen=True)
class Comparison:
    """A case, and who answers it.

    Attributes:
        part: what it is for: the headline, the targets, the exact steps one by one, or the rest.
        case: what is asked.
        who: names of contenders; None is everyone who answers exactly.
    """

    part: Literal["headline", "targets", "steps", "rest"]
    case: Case
    who: tuple[str, ...] | None


def plan_on_cuda() -> list[Comparison]:
    """The headline and the targets first, with those alone who are needed for them; then the steps, then the rest."""
    both, strongest = (BASELINE, ENGINE), (BASELINE, COMPILED, ENGINE)
    plan = [Comparison("headline", case, both) for case in HEADLINE]
    plan += [
        Comparison("targets", SMALL[2], strongest),
        Comparison("targets", LARGE[0], (ENGINE, FP8)),
        Comparison("targets", HEADLINE[2], (ENGINE, FP8)),
        Comparison("targets", INVERSE, both),
    ]
    plan += [Comparison("steps", case, None) for case in (SMALL[0], LARGE[0])]
    rest = [POLICY, VIDEO, LARGE[2], SMALL[1], SMALL[3], LARGE[1], LARGE[3]]
    plan += [Comparison("rest", case, strongest) for case in rest]
    return plan + [Comparison("steps", case, None) for case in (SMALL[2], INVERSE, POLICY, VIDEO)]


def plan_on_a_cpu(batches: list[int] | None) -> list[Comparison]:
    """Forward dynamics of one item with each exact step, of a batch without and with all, the other modes with all."""
    cases = [case for case in ON_A_CPU if batches is None or case.batch in batches]
    first = {"forward_dynamics": (BASELINE, PLAIN, ENGINE)}
    return [
        Comparison("steps", case, None)
        if case == ON_A_CPU[0]
        else Comparison("rest", case, first.get(case.mode, (BASELINE, ENGINE)))
        for case in cases
    ]


def tiny_plan() -> list[Comparison]:
    """Some of it on frames so small that a test can run it."""
    robot, video, headline = (smaller(case) for case in (SMALL[0], VIDEO, HEADLINE[0]))
    cases = [replace(robot, batch=2), replace(robot, mode="inverse_dynamics"), video]
    return [
        Comparison("headline", headline, (BASELINE, ENGINE)),
        *(Comparison("rest", case, None) for case in cases),
    ]


def steps_apart(case: Case, *, cuda: bool) -> tuple[int, int]:
    """Denoising steps of the two answers whose difference gives the time of a step.

    On CUDA as few as tell a step's time, which the whole answer is then reckoned from. On a CPU, whose unrest is great
    beside a step, the whole answer and one that is three times as long.
    """
    if cuda:
        few = max(1, min(2, case.num_steps - 1))
        return few, max(few + 1, min(10, case.num_steps))
    return case.num_steps, 3 * case.num_steps
