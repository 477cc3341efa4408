"""Closed loops in gym-pusht: a policy that reaches every task, one that stays still and noise, known in advance."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("gym_pusht")

from bench_models import Random
from pusht_worlds import Pushing, Still

from cosmos_robot.benchmarks.closed_loop_suite import NO_PROMPT, RANDOM, START, ClosedLoopSettings
from cosmos_robot.benchmarks.pusht_direction import is_towards
from cosmos_robot.benchmarks.pusht_policy import push_tasks
from cosmos_robot.benchmarks.report import write_report
from cosmos_robot.benchmarks.report_figures import compare, read_figures
from cosmos_robot.benchmarks.run_config import RunConfig
from cosmos_robot.benchmarks.run_execution import execute, read_run
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.training.pusht_prompts import DIRECTIONS

CHUNKS, TASKS = 5, 3
CONFIG = RunConfig(
    suite="closed-loop",
    domain="pusht",
    rows=TASKS,
    batch=2,
    samples=2,
    keep_predictions=True,
    own=ClosedLoopSettings(CHUNKS, replan_every=None),
)


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """A run of each, and what the pushing one has seen when it tried."""
    folder = tmp_path_factory.mktemp("closed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SDL_VIDEODRIVER", "dummy")
        pushing = Pushing(push_tasks(TASKS), CHUNKS)
        for name, model in {"pushing": pushing, "still": Still(), "random": Random()}.items():
            execute(CONFIG, folder / name, load=lambda *_, model=model: model, digest=name)
    return folder, pushing


def _lines(folder):
    figures = [read_figures(folder / name) for name in ("pushing", "still", "random")]
    return {
        (line.metric, line.variant): [estimate and estimate.value for estimate in line.estimates]
        for line in compare(figures)
    }


def test_they_are_ranked_as_is_known(played):
    lines = _lines(played[0])
    good, still, noise = lines["success", "model"]
    assert (good, still) == (1.0, 0.0)
    assert noise < 1.0
    assert lines["success, best of 2", "model"][:2] == [1.0, 0.0]
    assert lines["T moved", "model"][:2] == [1.0, 0.0]
    way = lines["way along the direction", "model"]
    assert way[0] >= 512 * 10 / 96 * np.cos(np.pi / 4)
    assert way[1] == pytest.approx(0.0, abs=1.0)
    # The pushing one is silent where it is not told: then the T stays.
    assert lines["success", NO_PROMPT][:2] == [0.0, 0.0]
    assert len(set(lines["success", RANDOM])) == 1  # the same strokes, whoever is measured


def test_coverage_is_the_simulators_own(played):
    folder, pushing = played
    rows = {name: read_run(folder / name)[1] for name in ("pushing", "still")}
    for good, still in zip(rows["pushing"], rows["still"], strict=True):
        assert good["figures"]["coverage"]["model"] == pytest.approx(pushing.coverage[good["episode"]], abs=1e-5)
        assert still["figures"]["coverage"]["model"] == pytest.approx(still["figures"]["coverage"][START], abs=1e-3)


def test_the_open_loop_stands_beside(played):
    """The pushing one says what was recorded when it is told what happened: no error; and noise has one."""
    lines = _lines(played[0])
    assert lines["action RMSE", "model"][0] == 0.0
    assert lines["normalised DTW", "model"][0] == 1.0
    assert lines["action RMSE", "model"][2] > lines["action RMSE, best of 2", "model"][2] > 0.3
    for row in read_run(played[0] / "still")[1]:
        assert {"success", "coverage", "action RMSE"} <= set(row["figures"])
        assert row["case"] in DIRECTIONS


def test_rows_do_not_depend_on_the_batch(played, tmp_path):
    config = replace(CONFIG, batch=3, samples=1, rows=2)
    alone = execute(replace(config, batch=1), tmp_path / "one", load=lambda *_: Random(), digest="x")
    together = execute(config, tmp_path / "two", load=lambda *_: Random(), digest="x")
    assert [row["figures"] for row in alone] == [row["figures"] for row in together]
    assert [row["seed"] for row in alone] == [row["seed"] for row in read_run(played[0] / "random")[1][:2]]


@pytest.mark.slow
def test_the_page_shows_what_was_played(played, tmp_path):
    page, markdown, _ = write_report([played[0] / "pushing", played[0] / "still"], tmp_path / "page.html")
    assert page.read_text().count("<video") == 6
    assert (
        "| success ↑ | model | 1 (1 to 1), n = 3 of 3 | 0 (0 to 0), n = 3 of 3 | -1 (-1 to -1)" in markdown.read_text()
    )


def test_what_cannot_be_played(tmp_path):
    with pytest.raises(InvalidInputError, match="of domain pusht"):
        execute(replace(CONFIG, domain="umi"), tmp_path, load=lambda *_: Still(), digest="x")
    with pytest.raises(InvalidInputError, match="chunks"):
        ClosedLoopSettings(0)
    with pytest.raises(InvalidInputError, match="replan_every"):
        ClosedLoopSettings(1, 0)
    with pytest.raises(InvalidInputError, match="takes ClosedLoopSettings"):
        execute(replace(CONFIG, own=RunConfig), tmp_path, load=lambda *_: Still(), digest="x")


def test_one_way_in_four_is_right():
    """Of ways in all directions, whichever is asked for."""
    angles = (np.arange(720) + 0.5) / 720 * 2 * np.pi
    ways = 60 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    for direction in DIRECTIONS:
        assert np.mean([is_towards(way, direction, 50) for way in ways]) == 0.25
        assert not any(is_towards(way, direction, 61) for way in ways)
