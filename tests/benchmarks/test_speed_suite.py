"""Speed as a suite of runs: its cases, what it makes of timings, and a whole run on tiny weights."""

import json

import pytest

from cosmos_robot.benchmarks.report import write_report
from cosmos_robot.benchmarks.run_config import RunConfig
from cosmos_robot.benchmarks.run_execution import execute, read_run
from cosmos_robot.benchmarks.speed_cases import Case
from cosmos_robot.benchmarks.speed_measure import Row
from cosmos_robot.benchmarks.speed_suite import RANDOM_WEIGHTS, SpeedSettings, SpeedSuite, figures_of, speed_weights
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.errors import InvalidInputError


def _config(**settings):
    return RunConfig(suite="speed", domain="bridge_orig_lerobot", device="cpu", own=SpeedSettings(**settings))


def _timing(contender, chunk_s, peak=None):
    return Row("a", contender, 3.5, chunk_s, 0.25, 8.0 / chunk_s, 1.0, 4.0, 3, "flash", None, None, peak, 4)


def test_every_case_in_every_batch_again_and_again():
    rows = SpeedSuite().plan(_config(weights="nano", modes=["forward_dynamics"], tiers=[256], repetitions=2))
    names = [row.case for row in rows]
    assert names == 2 * [f"forward_dynamics 256x256 17f x{batch}" for batch in (1, 4, 16)]
    assert [row.episode for row in rows] == [0, 0, 0, 1, 1, 1]  # repetitions lie apart
    every = {row.case for row in SpeedSuite().plan(_config(weights="nano"))}
    assert any("480x640" in name for name in every)
    assert {name.split()[0] for name in every} == {"forward_dynamics", "policy", "inverse_dynamics", "text2video"}


def test_what_is_made_of_timings():
    case = Case("forward_dynamics", "pusht", 96, 96, 256, 16, 4, batch=4)
    found = figures_of(case, [_timing("diffusers", 8.0), _timing("engine", 2.0, 3 << 20)])
    assert found["a chunk"] == {"diffusers": 8.0, "model": 2.0}
    assert found["times as quick as diffusers"] == {"diffusers": 1.0, "model": 4.0}
    assert found["frames a second"] == {"diffusers": 8.0, "model": 32.0}
    assert found["actions a second"] == found["frames a second"]
    assert found["peak memory"] == {"model": 3.0}
    backwards = figures_of(Case("inverse_dynamics", "pusht", 96, 96, 256, 16, 4), [_timing("engine", 2.0)])
    assert (backwards["frames a second"], backwards["actions a second"]) == ({}, {"model": 8.0})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rounds": 0}, "at least 1"),
        ({"batches": [0]}, "at least 1"),
        ({"weights": "super"}, "nano"),
        ({"modes": ["reason"]}, "no case"),
    ],
)
def test_what_cannot_be_measured(settings, message):
    with pytest.raises(InvalidInputError, match=message):
        SpeedSuite().plan(_config(**settings))
    with pytest.raises(InvalidInputError, match="weights of its own"):
        SpeedSuite().plan(RunConfig(suite="speed", domain="pusht", checkpoint="somewhere"))


def test_what_the_weights_are():
    assert speed_weights(_config(weights="nano")) == RANDOM_WEIGHTS
    assert len(speed_weights(_config(weights="embedded"))) == 16


@pytest.mark.slow
def test_a_run_and_its_report(tmp_path):
    config = _config(weights="tiny", modes=["forward_dynamics"], tiers=[256], batches=[2], rounds=1, repetitions=2)
    rows = execute(config, tmp_path / "run")
    assert [row["status"] for row in rows] == ["ok", "ok"], rows[0]["error"]
    figures = rows[0]["figures"]
    assert set(figures["a chunk"]) == {"diffusers", "engine, plain", "model"}
    assert figures["times as quick as diffusers"]["diffusers"] == 1.0
    assert set(figures["a denoising step"]) <= set(figures["a chunk"])  # a difference may be lost in the noise
    assert figures["frames a second"]["model"] == pytest.approx(2 * 4 / figures["a chunk"]["model"], rel=1e-3)
    assert figures["peaks"]["matmul, FLOP/s"] > 1e8
    assert {"host", "device", "torch", "diffusers", "commit"} <= set(rows[0]["machine"])
    assert rows[0]["absent"] == {"peak memory": "a CPU process never gives memory back."}
    assert read_run(tmp_path / "run")[0]["checkpoint_digest"] == RANDOM_WEIGHTS
    assert execute(config, tmp_path / "run") == rows  # nothing is measured again
    page, markdown, data = write_report([tmp_path / "run"], tmp_path / "page.html")
    (case,) = {row["case"] for row in rows}
    assert f"a chunk, {case}, s ↓ | model |".replace("_", " ") in markdown.read_text()
    assert "weights random weights" in markdown.read_text()
    told = json.loads(data.read_text())["figures"]
    assert {line["variant"] for line in told} == {"diffusers", "engine, plain", "model"}
    assert "this suite makes no frames" in page.read_text() or "kept no predictions" in page.read_text()
    series = SpeedSuite().series(rows, get_domain("bridge_orig_lerobot"))
    always = ("a chunk", "times as quick as diffusers", "frames a second", "actions a second")
    whole = [each for each in series if each.metric.startswith(always)]
    assert len(whole) >= 3 * len(always)
    assert all(len(each.values) == 2 for each in whole)
