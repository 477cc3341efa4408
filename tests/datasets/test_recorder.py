"""Recorded datasets are read back by the lerobot library and by our own reader; crashes are real ones."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lerobot.datasets", reason="the extra lerobot")

import recording
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from same_files import assert_same_files
from small_disk import small_disk

from cosmos_robot.datasets.open_episodes import open_episodes
from cosmos_robot.datasets.recorded_features import Column, RecordedFeatures
from cosmos_robot.datasets.recorder import EpisodeRecorder
from cosmos_robot.errors import EpisodeError, InvalidInputError, MediaError

PROGRAM = Path(recording.__file__)


def recorder(folder, features=None, **options):
    return EpisodeRecorder(
        folder, **{"fps": recording.FPS, "features": features or recording.features(), "codec": "h264", **options}
    )


def require_episodes(folder, count, *, exact=False, success=True, joining=0):
    """Check by the lerobot library and by our reader that a dataset holds these episodes."""
    dataset = LeRobotDataset("local/oracle", root=folder, video_backend="pyav")
    ours = open_episodes(folder)
    assert dataset.num_episodes == count
    assert len(ours) in (count, count + joining)  # the table of episodes is moved before the count of them
    assert len(dataset) == sum(map(recording.length, range(count)))
    tolerance = 0 if exact else 4
    index = 0
    for episode in range(count):
        mine = ours[episode]
        assert mine.task == recording.task(episode)
        assert len(mine) == recording.length(episode)
        for step in range(recording.length(episode)):
            item = dataset[index]
            assert (int(item["index"]), int(item["episode_index"]), int(item["frame_index"])) == (index, episode, step)
            assert item["task"] == recording.task(episode)
            assert float(item["timestamp"]) == pytest.approx(step / recording.FPS)
            for name, value in recording.values(episode, step).items():
                theirs = np.squeeze(item[name].numpy())  # they make all floats float32
                assert np.array_equal(theirs, np.asarray(value).astype(theirs.dtype)), name
                assert np.array_equal(mine.column(name)[step], value), name
            if success:
                reached = episode % 2 == 0 and step == recording.length(episode) - 1
                assert bool(item["next.success"]) is reached
            for name, frame in recording.frames(episode, step).items():
                theirs = (item[name].numpy().transpose(1, 2, 0) * 255).round().astype(int)
                assert np.abs(theirs - frame).mean() <= tolerance, (name, episode, step)
                assert np.array_equal(mine.frames(name, step, step + 1)[0], theirs)
            index += 1
    ours.close()


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run(*arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.run(
        [sys.executable, str(PROGRAM), *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


@pytest.mark.parametrize(
    ("storage", "codec"), [("video", "libsvtav1"), ("video", "h264"), ("image", "h264")], ids=["av1", "h264", "image"]
)
def test_episodes_come_back(tmp_path, storage, codec):
    with recorder(tmp_path / "set", recording.features(storage), codec=codec, robot_type="pusher") as writer:
        assert not (tmp_path / "set").exists()
        for episode in range(3):
            assert recording.record(writer, episode) == episode
            require_episodes(tmp_path / "set", episode + 1, exact=storage == "image")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert os.sched_getscheduler(0) == os.SCHED_OTHER  # SVT-AV1 makes its caller a realtime thread, if it is root
    info = json.loads((tmp_path / "set/meta/info.json").read_text())
    assert (info["codebase_version"], info["robot_type"], info["total_tasks"]) == ("v3.0", "pusher", 2)
    assert info["features"]["action"]["names"] == ["x", "y"]
    assert len(list((tmp_path / "set/data").rglob("*.parquet"))) == 1


def test_statistics_are_those_of_the_whole(tmp_path):
    with recorder(tmp_path / "set", recording.features("image")) as writer:
        for episode in range(3):
            recording.record(writer, episode)
    stats = LeRobotDataset("local/oracle", root=tmp_path / "set").meta.stats
    steps = [(episode, step) for episode in range(3) for step in range(recording.length(episode))]
    state = np.stack([recording.values(*place)["observation.state"] for place in steps])
    assert np.allclose(stats["observation.state"]["mean"], state.mean(axis=0))
    assert np.allclose(stats["observation.state"]["std"], state.std(axis=0))
    assert np.allclose(stats["observation.state"]["min"], state.min(axis=0))
    for name, numbers in (
        ("index", range(len(steps))),
        ("episode_index", [episode for episode, _ in steps]),
        ("task_index", [episode % 2 for episode, _ in steps]),
    ):
        for figure in ("mean", "std", "min", "max"):
            assert stats[name][figure][0] == pytest.approx(getattr(np, figure)(list(numbers))), (name, figure)


def test_a_second_recorder_goes_on_as_if_there_were_one(tmp_path):
    with recorder(tmp_path / "one") as writer:
        for episode in range(3):
            recording.record(writer, episode)
    for episode in range(3):
        with recorder(tmp_path / "three") as writer:
            assert writer.episodes == episode
            recording.record(writer, episode)
    assert_same_files(tmp_path / "one", tmp_path / "three")
    [video] = (tmp_path / "one/videos" / recording.TOP).rglob("*.mp4")
    assert b" mbtree=0 " in video.read_bytes()  # with it one file of eighty was another; see `REPRODUCIBLE_X264`
    require_episodes(tmp_path / "three", 3)


@pytest.mark.parametrize("storage", ["video", "image"])
def test_full_files_are_followed_by_new_ones(tmp_path, storage):
    with recorder(tmp_path / "set", recording.features(storage), data_mb=1e-6, video_mb=1e-6) as writer:
        for episode in range(3):
            recording.record(writer, episode)
    require_episodes(tmp_path / "set", 3, exact=storage == "image")
    assert len(list((tmp_path / "set/data").rglob("*.parquet"))) == 3
    assert len(list((tmp_path / "set/videos").rglob("*.mp4"))) == (6 if storage == "video" else 0)


def test_a_dataset_of_the_lerobot_library_is_appended_to(tmp_path):
    dataset = LeRobotDataset.create(
        "local/theirs", recording.FPS, recording.features().as_lerobot(), root=tmp_path / "set", video_backend="pyav"
    )
    for step in range(recording.length(0)):
        row = {**recording.frames(0, step), **recording.values(0, step), "task": recording.task(0)}
        row["count"] = np.array([row["count"]])
        dataset.add_frame({**row, "next.success": np.array([step == recording.length(0) - 1])})
    dataset.save_episode(parallel_encoding=False)
    dataset.finalize()
    with recorder(tmp_path / "set") as writer:  # h264 behind their av1: in files of its own
        recording.record(writer, 1)
        recording.record(writer, 2)
    require_episodes(tmp_path / "set", 3)
    assert len(list((tmp_path / "set/videos" / recording.TOP).rglob("*.mp4"))) == 3


def test_what_is_not_finished_is_dropped(tmp_path):
    with recorder(tmp_path / "set") as writer:
        recording.record(writer, 0)
        writer.add_frame(recording.frames(1, 0), recording.values(1, 0))
        assert writer.rows == 1
        writer.discard_episode()
        assert writer.rows == 0
        recording.record(writer, 1)
        writer.add_frame(recording.frames(2, 0), recording.values(2, 0))
    require_episodes(tmp_path / "set", 2)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    with pytest.raises(InvalidInputError, match="is closed"):
        writer.add_frame(recording.frames(2, 0), recording.values(2, 0))


def test_nothing_recorded_leaves_nothing(tmp_path):
    with recorder(tmp_path / "set") as writer, pytest.raises(InvalidInputError, match="no time step was recorded"):
        writer.finish_episode("task", success=True)
    assert list(tmp_path.iterdir()) == []


def test_files_beside_the_episodes_change_with_them(tmp_path):
    with recorder(tmp_path / "set", recording.features("image", success=False)) as writer:
        writer.add_frame(recording.frames(0, 0), recording.values(0, 0))
        writer.finish_episode(notes={"meta/origin.json": "one"})
        assert (tmp_path / "set/meta/origin.json").read_text() == "one"
        writer.add_frame(recording.frames(0, 0), recording.values(0, 0))
        writer.finish_episode(notes={"meta/origin.json": "two"})
    assert (tmp_path / "set/meta/origin.json").read_text() == "two"
    assert open_episodes(tmp_path / "set")[1].task == ""


def test_two_recorders_do_not_write_to_one_folder(tmp_path):
    with recorder(tmp_path / "set"), pytest.raises(InvalidInputError, match="another recorder is writing"):
        recorder(tmp_path / "set")
    recorder(tmp_path / "set").close()


def test_other_features_are_not_mixed(tmp_path):
    with recorder(tmp_path / "set") as writer:
        recording.record(writer, 0)
    before = contents(tmp_path / "set")
    with pytest.raises(InvalidInputError, match=r"next\.success is bool \[1\] there and absent here"):
        recorder(tmp_path / "set", recording.features(success=False))
    with pytest.raises(InvalidInputError, match=r"action is float32 \[2\] \(x, y\) there and float32 \[3\] here"):
        recorder(tmp_path / "set", RecordedFeatures(columns={"action": Column((3,))}))
    with pytest.raises(InvalidInputError, match="fps 10, not 5"):
        recorder(tmp_path / "set", fps=5)
    with pytest.raises(InvalidInputError, match="robot_type None, not 'arm'"):
        recorder(tmp_path / "set", robot_type="arm")
    assert contents(tmp_path / "set") == before
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_folder_with_something_else(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "thesis.txt").write_text("mine")
    with pytest.raises(InvalidInputError, match="holds something that is no LeRobot dataset"):
        recorder(tmp_path / "set")
    with pytest.raises(InvalidInputError, match="is a file"):
        recorder(tmp_path / "set" / "thesis.txt")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["set", "thesis.txt"]


def test_a_damaged_dataset_is_not_appended_to(tmp_path):
    with recorder(tmp_path / "set") as writer:
        recording.record(writer, 0)
    [table] = (tmp_path / "set/meta/episodes").rglob("*.parquet")
    table.write_bytes(table.read_bytes()[:-20])
    with pytest.raises(EpisodeError, match="cannot be appended to"):
        recorder(tmp_path / "set")


def step(**changes):
    return {**recording.frames(0, 0), **recording.values(0, 0), **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"action": [1.0]}, r"row 1 of column 'action' has shape \(1,\); this dataset's rows have \(2,\)"),
        ({"action": [np.nan, 1.0]}, "row 1 of column 'action' holds NaN"),
        ({"count": 1.5}, "row 1 of column 'count' does not fit int64"),
        ({"action": ["a", "b"]}, "a column holds numbers"),
        ({recording.TOP: np.zeros((64, 64, 3), np.uint8)}, "frame 1 of camera .* is 64x64"),
        ({recording.TOP: np.zeros((64, 96, 3))}, "images must be uint8"),
        ({"speed": 1.0}, "exactly the columns action, observation.state, count; got .*speed"),
    ],
)
def test_bad_rows(tmp_path, changes, message):
    cameras = set(recording.features().cameras)
    given = step(**changes)
    with recorder(tmp_path / "set") as writer:
        writer.add_frame(recording.frames(0, 0), recording.values(0, 0))
        with pytest.raises((InvalidInputError, MediaError), match=message):
            writer.add_frame(
                {name: value for name, value in given.items() if name in cameras},
                {name: value for name, value in given.items() if name not in cameras},
            )
        writer.add_frame(recording.frames(0, 1), recording.values(0, 1))  # what was refused has left no trace
        writer.finish_episode("task", success=False)
    assert len(open_episodes(tmp_path / "set")[0]) == 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (RecordedFeatures, "nothing to record"),
        (lambda: RecordedFeatures(columns={"index": Column((1,))}), "LeRobot writes .* itself"),
        (lambda: RecordedFeatures(columns={"obs/state": Column((1,))}), "names have no slash"),
        (lambda: RecordedFeatures(cameras={"top": (63, 64)}), "63x64 .* even sides only"),
        (lambda: Column((2,), names=("x",)), "1 names do not fit"),
        (lambda: Column(()), r"\(1,\) for a single number"),
        (lambda: Column((1,), "complex64"), "cannot be of .*'complex64'"),
    ],
)
def test_bad_features(wrong, message):
    with pytest.raises(InvalidInputError, match=message):
        wrong()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"fps": 29.97}, "a whole number of time steps a second"), ({"codec": "vp9"}, "cannot be encoded with .*'vp9'")],
)
def test_bad_options(tmp_path, options, message):
    with pytest.raises(InvalidInputError, match=message):
        recorder(tmp_path / "set", **options)
    assert list(tmp_path.iterdir()) == []


def test_without_lerobot(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lerobot.datasets.lerobot_dataset", None)
    with pytest.raises(ImportError, match=r"cosmos-robot\[lerobot\]"):
        recorder(tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("killed_at", [0, 3])
def test_a_process_killed_in_an_episode(tmp_path, killed_at):
    result = run(tmp_path / "set", "frame", 2, killed_at)
    assert result.returncode == -9
    require_episodes(tmp_path / "set", 2)
    with recorder(tmp_path / "set") as writer:
        assert writer.episodes == 2
        recording.record(writer, 2)
    require_episodes(tmp_path / "set", 3)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.slow
@pytest.mark.parametrize("finished", [0, 2])
def test_a_process_killed_between_any_two_moves(tmp_path, finished):
    """Whichever file is the last that came into place, the dataset is whole, and the next recorder ends the job."""
    result = run(tmp_path, "moves", finished)
    assert result.returncode == 0, result.stderr
    moves = int(result.stdout)
    assert moves == (6 if finished else 1)  # two videos, data, episodes, statistics, info; or the folder at once
    for move in range(moves):
        folder = tmp_path / f"{move:02d}"
        if finished:
            require_episodes(folder, finished, joining=1)
        else:
            assert not folder.exists()
        with recorder(folder) as writer:
            assert writer.episodes == finished + 1
            require_episodes(folder, finished + 1)
            recording.record(writer, finished + 1)
        require_episodes(folder, finished + 2)
    require_episodes(tmp_path / f"{moves:02d}", finished + 1)


@pytest.mark.parametrize("storage", ["video", "image"])
def test_a_full_disk(tmp_path, storage):
    finished = 0
    with small_disk(tmp_path / "disk", 600) as disk:
        with recorder(disk / "set", recording.features(storage)) as writer:
            with pytest.raises(InvalidInputError, match=r"No space left|not whole"):  # noqa: PT012
                while finished < 50:
                    recording.record(writer, finished)
                    finished += 1
            assert 2 <= finished < 50
            require_episodes(disk / "set", finished, exact=storage == "image")
        assert [path.name for path in disk.iterdir()] == ["set"]
        require_episodes(disk / "set", finished, exact=storage == "image")


@pytest.mark.parametrize(
    ("dtype", "value", "kept"),
    [
        ("float32", 1e39, None),
        ("float64", 1e39, 1e39),
        ("bool", 0.5, None),
        ("bool", 2, None),
        ("bool", 1, True),
        ("uint8", 256, None),
    ],
)
def test_numbers_that_a_dtype_does_not_hold(dtype, value, kept):
    features = RecordedFeatures(columns={"a": Column((1,), dtype)})
    if kept is None:
        with pytest.raises(InvalidInputError, match=f"row 4 of column 'a' does not fit {dtype}"):
            features.row({}, {"a": value}, 4)
    else:
        assert features.row({}, {"a": value}, 4)["a"].tolist() == [kept]
