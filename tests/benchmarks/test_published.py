"""What the repository shows of the embedded model is what its results file says, and that is what the rows say."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gym_pusht")

from bench_models import copying, random

from cosmos_robot.benchmarks.publish import RUNS
from cosmos_robot.benchmarks.published_plots import draw_plots
from cosmos_robot.benchmarks.published_readme import BEGIN, END, PICTURES, README, readme_block, shown, with_block
from cosmos_robot.benchmarks.published_results import Results, collect
from cosmos_robot.benchmarks.run_config import RunConfig
from cosmos_robot.benchmarks.run_execution import execute, read_run
from cosmos_robot.benchmarks.run_file import read_run_file
from cosmos_robot.benchmarks.run_identity import checkpoint_digest
from cosmos_robot.errors import InvalidInputError


@pytest.fixture(scope="module")
def results():
    return Results.read()


def test_the_readme_says_what_the_results_say(results):
    text = README.read_text(encoding="utf-8")
    assert with_block(text, readme_block(results)) == text, "run `make bench`"


def test_the_results_are_of_the_weights_that_are_here(results):
    assert results.checkpoint_digest == checkpoint_digest(None), "the weights have changed: run `make bench`"
    assert list(results.runs) == [run.name for run in read_run_file(RUNS)]


def test_another_figure_is_another_block(results):
    """So that the test above can fail."""
    runs = json.loads(json.dumps(results.runs))
    runs["closed-loop"]["figures"]["success"]["model"][0] += 0.5
    assert readme_block(replace(results, runs=runs)) != readme_block(results)


def test_the_plots_are_those_of_the_results(results, tmp_path):
    for place in (tmp_path / "one", tmp_path / "two"):
        (place / PICTURES[0]).parent.mkdir(parents=True)
        draw_plots(results, place, PICTURES)
    for path in PICTURES:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes()
        committed = README.parent / path
        assert committed.stat().st_size < 120_000
        drawn, kept = (
            np.asarray(Image.open(each).convert("L"), dtype=int) for each in (tmp_path / "one" / path, committed)
        )
        assert drawn.shape == kept.shape
        assert np.abs(drawn - kept).mean() < 3  # fonts differ from machine to machine, lines and bars do not


def test_a_readme_without_its_place():
    assert with_block(f"a\n{BEGIN}\nold\n{END}\nb\n", "new") == f"a\n{BEGIN}\n\nnew\n\n{END}\nb\n"
    for text in ("nothing", f"{BEGIN}", f"{BEGIN}{END}{BEGIN}"):
        with pytest.raises(InvalidInputError, match="once"):
            with_block(text, "new")


def test_results_are_collected_from_rows(pusht_shards, tmp_path):
    config = RunConfig(suite="policy", episodes=str(pusht_shards), domain="pusht", batch=4)
    rows = execute(config, tmp_path / "one", load=copying, digest="x")
    execute(replace(config, seed=1), tmp_path / "two", load=random, digest="x")
    (tmp_path / "golden").mkdir()
    gates = tmp_path / "golden" / "gates.json"
    gate = {"name": "policy_1", "figure": "golden_mse_max", "wanted": 0.05, "measured": 0.0412345678, "passed": True}
    gates.write_text(json.dumps({"gates": [gate], "failed": []}))
    found = collect(tmp_path, ["one", "two"])
    assert found.gates == [gate | {"measured": 0.04123}]
    mean = np.mean([row["figures"]["action RMSE"]["model"] for row in rows])
    assert found.figure("one", "action RMSE").value == pytest.approx(mean, rel=1e-3)
    assert found.figure("one", "action RMSE").episodes == 3
    assert found.figure("one", "nothing") is None
    assert shown(found, "one", "nothing", "model", "") == "none"
    assert found.runs["two"]["settings"]["seed"] == 1
    assert "host" not in found.machines[0]
    found.write(tmp_path / "results.json")
    assert Results.read(tmp_path / "results.json") == found

    lines = (tmp_path / "two" / "rows.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "two" / "rows.jsonl").write_text("".join(lines[:-1]))
    with pytest.raises(InvalidInputError, match="run it to its end"):
        collect(tmp_path, ["one", "two"])
    execute(config, tmp_path / "three", load=copying, digest="y")
    with pytest.raises(InvalidInputError, match="different weights: x, y"):
        collect(tmp_path, ["one", "three"])
    gates.write_text(json.dumps({"gates": [], "failed": [{"name": "a", "error": "b"}]}))
    with pytest.raises(InvalidInputError, match="1 golden samples failed"):
        collect(tmp_path, ["one"])
    assert len(read_run(tmp_path / "two")[1]) == len(lines) - 1
