"""The speed benchmark at a size that a test can run: what it writes, and that it compares like with like."""

import copy
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch._C._autograd import DeviceType

from cosmos_robot.benchmarks import speed
from cosmos_robot.benchmarks.random_checkpoint import RandomCheckpoint
from cosmos_robot.benchmarks.speed_cases import Case, ask_engine, ask_pipeline, difference, smaller, with_shift
from cosmos_robot.benchmarks.speed_contenders import (
    BASELINE,
    ENGINE,
    PLAIN,
    RANKING,
    CompiledBlocks,
    Contender,
    contenders,
    with_preset,
)
from cosmos_robot.benchmarks.speed_floor import Peaks, Work, work_of
from cosmos_robot.benchmarks.speed_measure import (
    Look,
    Row,
    Timed,
    attention_kernel,
    busy_us,
    launching_us,
    look,
)
from cosmos_robot.benchmarks.speed_plan import HEADLINE, INVERSE, LARGE, SMALL, plan_on_cuda, tiny_plan
from cosmos_robot.benchmarks.speed_targets import TARGETS, headline, reached
from cosmos_robot.engine.engine import Engine


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("speed") / "speed.json"
    speed.main(out=path, tiny=True, threads=1)
    return json.loads(path.read_text())


@pytest.mark.slow
def test_everyone_on_every_case(written):
    cases = {row["case"] for row in written["rows"]}
    assert cases == {comparison.case.name for comparison in tiny_plan()}
    names = [row["contender"] for row in written["rows"] if row["case"] == written["rows"][-1]["case"]]
    assert names == [BASELINE, PLAIN, ENGINE]
    for row in written["rows"]:
        assert row["chunk_s"] > 0
        assert row["floor_share"] > 0
        assert row["ratio_low"] <= row["ratio"] <= row["ratio_high"]
        assert row["attention"].startswith("aten::_scaled_dot_product")
    assert all(row["ratio"] == 1.0 for row in written["rows"] if row["contender"] == BASELINE)
    assert written["ranking"][ENGINE] == "all exact steps"
    assert not written["not_measured"]


@pytest.mark.slow
def test_the_answers_are_the_same(written):
    """Who is quicker says nothing where the answers differ: within a level of 255, within 1e-3 of actions."""
    assert set(written["differences"]) == {comparison.case.single.name for comparison in tiny_plan()}
    for name, value in written["differences"].items():
        assert value <= (1e-3 if name.startswith("inverse") else 1), name


def test_the_comparison_of_answers_can_fail():
    pipeline = with_shift(RandomCheckpoint().pipeline())
    pipeline.set_progress_bar_config(disable=True)
    case = smaller(SMALL[0])
    ours = ask_engine(Engine.from_pipeline(pipeline), case, 3)
    assert difference(case, ours, ask_pipeline(pipeline, case, 2, items=1)) > 1


def timed_row(case, contender, chunk_s, floor_share=0.5):
    return Row(case.name, contender, 1.0, chunk_s, floor_share, None, None, None, 3, "flash", None, None, None, 1)


def test_headline_is_robot_time():
    """Sixteen actions at bridge's 5 a second, in 1.6 seconds; eight bits count for droid alone."""
    assert HEADLINE[0].seconds == 16 / 5.0
    rows = [timed_row(case, who, 1.6) for case in HEADLINE for who in (BASELINE, ENGINE, "preset fp8")]
    told = {(line["domain"], line["who"]): line["factor"] for line in headline(rows)}
    assert told["bridge_orig_lerobot", ENGINE] == pytest.approx(2.0)
    assert told["av", ENGINE] == pytest.approx(6.0 / 1.6)
    assert [domain for domain, who in told if who == "preset fp8"] == ["droid_lerobot"]
    assert headline([])[0]["factor"] is None


