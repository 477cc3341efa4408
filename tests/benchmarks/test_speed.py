"""The speed benchmark at a size that a test can run: what it writes, and that it compares like with like."""

import json
from dataclasses import replace

import pytest

from cosmos_robot.benchmarks import speed
from cosmos_robot.benchmarks.random_checkpoint import RandomCheckpoint
from cosmos_robot.benchmarks.speed_cases import Case, ask_engine, ask_pipeline, difference, smaller, with_shift
from cosmos_robot.benchmarks.speed_contenders import BASELINE, RANKING, CompiledBlocks, Contender, contenders
from cosmos_robot.benchmarks.speed_floor import Peaks, Work, work_of
from cosmos_robot.benchmarks.speed_measure import Look, Timed, attention_kernel
from cosmos_robot.engine.engine import Engine


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("speed") / "speed.json"
    speed.main(out=path, tiny=True, threads=1)
    return json.loads(path.read_text())


@pytest.mark.slow
def test_everyone_on_every_case(written):
    cases = {row["case"] for row in written["rows"]}
    assert len(cases) == 4  # three, and the headline's
    names = [row["contender"] for row in written["rows"] if row["case"] == written["rows"][0]["case"]]
    assert names == [BASELINE, "engine, plain", "engine"]
    for row in written["rows"]:
        assert row["chunk_s"] > 0
        assert 0 < row["floor_share"] < 2
        assert row["ratio_low"] <= row["ratio"] <= row["ratio_high"]
    assert all(row["ratio"] == 1.0 for row in written["rows"] if row["contender"] == BASELINE)
    assert not written["not_measured"]


@pytest.mark.slow
def test_the_answers_are_the_same(written):
    """Who is quicker says nothing where the answers differ: within a level of 255, within 1e-3 of actions."""
    assert len(written["differences"]) == 4
    for name, value in written["differences"].items():
        assert value <= (1e-3 if name.startswith("inverse") else 1), name


def test_the_comparison_of_answers_can_fail():
    pipeline = with_shift(RandomCheckpoint().pipeline())
    pipeline.set_progress_bar_config(disable=True)
    case = smaller(speed.ON_CUDA[0])
    ours = ask_engine(Engine.from_pipeline(pipeline), case, 3)
    assert difference(case, ours, ask_pipeline(pipeline, case, 2, items=1)) > 1


@pytest.mark.slow
def test_headline_is_robot_time(written):
    [line] = written["headline"]
    row = next(row for row in reversed(written["rows"]) if row["contender"] != BASELINE)
    case = smaller(speed.HEADLINE[0])
    assert case.seconds == 4 / 5.0  # four actions at bridge's 5 a second
    assert line["factor"] == pytest.approx(case.seconds / row["chunk_s"])


def test_time_runs_out(tmp_path):
    path = tmp_path / "speed.json"
    speed.main(out=path, tiny=True, threads=1, minutes=0.0)
    assert json.loads(path.read_text())["rows"] == []
    assert len(json.loads(path.read_text())["not_measured"]) == 4


def test_the_cases_that_were_asked_for():
    asked = {(case.mode, case.height, case.batch) for case in speed.ON_CUDA}
    for batch in (1, 4, 8, 16):
        assert ("forward_dynamics", 256, batch) in asked
        assert ("forward_dynamics", 480, batch) in asked
    assert {"policy", "inverse_dynamics", "text2video"} <= {mode for mode, _, _ in asked}
    assert [case.domain for case in speed.HEADLINE] == ["bridge_orig_lerobot", "droid_lerobot", "umi", "av"]


def test_work_of_nano():
    """Published counts: 4.76 TFLOP a step at 256x256 with 125 prompt tokens, 13.9 GB of weights."""
    work = work_of(Case("forward_dynamics", "bridge_orig_lerobot", 256, 256, 256, 16, 30), speed.NANO, 2)
    assert work.step == pytest.approx(4.76e12, rel=0.01)
    assert work.weights == pytest.approx(13.9e9, rel=0.01)
    assert work.autoencoder == pytest.approx(20.0e12, rel=0.02)


def test_floor_is_the_greater_of_work_and_traffic():
    peaks = Peaks(matmul=100.0, float8=None, attention=50.0, bandwidth=10.0)
    assert Work(step=300.0, weights=20.0, autoencoder=0.0).step_floor(peaks) == 3.0
    assert Work(step=300.0, weights=50.0, autoencoder=200.0).chunk_floor(peaks, 4) == 4 * 5.0 + 2.0


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["aten::mm", "aten::_scaled_dot_product_flash_attention", "pytorch_flash::flash_fwd_kernel"], "pytorch_flash"),
        (["aten::mm", "aten::_scaled_dot_product_flash_attention_for_cpu"], "aten::_scaled"),
        (["fmha_cutlassF_bf16_aligned", "aten::scaled_dot_product_attention"], "fmha_cutlassF"),
        (["aten::mm"], "none found"),
    ],
)
def test_attention_kernel(names, expected):
    assert attention_kernel(names).startswith(expected)


def test_each_step_is_added_to_the_last():
    """On a CPU without graphs and compiled regions, which are CUDA's."""
    everyone = contenders(RandomCheckpoint().pipeline())
    assert [one.name for one in everyone[:2]] == [BASELINE, "engine, plain"]
    assert len(everyone) == 2 + len(RANKING) - 2
    assert everyone[-1].name == "engine, + overlapped copies"


def test_ratios_are_of_the_same_round():
    """Five and three times as quick in the two rounds, whatever the machine did between them."""
    case = Case("policy", "bridge_orig_lerobot", 64, 64, 256, 4, num_steps=10, batch=2)
    times = {BASELINE: [(1.0, 2.0), (10.0, 18.0)], "engine": [(0.2, 0.8), (2.0, 12.0)]}
    timed = Timed(case, times, (2, 10))
    row = timed.row(Contender("engine", lambda case, steps: []), Look("none", None, None, None), floor=0.08)
    assert (row.ratio, row.ratio_low, row.ratio_high) == (4.0, 3.0, 5.0)
    assert row.chunk_s == pytest.approx(6.4)
    assert row.floor_share == pytest.approx(0.0125)
    assert row.step_ms == pytest.approx(1e3 * (0.6 + 10.0) / 8 / 2)
    restless = replace(timed, times=times | {"engine": [(0.2, 0.8), (2.0, 1.9)]})
    assert (
        restless.row(Contender("engine", lambda case, steps: []), Look("none", None, None, None), 0.08).step_ms is None
    )
    longer = Timed(replace(case, num_steps=18), {BASELINE: [(1.0, 2.0)]}, (2, 10))
    assert longer.chunks(BASELINE, 2) == [6.0]


def test_compiled_blocks_can_be_switched():
    transformer = RandomCheckpoint().transformer()
    blocks = CompiledBlocks(transformer)
    blocks.on()
    assert all(layer._compiled_call_impl is not None for layer in transformer.layers)
    blocks.off()
    assert all(layer._compiled_call_impl is None for layer in transformer.layers)
    blocks.on()
    assert all(layer._compiled_call_impl is not None for layer in transformer.layers)
