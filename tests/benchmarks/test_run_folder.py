"""A run's folder: one process at a time, and nothing in it is lost by what stops one."""

import fcntl
import json
from dataclasses import replace

import pytest

pytest.importorskip("gym_pusht")

from bench_models import copying, unloadable

from cosmos_robot.benchmarks.row_file import RowFile
from cosmos_robot.benchmarks.run_config import RunConfig
from cosmos_robot.benchmarks.run_execution import execute
from cosmos_robot.benchmarks.run_identity import SERVICE, _processor
from cosmos_robot.errors import CheckpointError, InvalidInputError


def test_two_processes_do_not_write_one_run(pusht_shards, tmp_path):
    config = RunConfig(suite="policy", episodes=str(pusht_shards), domain="pusht", rows=2)
    (tmp_path / "run").mkdir()
    with (tmp_path / "run" / ".lock").open("w") as other:  # a lock is of an open file: this one is another process's
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(InvalidInputError, match="another process is measuring the run"):
            execute(config, tmp_path / "run", load=copying, digest="x")
        assert not (tmp_path / "run" / "rows.jsonl").exists()
    assert len(execute(config, tmp_path / "run", load=copying, digest="x")) == 2


def test_a_run_that_fails_lets_go_of_its_folder(pusht_shards, tmp_path):
    config = RunConfig(suite="policy", episodes=str(pusht_shards), domain="pusht", rows=2)
    with pytest.raises(CheckpointError) as held:  # its traceback lives on
        execute(config, tmp_path, load=unloadable, digest="x")
    assert len(execute(replace(config, batch=2), tmp_path, load=copying, digest="x")) == 2
    assert held.value.args == ("there is no such checkpoint.",)


def test_whole_lines_outlive_a_torn_one(tmp_path):
    RowFile(tmp_path, {}).append([{"row": 0}, {"row": 1, "text": "line\u2028separator"}])
    path = tmp_path / "rows.jsonl"
    whole = path.read_bytes()
    for torn in (b'{"ro', b'{"row": 2}'):  # a line without its end may be less than was written
        path.write_bytes(whole + torn)
        assert [row["row"] for row in RowFile(tmp_path, {}).read()] == [0, 1]
        assert path.read_bytes() == whole
    path.write_bytes(b'{"row"')
    assert RowFile(tmp_path, {}).read() == []
    assert json.loads((tmp_path / "run.json").read_text()) == {}


def test_rows_say_what_they_were_measured_on(pusht_shards, tmp_path):
    config = RunConfig(suite="policy", episodes=str(pusht_shards), domain="pusht", rows=1, device="cpu")
    (here,) = execute(config, tmp_path / "here", load=copying, digest="x")
    assert here["machine"]["device"] == _processor() != SERVICE
    there = replace(config, checkpoint="nim://somewhere", device=None)
    assert execute(there, tmp_path / "there", load=copying, digest="x")[0]["machine"]["device"] == SERVICE