def test_targets_are_judged_by_what_was_measured():
    rows = [timed_row(SMALL[2], BASELINE, 8.0), timed_row(SMALL[2], ENGINE, 2.0), timed_row(LARGE[0], ENGINE, 1.5)]
    told = {line["target"]: (line["measured"], line["reached"]) for line in reached(rows)}
    assert told["256x256 batch 8, seconds a chunk and environment"] == (0.25, True)
    assert told["256x256 batch 8, times as quick as diffusers"] == (4.0, True)
    assert told["256x256 batch 8, times as quick as diffusers compiled"] == (None, None)
    assert told["480x640 batch 1, seconds a chunk"] == (1.5, False)
    assert reached(rows)[0]["floor"] == pytest.approx(0.125)
    planned = {(comparison.case.name, who) for comparison in plan_on_cuda() for who in comparison.who or (ENGINE,)}
    for target in TARGETS:
        for who in (*target.who, *([target.beside] if target.beside else [])):
            assert (target.case.name, who) in planned, target.name


def test_time_runs_out(tmp_path):
    path = tmp_path / "speed.json"
    speed.main(out=path, tiny=True, threads=1, minutes=0.0)
    told = json.loads(path.read_text())
    assert told["rows"] == []
    assert [line["case"] for line in told["not_measured"]] == [each.case.name for each in tiny_plan()]


def test_the_cases_that_were_asked_for():
    asked = {(each.case.mode, each.case.height, each.case.batch) for each in plan_on_cuda()}
    for batch in (1, 4, 8, 16):
        assert ("forward_dynamics", 256, batch) in asked
        assert ("forward_dynamics", 480, batch) in asked
    assert {"policy", "inverse_dynamics", "text2video"} <= {mode for mode, _, _ in asked}
    assert {case.domain for case in HEADLINE} == {"bridge_orig_lerobot", "droid_lerobot", "umi", "av"}
    assert [each.case for each in plan_on_cuda()[:4]] == HEADLINE
    assert INVERSE.chunk == 60


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
    assert Work(300.0, 20.0, 200.0).of(2) == Work(600.0, 20.0, 400.0)


def test_floor_in_eight_bits_is_of_the_linear_layers_alone():
    peaks = Peaks(matmul=100.0, float8=200.0, attention=50.0, bandwidth=10.0)
    work = Work(step=300.0, weights=20.0, autoencoder=0.0, attention=100.0)
    assert (work.step_floor(peaks), work.step_floor(peaks, float8=True)) == (3.0, 2.0)
    assert work.step_floor(replace(peaks, float8=None), float8=True) == 3.0


def event(name, start, end, device=DeviceType.CUDA, *, own=0.0, annotation=False):
    """An event of torch's profiler, microseconds."""
    span = SimpleNamespace(start=start, end=end, elapsed_us=lambda: end - start)
    return SimpleNamespace(
        name=name,
        time_range=span,
        device_type=device,
        is_user_annotation=annotation,
        self_cpu_time_total=own,
        self_device_time_total=end - start,
    )


CPU = DeviceType.CPU


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (
            [
                event("aten::_scaled_dot_product_flash_attention", 0, 9, CPU, own=9.0),
                event("cudnn_generated_sdpa_flash_fprop", 0, 5),
                event("pytorch_flash::flash_fwd_kernel", 5, 15),
                event("triton_poi_fused__scaled_dot_product_flash_attention_add", 15, 90),
            ],
            "pytorch_flash",
        ),
        (
            [
                event("aten::scaled_dot_product_attention", 0, 20, CPU, own=20.0),
                event("aten::_scaled_dot_product_flash_attention_for_cpu", 0, 19, CPU, own=18.0),
            ],
            "aten::_scaled",
        ),
        ([event("fmha_cutlassF_bf16_aligned", 0, 1), event("aten::mm", 0, 9, CPU, own=9.0)], "fmha_cutlassF"),
        ([event("aten::mm", 0, 1, CPU, own=1.0)], "none found"),
    ],
)
def test_attention_kernel(events, expected):
    assert attention_kernel(events).startswith(expected)


