"""Runs: planned before they start, resumed where they were stopped, whole whatever dies."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gym_pusht")

from bench_models import LoadFaulty, LoadMortal, copying, perfect, random, record_episodes, too_large, unloadable

from cosmos_robot.benchmarks.row_dispatch import Answer, dispatch
from cosmos_robot.benchmarks.row_worker import Result
from cosmos_robot.benchmarks.run_config import RunConfig
from cosmos_robot.benchmarks.run_episodes import open_run_episodes
from cosmos_robot.benchmarks.run_execution import Workers, execute, read_prediction, read_run
from cosmos_robot.benchmarks.run_file import read_run_file
from cosmos_robot.benchmarks.run_plan import PlannedRow, plan_rows, read_plan, run_windows
from cosmos_robot.errors import CheckpointError, CosmosRobotError, InvalidInputError


@pytest.fixture(autouse=True)
def _no_display(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def episodes(pusht_shards):
    return str(pusht_shards)


@pytest.fixture
def config(episodes):
    """Twelve rows that cost nothing but their overhead."""
    return RunConfig(suite="policy", episodes=episodes, domain="pusht", stride=8)


def _run(config, folder, load=copying, **options):
    return execute(config, folder, load=load, digest=getattr(load, "__name__", "test"), **options)


def _strip(rows):
    """What must not vary with who measured, and when."""
    return [{k: v for k, v in row.items() if k not in ("seconds", "worker", "machine")} for row in rows]


def test_the_plan_is_fixed_and_drawn_from_every_episode(config):
    available = run_windows(config, open_run_episodes(config.episodes))
    rows = plan_rows(config, available)
    assert [row.row for row in rows] == list(range(len(available))) == list(range(12))
    assert {row.episode for row in rows} == {0, 1, 2}
    assert rows == plan_rows(config, available)
    assert all(available.place(row.other)[0] != row.episode for row in rows)
    assert len({row.seed for row in rows}) == 12
    few = plan_rows(replace(config, rows=5), available)
    assert {r.window for r in few} < {r.window for r in plan_rows(replace(config, rows=8), available)}
    assert {r.window for r in few} != {r.window for r in plan_rows(replace(config, rows=5, seed=1), available)}
    twice = plan_rows(replace(config, rows=2, noises=3), available)
    assert len(twice) == 6
    assert len({row.seed for row in twice}) == 6
    assert len({row.window for row in twice}) == 2


def test_every_other_episode_can_be_the_control(config):
    available = run_windows(config, open_run_episodes(config.episodes))
    drawn = {
        available.place(row.other) for seed in range(40) for row in plan_rows(replace(config, seed=seed), available)
    }
    assert drawn == {available.place(number) for number in range(len(available))}


def test_one_episode_alone_has_no_other(config, tmp_path):
    alone = record_episodes(tmp_path / "one", episodes=1)
    rows = _run(replace(config, episodes=str(alone)), tmp_path / "run")
    assert {row["other"] for row in rows} == {None}
    assert rows[0]["absent"]["another episode's actions"] == "there is only one episode."


def test_a_run_says_what_it_is_made_of(config, tmp_path):
    rows = _run(config, tmp_path)
    head, read = read_run(tmp_path)
    assert read == rows
    assert head["suite"] == "policy"
    assert head["checkpoint_digest"] == "copying"
    assert len(head["episodes_digest"]) == 16
    assert [row["row"] for row in rows] == [row.row for row in read_plan(tmp_path / "plan.jsonl")]
    assert {"host", "device", "torch", "commit"} <= set(rows[0]["machine"])
    assert not (tmp_path / "predictions").exists()


def test_a_finished_run_measures_nothing_again(config, tmp_path):
    rows = _run(config, tmp_path)
    assert _run(config, tmp_path, copying) == rows


def test_rows_of_different_runs_are_not_mixed(config, tmp_path):
    _run(config, tmp_path)
    with pytest.raises(InvalidInputError, match="num_steps"):
        _run(replace(config, num_steps=2), tmp_path)
    with pytest.raises(InvalidInputError, match="checkpoint_digest"):
        _run(config, tmp_path, random)


def test_other_episodes_at_the_same_place_are_noticed(config, tmp_path):
    folder = record_episodes(tmp_path / "episodes", episodes=2)
    own = replace(config, episodes=str(folder))
    _run(own, tmp_path / "run")
    shard = next(folder.glob("*.npz"))
    with np.load(shard) as arrays:
        changed = dict(arrays)
    changed["frames"] = 255 - changed["frames"]
    np.savez_compressed(shard, **changed)
    with pytest.raises(InvalidInputError, match="episodes_digest"):
        _run(own, tmp_path / "run")


def test_batches_give_the_same_rows(config, tmp_path):
    one = _run(config, tmp_path / "one")
    assert _strip(_run(replace(config, batch=5), tmp_path / "five")) == _strip(one)


def test_predictions_are_kept_on_request(config, tmp_path):
    rows = _run(replace(config, keep_predictions=True, samples=2), tmp_path)
    for row in rows:
        kept = read_prediction(tmp_path, row["row"])
        assert kept["chosen"].shape == (2, 16, 2)
        assert kept["frames"].shape == (17, 96, 96, 3)
    assert read_prediction(tmp_path, 99) is None


def test_a_failed_row_carries_its_error_and_no_other_fails(config, tmp_path):
    available = run_windows(config, open_run_episodes(config.episodes))
    seed = plan_rows(config, available)[4].seed
    batched = replace(config, batch=5)
    rows = execute(batched, tmp_path, load=LoadFaulty((seed,)), digest="x")
    assert [row["status"] for row in rows] == ["ok"] * 4 + ["failed"] + ["ok"] * 7
    assert rows[4]["error"] == "InvalidInputError: this one cannot be imagined."
    assert "bench_models.py" in rows[4]["traceback"]
    assert rows[4]["machine"] == rows[0]["machine"]
    calls = []
    again = execute(batched, tmp_path, load=copying, digest="x", report=lambda *told: calls.append(told))
    assert again == rows
    assert calls == [(12, 12, 1)]
    mended = execute(batched, tmp_path, load=copying, digest="x", retry_failed=True)
    assert [row["status"] for row in mended] == ["ok"] * 12
    assert _strip(mended[:4]) == _strip(rows[:4])


def test_a_checkpoint_that_is_not_there_ends_the_run(config, tmp_path):
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        _run(config, tmp_path, unloadable)
    assert len(_run(replace(config), tmp_path / "other")) == 12


class Rehearsal:
    """A pool that answers as a script says: `ok`, or `dies`."""

    def __init__(self, size, fate):
        self.size, self.fate, self.sent, self.given = size, fate, {}, []

    def send(self, worker, batch):
        assert worker not in self.sent
        self.sent[worker] = batch
        self.given.append([row.row for row in batch])

    def wait(self):
        worker = min(self.sent)
        batch = self.sent.pop(worker)
        if self.fate(batch):
            return [Answer(worker, None, "it was killed")]
        return [Answer(worker, [Result({"row": row.row, "status": "ok"}, {}) for row in batch])]


def _planned(count):
    return [PlannedRow(i, i, 0, i, i, None) for i in range(count)]


def test_a_batch_whose_worker_died_is_given_out_row_by_row():
    deaths = []

    def fate(batch):
        first = 4 in [row.row for row in batch] and not deaths
        deaths.extend([1] if first else [])
        return first

    rows = _planned(9)
    pool = Rehearsal(2, fate)
    found = [r.row for results in dispatch([tuple(rows[i : i + 3]) for i in range(0, 9, 3)], pool) for r in results]
    assert sorted(row["row"] for row in found) == list(range(9))
    assert {row["status"] for row in found} == {"ok"}
    assert [3] in pool.given
    assert [5] in pool.given


def test_a_row_that_kills_every_worker_fails_alone():
    rows = _planned(6)
    pool = Rehearsal(2, lambda batch: 4 in [row.row for row in batch])
    batches = [tuple(rows[:3]), tuple(rows[3:])]
    found = {r.row["row"]: r.row for results in dispatch(batches, pool) for r in results}
    assert [found[i]["status"] for i in range(6)] == ["ok"] * 4 + ["failed", "ok"]
    assert "it was killed" in found[4]["error"]
    assert sum(4 in given for given in pool.given) == 2


@pytest.mark.slow
def test_a_killed_worker_loses_no_row_and_doubles_none(config, tmp_path):
    available = run_windows(config, open_run_episodes(config.episodes))
    planned = plan_rows(config, available)
    (tmp_path / "marks").mkdir()
    load = LoadMortal((planned[3].seed, planned[8].seed), tmp_path / "marks")
    rows = execute(replace(config, batch=2), tmp_path / "run", load=load, digest="copying", workers=Workers(2))
    assert len(list((tmp_path / "marks").iterdir())) == 2  # both died
    lines = (tmp_path / "run" / "rows.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["row"] for line in lines) == list(range(12))
    assert _strip(rows) == _strip(_run(config, tmp_path / "alone"))


@pytest.mark.slow
def test_workers_begin_or_say_why_not(config, tmp_path):
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        execute(config, tmp_path, load=unloadable, digest="x", workers=Workers(2))
    with pytest.raises(CosmosRobotError, match=r"worker \d could not begin: MemoryError: no room"):
        execute(config, tmp_path, load=too_large, digest="x", workers=Workers(2))
    assert read_run(tmp_path)[1] == []  # no row is said to have failed


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_goes_on(config, tmp_path, workers):
    """The whole program is killed again and again; in the end every row is there once."""
    program = Path(__file__).parents[1] / "support" / "bench_program.py"
    arguments = [sys.executable, str(program), config.episodes, str(tmp_path / "run"), str(workers)]
    kills = 0
    while True:
        before = _lines(tmp_path / "run")
        process = subprocess.Popen(arguments, cwd=Path(__file__).parents[2])
        while process.poll() is None and _lines(tmp_path / "run") < before + 5:
            time.sleep(0.01)
        if process.poll() is not None:
            assert process.returncode == 0
            break
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
    assert kills >= 2
    rows = [json.loads(line)["row"] for line in (tmp_path / "run" / "rows.jsonl").read_text().splitlines()]
    assert sorted(rows) == list(range(12))
    assert _strip(read_run(tmp_path / "run")[1]) == _strip(_run(config, tmp_path / "whole"))


def _lines(folder):
    path = folder / "rows.jsonl"
    return path.read_text().count("\n") if path.exists() else 0


def test_a_torn_last_line_is_measured_again(config, tmp_path):
    rows = _run(config, tmp_path)
    path = tmp_path / "rows.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    assert len(read_run(tmp_path)[1]) == 11
    assert _strip(_run(config, tmp_path)) == _strip(rows)


@pytest.mark.e2e
def test_actors_of_a_local_cluster(config, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "support"))  # where the actors find their model
    planned = plan_rows(config, run_windows(config, open_run_episodes(config.episodes)))
    (tmp_path / "marks").mkdir()
    load = LoadMortal((planned[5].seed,), tmp_path / "marks")
    rows = execute(replace(config, batch=3), tmp_path / "run", load=load, digest="x", workers=Workers(1, "local"))
    assert len(list((tmp_path / "marks").iterdir())) == 1
    assert sorted(json.loads(line)["row"] for line in (tmp_path / "run" / "rows.jsonl").open()) == list(range(12))
    assert _strip(rows) == _strip(_run(config, tmp_path / "alone"))


@pytest.mark.e2e
def test_actors_for_which_there_is_no_room(config, tmp_path):
    ray = pytest.importorskip("ray")
    with pytest.raises(InvalidInputError, match="actors need as many CPU cores"):
        execute(config, tmp_path, load=copying, digest="x", workers=Workers(10_000, "local"))
    assert not ray.is_initialized()


def test_a_file_names_several_runs(config, tmp_path):
    path = tmp_path / "bench.toml"
    path.write_text(
        f"""
        [defaults]
        episodes = "{config.episodes}"
        domain = "pusht"
        [[run]]
        name = "four steps"
        suite = "forward-dynamics"
        num_steps = 4
        [[run]]
        name = "inverse"
        suite = "inverse-dynamics"
        """
    )
    first, second = read_run_file(path)
    assert (first.name, first.suite, first.num_steps) == ("four steps", "forward-dynamics", 4)
    assert (second.suite, second.num_steps, second.domain) == ("inverse-dynamics", None, "pusht")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[run]]\nname="a"\nsuite="policy"\nepisodes="x"\ndomain="pusht"\nnum_step=1', "num_steps"),
        ('[[run]]\nname="a"\nsuite="polcy"\nepisodes="x"\ndomain="pusht"', "policy"),
        ('[[run]]\nname="a"\nsuite="policy"\nepisodes="x"', "domain"),
        ('[[run]]\nsuite="policy"\nepisodes="x"\ndomain="pusht"', "name"),
        ("[defaults]\n", "at least one"),
        ("[[run", "TOML"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path, text, message):
    path = tmp_path / "bench.toml"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=message):
        read_run_file(path)


@pytest.mark.parametrize(
    ("setting", "message"),
    [({"rows": 0}, "rows"), ({"seed": -1}, "seed"), ({"samples": 2}, "policy"), ({"suite": "speed?"}, "suite")],
)
def test_wrong_settings(setting, message):
    with pytest.raises(InvalidInputError, match=message):
        RunConfig(**({"suite": "inverse-dynamics", "episodes": "x", "domain": "pusht"} | setting))


def test_perfect_push_t_is_perfect_backwards(config, tmp_path):
    rows = _run(replace(config, suite="inverse-dynamics"), tmp_path, perfect)
    assert {row["figures"]["action RMSE"]["model"] for row in rows} == {0.0}
