"""Runs of other weights in one folder: refused, or thrown away where that is asked for; and settings of a suite's own."""

from dataclasses import replace

import pytest

pytest.importorskip("gym_pusht")

from bench_models import copying, random

from cosmos_robot.benchmarks.closed_loop_suite import ClosedLoopSettings
from cosmos_robot.benchmarks.generation_suite import GenerationSettings
from cosmos_robot.benchmarks.run_config import RunConfig
from cosmos_robot.benchmarks.run_execution import execute
from cosmos_robot.benchmarks.run_file import read_run_file
from cosmos_robot.errors import InvalidInputError


def test_rows_of_other_weights_are_thrown_away_on_request(pusht_shards, tmp_path):
    config = RunConfig(suite="policy", episodes=str(pusht_shards), domain="pusht", keep_predictions=True)
    run = tmp_path / "run"
    first = execute(config, run, load=copying, digest="a")
    (run / "notes.txt").write_text("mine")
    assert execute(config, run, load=random, digest="a", renew=True) == first  # the same run goes on
    with pytest.raises(InvalidInputError, match="checkpoint_digest"):
        execute(config, run, load=random, digest="b")
    renewed = execute(replace(config, keep_predictions=False), run, load=random, digest="b", renew=True)
    assert [row["row"] for row in renewed] == [row["row"] for row in first]
    assert renewed[0]["figures"] != first[0]["figures"]
    assert not list(run.glob("predictions/*"))
    assert (run / "notes.txt").read_text() == "mine"
    fewer = execute(replace(config, rows=1), run, load=random, digest="b", renew=True)
    assert len(fewer) == 1


def test_a_file_gives_each_suite_its_own_settings(tmp_path):
    path = tmp_path / "bench.toml"
    path.write_text(
        """
        [defaults]
        episodes = "somewhere"
        domain = "pusht"
        chunks = 4
        [[run]]
        name = "loop"
        suite = "closed-loop"
        samples = 2
        [[run]]
        name = "words"
        suite = "generation"
        mode = "text2video"
        [[run]]
        name = "plain"
        suite = "policy"
        """
    )
    loop, words, plain = read_run_file(path)
    assert (loop.own, loop.episodes, loop.samples) == (ClosedLoopSettings(4), "", 2)
    assert (words.own, words.episodes) == (GenerationSettings("text2video"), "somewhere")
    assert plain.own is None
    assert loop.identity()["chunks"] == 4
    path.write_text('[[run]]\nname="a"\nsuite="policy"\nepisodes="x"\ndomain="pusht"\nmode="text2video"')
    with pytest.raises(InvalidInputError, match="unknown key 'mode'"):
        read_run_file(path)