def test_a_device_is_busy_once():
    """An operator and its kernel are one work, kernels side by side one time, and named ranges none."""
    events = [
        event("aten::mm", 0, 4, CPU, own=3.0),
        event("gemm", 10, 30),
        event("Memcpy DtoH", 20, 50),
        event("small", 22, 25),
        event("Memset", 60, 61),
        event("a range", 0, 100, annotation=True),
        event("cudaStreamSynchronize", 50, 99, CPU, own=49.0),
    ]
    assert busy_us(events) == 40 + 1
    assert launching_us(events) == 3.0
    assert sum(each.self_device_time_total for each in events) > 100  # what it is not


def test_a_look_is_of_a_step_alone(monkeypatch):
    """What an answer has besides its steps is in both answers, and drops out of their difference."""
    asked = []

    class Profile:
        def __init__(self, activities):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def events(self):
            count = asked[-1]
            steps = [event("gemm", 1000 * i, 1000 * i + 500) for i in range(count)]
            decoding = [event("conv", 90_000, 95_000), event("aten::conv3d", 0, 1, CPU, own=7000.0)]
            return [*steps, *decoding, event("aten::mm", 0, 1, CPU, own=200.0 * count)]

    monkeypatch.setattr("cosmos_robot.benchmarks.speed_measure.profile", Profile)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    seen = look(asked.append, torch.device("cuda"), 5)
    assert (seen.device_ms, seen.host_ms, seen.peak_memory) == (pytest.approx(0.5), pytest.approx(0.2), 5)


def test_each_step_is_added_to_the_last():
    """On a CPU without graphs, compiled regions and overlapped copies, which are CUDA's; the last is the whole engine."""
    everyone = contenders(RandomCheckpoint().pipeline())
    assert [one.name for one in everyone] == [
        BASELINE,
        PLAIN,
        "engine, + merged projections",
        "engine, + key value buffers",
        ENGINE,
    ]
    assert [one.adds for one in everyone[2:]] == [
        RANKING[name] for name in ("merged_projections", "key_value_buffers", "causal_autoencoder")
    ]


def test_a_preset_has_layers_of_its_own_over_the_same_parameters():
    """Some put others in their place, which must not reach the exact contenders; the weights are there once."""
    pipeline = with_shift(RandomCheckpoint().pipeline())
    before = copy.copy(pipeline.transformer.layers[0].self_attn.add_q_proj)
    one, case = with_preset(pipeline, "step-cache"), replace(smaller(SMALL[0]), num_steps=4)
    one.ready()
    [answer] = one.ask(case, 4)
    [exact] = ask_engine(Engine.from_pipeline(pipeline), case, 4)
    assert np.abs(answer.frames.astype(int) - exact.frames).max() > 0
    assert pipeline.transformer.layers[0].self_attn.add_q_proj.weight is before.weight


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


def test_a_step_is_the_median_of_its_rounds():
    """One round in which the longer answer was the quicker does not hide it; no more than half of them may."""
    case, one = Case("policy", "pusht", 64, 64, 256, 4, num_steps=4), Contender(ENGINE, lambda case, steps: [])
    restless = Timed(case, {ENGINE: [(1.0, 1.8), (3.0, 1.9), (1.0, 2.6)]}, (4, 12))
    row = restless.row(one, Look("none"), 0.08)
    assert row.step_ms == pytest.approx(100.0)
    assert row.chunk_s == 1.0  # the whole answer was timed, not reckoned
    lost = Timed(case, {ENGINE: [(1.0, 1.8), (3.0, 1.9), (3.0, 2.6)]}, (4, 12))
    assert lost.row(one, Look("none"), 0.08).step_ms is None


def test_longer_answers_are_reckoned_from_the_time_of_a_step():
    case = Case("policy", "bridge_orig_lerobot", 64, 64, 256, 4, num_steps=10, batch=2)
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
