"""`run`: what is generated, skipped, replaced, batched, and what an interruption leaves."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from cosmos_robot.datasets.action_files import read_actions
from cosmos_robot.errors import ActionRangeWarning, CheckpointError, DeviceError, InvalidInputError
from cosmos_robot.types import ActionSpace

FILES = {"actions.json", "sample_args.json", "sample_outputs.json", "vision.mp4"}


def tree(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_each_sample_gets_a_folder(cosmos_robot, world_model, samples_file, normalised, tmp_path):
    samples = samples_file({}, {"model_mode": "wam", "action_path": ...}, {"action_space": "robot"})
    result = cosmos_robot("run", samples, "--out", "out")
    assert result.exit_code == 0, result.stderr
    for index in range(3):
        assert {entry.name for entry in (tmp_path / "out" / f"sample_{index}").iterdir()} == FILES
    assert len(tree(tmp_path / "out")) == 3 * 5  # nothing else, no temporary folder
    fd, policy, robot = world_model.requests
    assert fd.actions.space is ActionSpace.MODEL
    assert fd.actions.values.tobytes() == read_actions(normalised).tobytes()
    assert (policy.mode, policy.action_space) == ("policy", ActionSpace.MODEL)
    assert robot.actions.space is ActionSpace.ROBOT
    assert "sample_0" in result.stdout
    assert "done" in result.stdout


def test_every_key_of_a_sample_reaches_the_world_model(cosmos_robot, world_model, samples_file):
    keys = {
        "action_chunk_size": 16,
        "raw_action_dim": 2,
        "fps": 5,
        "image_size": "480",
        "resolution": "256",
        "aspect_ratio": "16,9",
        "num_frames": 17,
        "view_point": "wrist_view",
        "prompt": "push",
        "negative_prompt": "blur",
        "seed": 11,
        "num_steps": 4,
        "guidance": 3.0,
        "shift": 5.0,
    }
    result = cosmos_robot("run", samples_file(keys))
    assert result.exit_code == 0, result.stderr
    [request] = world_model.requests
    assert request.image_size == "480"
    for key in ("fps", "view_point", "prompt", "negative_prompt", "seed", "num_steps", "guidance", "shift"):
        assert getattr(request, key) == keys[key]


def test_a_second_run_skips_what_is_done(cosmos_robot, world_model, samples_file, tmp_path):
    cosmos_robot("run", samples_file({}), "--out", "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    result = cosmos_robot("run", samples_file({}, {}), "--out", "out")
    assert result.exit_code == 0, result.stderr
    assert "skipped" in result.stdout
    assert len(world_model.requests) == 2
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


@pytest.mark.parametrize(
    ("change", "option", "message"),
    [
        ({"seed": 5}, (), "seed was 0 and is 5"),
        ({"extra": {"a": 1}}, (), "extra was {} and is {'a': 1}"),
        ({}, ("--checkpoint", "other"), "checkpoint was 'embedded' and is 'other'"),
        ({}, ("--dtype", "bfloat16"), "dtype was None and is 'bfloat16'"),
        ({}, ("--safety", "words"), "safety_choice was 'off' and is 'words'"),
    ],
)
def test_other_arguments_ask_for_overwrite(cosmos_robot, world_model, samples_file, tmp_path, change, option, message):
    cosmos_robot("run", samples_file({}), "--out", "out")
    old = (tmp_path / "out" / "sample_0" / "sample_outputs.json").read_text()
    result = cosmos_robot("run", samples_file(change, {}), "--out", "out", *option)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "--overwrite" in result.stderr
    assert not (tmp_path / "out" / "sample_1").exists()
    assert (tmp_path / "out" / "sample_0" / "sample_outputs.json").read_text() == old

    result = cosmos_robot("run", samples_file(change, {}), "--out", "out", *option, "--overwrite")
    assert result.exit_code == 0, result.stderr
    assert len(tree(tmp_path / "out")) == 2 * 5
    result = cosmos_robot("run", samples_file(change, {}), "--out", "out", *option)
    assert (result.exit_code, result.stdout.count("skipped")) == (0, 2)


def test_written_arguments_can_be_run_again(cosmos_robot, world_model, samples_file, tmp_path):
    cosmos_robot("run", samples_file({"model_mode": "wam", "seed": 3}), "--out", "out")
    result = cosmos_robot("run", tmp_path / "out" / "sample_0" / "sample_args.json", "--out", "again")
    assert result.exit_code == 0, result.stderr
    for name in ("sample_args.json", "actions.json"):
        first, second = (tmp_path / out / "sample_0" / name for out in ("out", "again"))
        assert first.read_bytes() == second.read_bytes()


def test_a_foreign_folder_is_never_replaced(cosmos_robot, world_model, samples_file, tmp_path):
    precious = tmp_path / "out" / "sample_0" / "thesis.txt"
    precious.parent.mkdir(parents=True)
    precious.write_text("mine")
    for option in ((), ("--overwrite",)):
        result = cosmos_robot("run", samples_file({}), "--out", "out", *option)
        assert result.exit_code == 2
        assert "--out" in result.stderr
        assert precious.read_text() == "mine"


def test_all_samples_are_checked_before_anything_happens(cosmos_robot, world_model, samples_file, tmp_path):
    samples = samples_file({}, {"domain_name": "pushed"}, {"vision_path": "none.png"})
    result = cosmos_robot("run", samples, "--out", "out")
    assert result.exit_code == 2
    assert "2 of 3 samples cannot be used" in result.stderr
    assert "sample_1: unknown domain 'pushed'" in result.stderr
    assert "sample_2: there is no image" in result.stderr
    assert world_model.loaded == []
    assert not (tmp_path / "out").exists()


def test_a_sample_that_fails_does_not_stop_the_others(cosmos_robot, world_model, samples_file, tmp_path):
    def fail(requests):
        if requests[0].seed == 1:
            raise DeviceError("out of memory.")

    world_model.before_answer = fail
    samples = samples_file({}, {"seed": 1}, {})
    result = cosmos_robot("run", samples, "--out", "out")
    assert result.exit_code == 1
    assert result.stderr == "error: sample_1: out of memory.\n"
    assert "failed" in result.stdout
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"sample_0", "sample_2"}

    world_model.before_answer = lambda requests: None
    assert cosmos_robot("run", samples, "--out", "out").exit_code == 0
    assert len(world_model.requests) == 3  # only the one that had failed was generated again


def test_an_error_of_the_checkpoint_ends_the_run(cosmos_robot, world_model, samples_file, tmp_path):
    def fail(requests):
        raise CheckpointError("the checkpoint is broken.")

    world_model.before_answer = fail
    result = cosmos_robot("run", samples_file({}, {}), "--out", "out")
    assert result.exit_code == 2
    assert result.stderr == "error: the checkpoint is broken.\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("moment", ["generating", "writing"])
def test_an_interruption_leaves_finished_folders_and_no_half_one(
    cosmos_robot, world_model, samples_file, tmp_path, monkeypatch, moment
):
    samples = samples_file({}, {"seed": 1}, {})

    def interrupt(*arguments):
        if (moment == "generating" and arguments[0][0].seed == 1) or (
            moment == "writing" and "sample_1" in str(arguments[0])
        ):
            raise KeyboardInterrupt

    from cosmos_robot.cli import outputs

    write_actions = outputs.write_actions_json
    if moment == "generating":
        world_model.before_answer = interrupt
    else:
        monkeypatch.setattr(
            outputs, "write_actions_json", lambda path, actions: (interrupt(path), write_actions(path, actions))
        )
    result = cosmos_robot("run", samples, "--out", "out")
    assert result.exit_code == 130
    assert "interrupted" in result.stderr
    assert tree(tmp_path / "out") == {"sample_0"} | {f"sample_0/{name}" for name in FILES}


def test_batches_are_consecutive_samples_of_one_kind(cosmos_robot, world_model, samples_file):
    changes = [{"seed": i, "prompt": f"p{i}"} for i in range(3)]
    changes += [{"fps": 20}, {"fps": 20}, {"model_mode": "wam"}, {}]
    result = cosmos_robot("run", samples_file(*changes), "--batch-size", 2)
    assert result.exit_code == 0, result.stderr
    assert [len(call) for call in world_model.calls] == [2, 1, 2, 1, 1]
    assert [(r.seed, r.prompt) for r in world_model.requests[:3]] == [(0, "p0"), (1, "p1"), (2, "p2")]
    assert [r.seed for r in world_model.requests[3:]] == [0] * 4  # a sample's own seed, whatever its place


def test_a_batch_writes_what_single_samples_write(cosmos_robot, world_model, samples_file, tmp_path):
    samples = samples_file({"seed": 1}, {"seed": 2})
    cosmos_robot("run", samples, "--out", "single")
    cosmos_robot("run", samples, "--out", "batch", "--batch-size", 2)
    for index in range(2):
        for name in FILES - {"sample_outputs.json"}:
            one, other = (tmp_path / out / f"sample_{index}" / name for out in ("single", "batch"))
            assert one.read_bytes() == other.read_bytes()


def test_a_sample_that_fails_does_not_take_its_batch_with_it(cosmos_robot, world_model, samples_file, tmp_path):
    def refuse(requests):
        if any(request.seed == 1 for request in requests):
            raise InvalidInputError("seed 1 is not wanted.")

    world_model.before_answer = refuse
    result = cosmos_robot("run", samples_file({}, {"seed": 1}, {"seed": 2}), "--out", "out", "--batch-size", 3)
    assert result.exit_code == 1
    assert result.stderr == "error: sample_1: seed 1 is not wanted.\n"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"sample_0", "sample_2"}


def test_warnings_are_lines_and_are_recorded(cosmos_robot, world_model, samples_file, tmp_path):
    def warn(requests):
        if requests[0].seed != 1:
            warnings.warn("target_x is odd.", ActionRangeWarning, stacklevel=1)

    world_model.before_answer = warn
    result = cosmos_robot("run", samples_file({}, {"seed": 1}, {"seed": 2}), "--out", "out")
    assert result.exit_code == 0
    assert result.stderr == "warning: target_x is odd.\n" * 2

    def recorded(name):
        return json.loads((tmp_path / "out" / name / "sample_outputs.json").read_text())["warnings"]

    assert [recorded(f"sample_{index}") for index in range(3)] == [["target_x is odd."], [], ["target_x is odd."]]


def test_an_interruption_between_the_two_moves_keeps_the_old_folder(
    cosmos_robot, world_model, samples_file, tmp_path, monkeypatch
):
    cosmos_robot("run", samples_file({}), "--out", "out")
    old = (tmp_path / "out" / "sample_0" / "sample_args.json").read_text()
    rename = Path.rename

    def interrupt(path, target):
        if path.name.endswith(".partial"):
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", interrupt)
    assert cosmos_robot("run", samples_file({"seed": 1}), "--out", "out", "--overwrite").exit_code == 130
    assert (tmp_path / "out" / "sample_0" / "sample_args.json").read_text() == old
    assert tree(tmp_path / "out") == {"sample_0"} | {f"sample_0/{name}" for name in FILES}


def test_a_killed_runs_left_overs_are_swept_away(cosmos_robot, world_model, samples_file, tmp_path):
    half = tmp_path / "out" / ".sample_0.partial" / "vision.mp4"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    assert cosmos_robot("run", samples_file({}), "--out", "out").exit_code == 0
    assert tree(tmp_path / "out") == {"sample_0"} | {f"sample_0/{name}" for name in FILES}


def test_an_unwritable_folder(cosmos_robot, world_model, samples_file, tmp_path):
    (tmp_path / "out").write_text("a file, where a folder is wanted")
    result = cosmos_robot("run", samples_file({}), "--out", "out")
    assert result.exit_code == 2
    assert "cannot make the folder out/sample_0" in result.stderr
    assert world_model.loaded == []


def test_a_full_disk_fails_the_sample_alone(cosmos_robot, world_model, samples_file, tmp_path, monkeypatch):
    from cosmos_robot.cli import outputs

    def full(path, actions):
        if "sample_0" in str(path):
            raise OSError(28, "No space left on device")
        path.write_text("[[0]]")

    monkeypatch.setattr(outputs, "write_actions_json", full)
    result = cosmos_robot("run", samples_file({}, {}), "--out", "out", "--batch-size", 2)
    assert result.exit_code == 1
    assert result.stderr == f"error: sample_0: cannot write {tmp_path}/out/sample_0: No space left on device.\n"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"sample_1"}


def test_a_long_run_keeps_no_frames(cosmos_robot, world_model, samples_file, video, monkeypatch):
    """Inputs are read one batch at a time, so that a run's videos need not fit into memory together."""
    import weakref

    from cosmos_robot.cli import runner

    alive = []
    read = runner.read_inputs

    def remember(*arguments):
        inputs = read(*arguments)
        alive.append(weakref.ref(inputs))
        return inputs

    monkeypatch.setattr(runner, "read_inputs", remember)
    world_model.before_answer = lambda requests: alive.append(sum(ref() is not None for ref in alive if callable(ref)))
    keys = {"model_mode": "inverse_dynamics", "vision_path": video.name, "action_path": ...}
    assert cosmos_robot("run", samples_file(*[{**keys, "seed": i} for i in range(4)])).exit_code == 0
    assert [count for count in alive if isinstance(count, int)] == [1, 1, 1, 1]
    assert np.all([ref() is None for ref in alive if callable(ref)])
