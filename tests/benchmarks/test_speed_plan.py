"""The speed benchmark's time: on a GPU that is not there, by the rates that an H200 is expected to reach."""

import signal
import time

import pytest
import torch
from speed_machine import H200, LADDER, Machine, nano_work

from cosmos_robot.benchmarks import speed_measure, speed_run
from cosmos_robot.benchmarks.speed_cases import Case
from cosmos_robot.benchmarks.speed_clock import Clock, TimeIsUpError
from cosmos_robot.benchmarks.speed_contenders import BASELINE, COMPILED, ENGINE, Contender
from cosmos_robot.benchmarks.speed_cost import COMPILING_S, Costs
from cosmos_robot.benchmarks.speed_floor import Work
from cosmos_robot.benchmarks.speed_measure import Bench, Look
from cosmos_robot.benchmarks.speed_plan import FP8, HEADLINE, LARGE, SMALL, plan_on_cuda, steps_apart
from cosmos_robot.benchmarks.speed_run import SpeedRun
from cosmos_robot.benchmarks.speed_targets import headline, reached
from cosmos_robot.errors import MissingDependencyError

LOADING_S = 45.0
"""Until weights and peaks are there."""

NINE_MINUTES = 9 * 60.0


def nothing(*arguments, **options):
    return 0


@pytest.fixture
def ran(monkeypatch):
    """Let a machine run the whole plan; what is a real device's is left out."""
    for name in ("memory_allocated", "max_memory_allocated", "reset_peak_memory_stats", "synchronize"):
        monkeypatch.setattr(torch.cuda, name, nothing)
    monkeypatch.setattr(speed_run, "difference", nothing)

    def run(machine, everyone=None, minutes=8.5):
        def looked(ask, device, peak):
            for count in speed_measure.LOOKS:
                ask(count)
            machine.clock.spend(4.0)
            return Look("flash", 1.0, 1.0, peak)

        monkeypatch.setattr(speed_measure, "look", looked)
        costs = Costs(H200, nano_work, cuda=True)
        end = 60 * minutes
        bench = Bench(H200, torch.device("cuda"), rounds=3, costs=costs, clock=machine.clock, end=end)
        names = (BASELINE, COMPILED, *LADDER)
        made = SpeedRun(everyone or machine.contenders(), names, nano_work, bench, costs)
        machine.clock.spend(LOADING_S)
        for comparison in plan_on_cuda():
            made.add(comparison)
        return made

    return run


def accounted(run):
    """Every figure that the plan asks for is there, or it is said why not."""
    rows = {(part, row.case, row.contender) for part, row in run.rows}
    left = [(line["part"], line["case"], who) for line in run.left_out for who in line["who"].split(", ")]
    given_up = run._given_up
    for comparison in plan_on_cuda():
        for name in comparison.who or run.exact:
            key = comparison.part, comparison.case.name, name
            told = key in rows or any(left_key[:2] == key[:2] for left_key in left) or name in given_up
            assert told, key
    assert all(line["why"] for line in run.left_out)


@pytest.mark.parametrize("compile_s", [20.0, 40.0])
def test_an_h200_gives_the_headline_and_the_targets_in_under_nine_minutes(compile_s, ran):
    """Steps one by one and the rest as compilation leaves time for them."""
    machine = Machine(compile_s=compile_s)
    run = ran(machine)
    assert machine.clock.now() < NINE_MINUTES
    rows = [row for _, row in run.rows]
    assert all(line["factor"] is not None for line in headline(rows))
    assert {line["domain"] for line in headline(rows)} == {case.domain for case in HEADLINE}
    assert all(line["measured"] is not None for line in reached(rows))
    assert all(row.rounds >= 2 for part, row in run.rows if part in ("headline", "targets"))
    ladder = [row.contender for part, row in run.rows if part == "steps" and row.case == SMALL[0].name]
    assert ladder == ([BASELINE, COMPILED, *LADDER] if compile_s < 40 else [])
    accounted(run)


@pytest.mark.parametrize(("compile_s", "speed"), [(100.0, 1.0), (200.0, 1.0), (600.0, 1.0), (40.0, 0.15), (5.0, 0.03)])
def test_slow_compilation_and_slow_devices_end_in_time_too(compile_s, speed, ran):
    machine = Machine(compile_s=compile_s, speed=speed)
    run = ran(machine)
    assert machine.clock.now() <= 8.5 * 60
    accounted(run)
    if compile_s <= 100:
        assert any(line["factor"] is not None for line in headline([row for _, row in run.rows]))


def test_whoever_compiles_too_long_is_given_up_once_and_for_all(ran):
    """The others are measured without it, and it is not asked again."""
    machine, asked = Machine(), []
    everyone = machine.contenders()

    def endless(case, steps):
        asked.append(case.name)
        machine.clock.spend(10_000.0)

    everyone[COMPILED] = Contender(COMPILED, endless, one_by_one=True, compiles=True)
    run = ran(machine, everyone)
    assert asked == [SMALL[2].name]
    [line] = [line for line in run.left_out if line["who"] == COMPILED]
    assert "was not ready within" in line["why"]
    assert any(row.contender == ENGINE and row.case == SMALL[2].name for _, row in run.rows)
    assert machine.clock.now() < NINE_MINUTES


