"""Conversions are read back by the lerobot library and compared with the source, number for number."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("lerobot.datasets", reason="the extra lerobot")

from lerobot.datasets.lerobot_dataset import LeRobotDataset
from recorded_episode import RecordedEpisode, RecordedEpisodes
from same_files import assert_same_files
from zarr_v2 import replay_buffer

from cosmos_robot.datasets.convert import NOTES, convert
from cosmos_robot.datasets.open_episodes import open_episodes
from cosmos_robot.datasets.windows import windows
from cosmos_robot.errors import EpisodeError, InvalidInputError

LENGTHS = (5, 4, 6)


def episode(index, **options):
    rng = np.random.default_rng(index)
    length = LENGTHS[index % 3]
    columns = {
        "actions": rng.uniform(0, 512, (length, 2)),
        "obs/gripper": rng.normal(size=length).astype(np.float16),
        "state": rng.normal(size=(length, 3)).astype(np.float32),
        "obs/box": rng.integers(0, 9, (length, 2, 3)),
        "next.success": np.arange(length) == length - 1,
        "index": np.arange(length) + 77,
    }
    cameras = {"top": rng.integers(0, 256, (length, 64, 96, 3), dtype=np.uint8), "obs/wrist": None}
    cameras["obs/wrist"] = rng.integers(0, 256, (length, 64, 64, 3), dtype=np.uint8)
    return RecordedEpisode(columns, cameras, index=index, task=f"do {index % 2}", **options)


NEW_NAMES = {
    "actions": "action",
    "obs/gripper": "observation.gripper",
    "state": "observation.state",
    "obs/box": "observation.box",
    "next.success": "next.success",
}
NEW_CAMERAS = {"top": "observation.images.top", "obs/wrist": "observation.images.obs.wrist"}


def test_everything_goes_over(tmp_path):
    told = []
    source = RecordedEpisodes(episode(index) for index in range(3))
    made = convert(source, tmp_path / "set", storage="image", progress=lambda *numbers: told.append(numbers))
    assert (made.episodes, made.resumed_at, dict(made.skipped)) == (3, 0, {})
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    theirs = LeRobotDataset("local/oracle", root=tmp_path / "set")
    assert theirs.fps == 10
    index = 0
    for number in range(3):
        original = episode(number)
        for step in range(len(original)):
            item = theirs[index]
            assert item["task"] == original.task
            assert int(item["index"]) == index
            for old, new in NEW_NAMES.items():
                value = item[new].numpy()
                assert np.array_equal(value, original.column(old)[step].astype(value.dtype)), new
            for old, new in NEW_CAMERAS.items():
                frame = (item[new].numpy().transpose(1, 2, 0) * 255).round().astype(np.uint8)
                assert np.array_equal(frame, original.frames(old)[step])
            index += 1
    assert index == len(theirs)
    with open_episodes(tmp_path / "set") as ours:
        assert np.array_equal(ours[1].column("action"), episode(1).column("actions"))  # float64 stays float64


def test_a_zarr_on_the_disk_as_video(tmp_path):
    rng = np.random.default_rng(0)
    frames = np.repeat(np.repeat(rng.integers(0, 255, (9, 8, 8, 3), dtype=np.uint8), 12, 1), 12, 2)
    frames[:, 0, 0] = (0, 255, 1)
    actions = rng.uniform(0, 512, (9, 2)).astype(np.float32)
    buffer = replay_buffer([4, 9]).array("data/img", frames).array("data/action", actions)
    with open_episodes(buffer.folder(tmp_path / "pusht.zarr")) as source:
        convert(source, tmp_path / "set", domain="pusht", codec="h264")
        wanted = source[1].actions("pusht").values
    with open_episodes(tmp_path / "set") as made:
        assert [len(each) for each in made] == [4, 5]
        assert np.array_equal(made[1].actions("pusht").values, wanted)
        own = made[1].column("pusht.action")
        assert np.array_equal(own, np.concatenate([wanted, wanted[-1:]]))
        assert np.abs(made[1].frames().astype(int) - frames[4:]).mean() < 12
    info = json.loads((tmp_path / "set/meta/info.json").read_text())
    assert info["features"]["pusht.action"]["names"] == ["target_x", "target_y"]
    assert info["robot_type"] == "pusht"


def test_a_conversion_of_a_conversion_is_the_same(tmp_path):
    convert(RecordedEpisodes([episode(0), episode(1)]), tmp_path / "one", storage="image")
    with open_episodes(tmp_path / "one") as source:
        convert(source, tmp_path / "two", storage="image")
    with open_episodes(tmp_path / "one") as one, open_episodes(tmp_path / "two") as two:
        assert len(one) == len(two) == 2
        for first, second in zip(one, two, strict=True):
            assert (first.task, set(first.columns), first.cameras) == (second.task, set(second.columns), second.cameras)
            for name in first.columns:
                assert np.array_equal(first.column(name), second.column(name))
            for camera in first.cameras:
                assert np.array_equal(first.frames(camera), second.frames(camera))


def test_cameras_that_are_wanted(tmp_path):
    convert(RecordedEpisodes([episode(0)]), tmp_path / "set", cameras=["top"], storage="image")
    with open_episodes(tmp_path / "set") as made:
        assert made[0].cameras == ("observation.images.top",)
    with pytest.raises(InvalidInputError, match="has no camera side; it has top, obs/wrist"):
        convert(RecordedEpisodes([episode(0)]), tmp_path / "other", cameras=["side"])
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


class StopsAt(RecordedEpisodes):
    """A source in whose reading somebody presses Ctrl-C."""

    def __init__(self, episodes, position, step):
        super().__init__(episodes)
        self.position, self.step = position, step

    def _episode(self, position):
        episode = super()._episode(position)
        if position == self.position:
            read = episode._frames

            def stopping(camera, start, stop):
                if stop > self.step:
                    raise KeyboardInterrupt
                return read(camera, start, stop)

            episode._frames = stopping
        return episode


@pytest.mark.parametrize("storage", ["image", "video"])
def test_stopped_and_started_again_it_is_as_made_in_one_go(tmp_path, storage):
    def source():
        return [episode(index, broken={2} if index == 1 else ()) for index in range(4)]

    options = {"storage": storage, "codec": "h264", "on_error": "skip"}
    whole = convert(RecordedEpisodes(source()), tmp_path / "whole" / "set", **options)
    folder = tmp_path / "parts" / "set"
    for position in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            convert(StopsAt(source(), position, 1), folder, **options)
        with open_episodes(folder) as finished:  # what is finished can be read meanwhile
            assert len(finished) == position // 2 + 1
    made = convert(RecordedEpisodes(source()), folder, **options)
    assert (made.episodes, made.skipped) == (whole.episodes, whole.skipped)
    assert (made.episodes, made.resumed_at, list(made.skipped)) == (3, 3, [1])
    assert_same_files(folder, tmp_path / "whole" / "set")
    assert [path.name for path in folder.parent.iterdir()] == ["set"]
    again = convert(RecordedEpisodes(source()), folder, **options)
    assert (again.resumed_at, again.episodes) == (4, 3)


@pytest.mark.slow
def test_a_killed_conversion_goes_on(tmp_path):
    """The program itself, killed by SIGKILL as soon as its second episode is there."""
    rng = np.random.default_rng(0)
    frames = np.repeat(np.repeat(rng.integers(0, 255, (90, 8, 8, 3), dtype=np.uint8), 12, 1), 12, 2)
    frames[:, 0, 0] = (0, 255, 1)
    buffer = replay_buffer([15, 30, 45, 60, 75, 90]).array("data/img", frames)
    buffer.array("data/action", rng.uniform(0, 512, (90, 2)).astype(np.float32)).folder(tmp_path / "a.zarr")
    info = tmp_path / "killed" / "meta" / "info.json"
    command = [sys.executable, "-m", "cosmos_robot.cli", "convert", "a.zarr", "killed", "--codec", "h264"]
    process = subprocess.Popen(command, cwd=tmp_path)
    while process.poll() is None and not (info.is_file() and json.loads(info.read_text())["total_episodes"] >= 2):
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    finished = len(open_episodes(tmp_path / "killed"))
    assert 2 <= finished < 6
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "killed: 6 episodes as LeRobot v3.0" in again.stdout
    with open_episodes(tmp_path / "a.zarr") as source:
        convert(source, tmp_path / "whole", codec="h264")
    assert_same_files(tmp_path / "killed", tmp_path / "whole")


def test_what_cannot_be_read_is_skipped_or_stops(tmp_path):
    def source():
        nan = episode(2)
        nan._columns["state"][3, 1] = np.nan
        smaller = RecordedEpisode({"state": np.zeros((4, 3), np.float32)}, index=4)
        return RecordedEpisodes([episode(0, broken={0}), episode(1), nan, smaller, episode(3)])

    made = convert(source(), tmp_path / "set", storage="image", on_error="skip")
    assert made.episodes == 2
    assert set(made.skipped) == {0, 2, 3}
    assert "frame 0 does not decode" in made.skipped[0]
    assert "row 3 of column 'observation.state' holds NaN" in made.skipped[2]
    assert "lacks column actions" in made.skipped[3]
    with open_episodes(tmp_path / "set") as result:
        assert [each.task for each in result] == ["do 1", "do 1"]
    with pytest.raises(EpisodeError, match="memory, episode 2: row 3"):
        convert(RecordedEpisodes(list(source())[1:]), tmp_path / "stopped", storage="image")
    assert len(open_episodes(tmp_path / "stopped")) == 1


def test_another_conversion_is_not_mixed_in(tmp_path):
    convert(RecordedEpisodes([episode(0)]), tmp_path / "set", storage="image")
    with pytest.raises(InvalidInputError, match=r"begun with other settings .*episodes was 1 and is 2"):
        convert(RecordedEpisodes([episode(0), episode(1)]), tmp_path / "set", storage="image")
    (tmp_path / "set" / NOTES).unlink()
    with pytest.raises(InvalidInputError, match="made otherwise"):
        convert(RecordedEpisodes([episode(0)]), tmp_path / "set", storage="image")
    (tmp_path / "set" / NOTES).write_text("{")
    with pytest.raises(EpisodeError, match="is damaged"):
        convert(RecordedEpisodes([episode(0)]), tmp_path / "set", storage="image")


def test_a_rate_that_lerobot_does_not_have(tmp_path):
    source = RecordedEpisodes([episode(0, fps=60000 / 1001)])
    with pytest.raises(InvalidInputError, match=r"has 59\.9401 time steps a second.*fps=60"):
        convert(source, tmp_path / "set", storage="image")
    convert(source, tmp_path / "set", storage="image", fps=60)
    assert open_episodes(tmp_path / "set").fps == 60


def test_names_that_would_become_one(tmp_path):
    columns = {"state": np.zeros((4, 3), np.float32), "obs/state": np.ones((4, 5), np.float32)}
    with pytest.raises(
        InvalidInputError, match=r"columns 'state' and 'obs/state' of .* be called 'observation\.state'"
    ):
        convert(RecordedEpisodes([RecordedEpisode(columns)]), tmp_path / "set", storage="image", on_error="skip")
    top = np.zeros((4, 64, 64, 3), np.uint8)
    twice = RecordedEpisodes([RecordedEpisode({}, {"top": top, "observation.images.top": top})])
    with pytest.raises(InvalidInputError, match=r"cameras 'top' and 'observation\.images\.top' of .* would both"):
        convert(twice, tmp_path / "set", storage="image")
    assert convert(twice, tmp_path / "set", cameras=["top"], storage="image").episodes == 1


def test_nothing_that_can_be_read(tmp_path):
    bad = RecordedEpisodes([episode(index, broken={0}) for index in range(3)])
    made = convert(bad, tmp_path / "set", storage="image", on_error="skip")
    assert (made.episodes, list(made.skipped)) == (0, [0, 1, 2])


def test_a_slice_of_a_dataset(tmp_path):
    source = RecordedEpisodes(episode(index) for index in range(4))
    assert convert(source[1:3], tmp_path / "set", storage="image").episodes == 2
    assert [each.task for each in open_episodes(tmp_path / "set")] == ["do 1", "do 0"]
    assert convert(source[1:3], tmp_path / "set", storage="image").resumed_at == 2
    with pytest.raises(InvalidInputError, match=r"chosen was \[1, 3, 1\] and is \[2, 4, 1\]"):
        convert(source[2:], tmp_path / "set", storage="image")


def test_windows_of_a_conversion_are_those_of_its_source(tmp_path):
    length = 40
    columns = {
        "robot0_eef_pos": np.random.default_rng(0).normal(scale=0.01, size=(length, 3)).cumsum(axis=0),
        "robot0_eef_rot_axis_angle": np.random.default_rng(1).normal(scale=0.1, size=(length, 3)),
        "robot0_gripper_width": np.linspace(0, 0.08, length)[:, None],
    }
    pictures = {"camera0_rgb": np.zeros((length, 64, 64, 3), np.uint8)}
    source = RecordedEpisodes([RecordedEpisode(columns, pictures, fps=60)])
    convert(source, tmp_path / "set", domain="umi", storage="image")
    with open_episodes(tmp_path / "set") as made:
        there, here = windows(source, "umi", 4), windows(made, "umi", 4, cameras=made[0].cameras)
        assert len(there) == len(here) > 1
        for ours, theirs in zip(here, there, strict=True):
            assert np.allclose(ours.actions.values, theirs.actions.values, atol=1e-5)