def test_a_package_that_is_missing_ends_one_contender_not_the_run(ran):
    machine = Machine()
    everyone = machine.contenders()

    def absent():
        raise MissingDependencyError("the preset 'fp8' needs torchao.")

    everyone[FP8] = Contender(FP8, everyone[FP8].ask, ready=absent, compiles=True, float8=True)
    run = ran(machine, everyone)
    assert "MissingDependencyError: the preset 'fp8' needs torchao." in [line["why"] for line in run.left_out]
    assert all(line["factor"] is not None for line in headline([row for _, row in run.rows]) if line["who"] == ENGINE)


def test_no_time_at_all(ran):
    run = ran(Machine(), minutes=0.5)
    assert not run.rows
    assert len(run.left_out) == len(plan_on_cuda())
    assert "of 0 s" in run.left_out[0]["why"]


def test_what_is_foretold_follows_what_was_measured():
    """From the floor and a guess before anything was measured; then at the contender's own pace, at least a launch."""
    costs = Costs(H200, nano_work, cuda=True)
    machine = Machine()
    one = machine.contenders()[ENGINE]
    before = costs.comparison([one], LARGE[0], (2, 10), rounds=3)
    assert before > COMPILING_S
    floor = nano_work(LARGE[0]).step_floor(H200)
    costs.learn(one, LARGE[0], step_s=1.25 * floor, rest_s=0.3, ready_s=2.0, look_s=1.0)
    assert costs.comparison([one], LARGE[0], (2, 10), rounds=3) < before / 3
    assert costs.answer(one, LARGE[2], 30) == pytest.approx(30 * 8 * 1.25 * floor + 8 * 0.3, rel=0.02)
    assert costs.answer(one, SMALL[0], 30) > 30 * 1.25 * floor  # no step was ever seen to be quicker
    theirs = machine.contenders()[BASELINE]
    assert costs.answer(theirs, LARGE[2], 30) == costs.answer(theirs, LARGE[0], 30)  # it takes one item a call


def test_steps_apart():
    assert steps_apart(LARGE[0], cuda=True) == (2, 10)
    assert steps_apart(Case("policy", "pusht", 96, 96, 256, 16, 4), cuda=False) == (4, 12)


def test_the_clock_interrupts_what_looks_at_no_clock():
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(TimeIsUpError), Clock().at_most(0.05):
        time.sleep(60)
    with pytest.raises(TimeIsUpError), Clock().at_most(0.0):
        pytest.fail("there was no time")
    with Clock().at_most(60.0):
        pass
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_rounds_that_are_not_whole_do_not_count():
    """One is interrupted in its third round: two are left, of everyone."""
    machine = Machine()
    clock, case = machine.clock, Case("policy", "pusht", 96, 96, 256, 16, 4)
    everyone = [Contender(name, lambda case, steps: clock.spend(float(steps))) for name in (BASELINE, ENGINE)]
    bench = Bench(H200, torch.device("cpu"), rounds=5, clock=clock, end=2 * (4 + 1) + 2 * 32 + 31.0)
    measured = bench.measure(case, everyone, Work(1.0, 1.0, 1.0), steps=(4, 12))
    assert [row.rounds for row in measured.rows] == [2, 2]
    assert measured.rows[0].step_ms == pytest.approx(1000.0)


def test_answers_can_be_timed_by_another_measure_than_the_clock():
    """On a machine with other work the clock goes on while nothing is done here."""
    clock, own = Machine().clock, [0.0]
    case = Case("policy", "pusht", 96, 96, 256, 16, 4)

    def ask(case, steps):
        clock.spend(100.0)
        own[0] += steps / 8
        return []

    bench = Bench(H200, torch.device("cpu"), rounds=3, clock=clock, now=lambda: own[0], end=900.0)
    [row] = bench.measure(case, [Contender(ENGINE, ask)], Work(1.0, 1.0, 1.0), steps=(4, 12)).rows
    assert (row.chunk_s, row.step_ms, row.rounds) == (0.5, 125.0, 3)


def test_what_the_first_answer_after_another_contender_pays_is_no_steps():
    clock, last = Machine().clock, []
    case = Case("policy", "pusht", 96, 96, 256, 16, 4)

    def ask(name, steps):
        clock.spend(1.0 + steps / 8 + (0.4 if last[-1:] != [name] else 0.0))
        last.append(name)
        return []

    everyone = [Contender(name, lambda case, steps, name=name: ask(name, steps)) for name in (BASELINE, ENGINE)]
    bench = Bench(H200, torch.device("cpu"), rounds=2, clock=clock, end=900.0)
    rows = bench.measure(case, everyone, Work(1.0, 1.0, 1.0), steps=(4, 12)).rows
    assert [row.step_ms for row in rows] == [pytest.approx(125.0)] * 2
