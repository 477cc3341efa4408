import json
from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip("lerobot.datasets", reason="the extra lerobot")

import av
from brightness_model import BrightnessModel, action_of, frames_of, step_of
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from same_files import assert_same_files

from cosmos_robot.datasets.open_episodes import open_episodes
from cosmos_robot.datasets.video import write_video
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.errors import InvalidInputError, MediaError
from cosmos_robot.labelling.labelled_dataset import LabelOutput, find_videos, label_videos
from cosmos_robot.labelling.video_labels import LabelSettings

COUNTS = (20, 9, 13)
CAMERA = "observation.images.video"


@pytest.fixture
def videos(tmp_path):
    """Three videos; two of ten frames a second, and one of thirty of which every third frame counts."""
    folder = tmp_path / "videos"
    folder.mkdir()
    for index, count in enumerate(COUNTS):
        frames = frames_of(count)
        if index == 2:
            frames = np.repeat(frames, 3, axis=0)
        write_video(folder / f"{index}.mp4", frames, 30 if index == 2 else 10)
    (folder / "readme.txt").write_text("no video")
    return folder


def label(videos, folder, model, *, domain="pusht", on_error="raise", **options):
    settings = LabelSettings(get_domain(domain), prompt="push", action_chunk_size=8, **options)
    output = LabelOutput(folder, codec="h264", checkpoint="brightness", on_error=on_error)
    return label_videos(lambda: model, find_videos([videos]), settings, output)


def test_videos_become_a_dataset(tmp_path, videos):
    made = label(videos, tmp_path / "set", BrightnessModel())
    assert (made.episodes, made.resumed_at, dict(made.skipped)) == (3, 0, {})
    theirs = LeRobotDataset("local/oracle", root=tmp_path / "set", video_backend="pyav")
    assert (theirs.num_episodes, len(theirs), theirs.fps, theirs.meta.robot_type) == (3, sum(COUNTS), 10, "pusht")
    assert theirs.features["action"]["names"] == ["target_x", "target_y"]
    index = 0
    for count in COUNTS:
        for step in range(count):
            item = theirs[index]
            here = min(step, count - 2)
            assert np.allclose(item["action"], action_of(here, here + 1, "pusht"), atol=1e-3)
            assert item["task"] == "push"
            assert abs(float(item[CAMERA].mean()) * 255 - 4 * step) < 2.5
            index += 1
    with open_episodes(tmp_path / "set") as ours:
        assert np.array_equal(ours[0].actions("pusht").values, ours[0].column("pusht.action")[:-1])


def test_poses_are_states(tmp_path, videos):
    label(videos, tmp_path / "set", BrightnessModel(), domain="av", fps=10.0)
    with open_episodes(tmp_path / "set") as made:
        rows = made[0].column("observation.pose.ego")
        assert rows.shape == (20, 9)
        pose = np.eye(4)
        for step in range(20):
            assert np.allclose(rows[step], np.concatenate([pose[:3, 3], pose[:3, 0], pose[:3, 1]]), atol=1e-3)
            pose = pose @ step_of(step)


class StopsAfter(BrightnessModel):
    def __init__(self, answers):
        super().__init__()
        self.answers = answers

    def generate(self, requests, *, progress=None):
        if len(self.requests) >= self.answers:
            raise KeyboardInterrupt
        return super().generate(requests, progress=progress)


def test_stopped_and_started_again_it_is_as_made_in_one_go(tmp_path, videos):
    label(videos, tmp_path / "whole" / "set", BrightnessModel())
    folder = tmp_path / "parts" / "set"
    with pytest.raises(KeyboardInterrupt):
        label(videos, folder, StopsAfter(4))  # three answers are the first video's
    assert len(open_episodes(folder)) == 2
    model = BrightnessModel()
    assert label(videos, folder, model).resumed_at == 2
    assert len(model.requests) == 2  # of the last video only
    assert_same_files(folder, tmp_path / "whole" / "set")
    assert [path.name for path in folder.parent.iterdir()] == ["set"]
    unused = BrightnessModel()
    assert label(videos, folder, unused).episodes == 3
    assert unused.requests == []
    with pytest.raises(InvalidInputError, match=r"begun with other settings .*seed was 0 and is 1"):
        label(videos, folder, BrightnessModel(), seed=1)


def test_videos_that_cannot_be_used(tmp_path, videos):
    content = (videos / "0.mp4").read_bytes()
    (videos / "0.mp4").write_bytes(content[: len(content) // 2])
    write_video(videos / "3.mp4", frames_of(9)[:, :32], 10)
    write_video(videos / "4.mp4", frames_of(9), 5)
    made = label(videos, tmp_path / "set", BrightnessModel(), on_error="skip")
    assert made.episodes == 2
    assert {0, 3, 4} == set(made.skipped)
    assert "0.mp4" in made.skipped[0]
    assert "is 32x96 (HxW); this dataset's are 64x96" in made.skipped[3]
    assert "5 frames a second" in made.skipped[4]
    notes = json.loads((tmp_path / "set/meta/labels.json").read_text())
    assert notes["settings"]["videos"] == ["0.mp4", "1.mp4", "2.mp4", "3.mp4", "4.mp4"]
    with pytest.raises(MediaError, match=r"0\.mp4"):
        label(videos, tmp_path / "other", BrightnessModel())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set", "videos"]


def test_finding_videos(tmp_path, videos):
    assert [path.name for path in find_videos([videos / "2.mp4", videos])] == ["2.mp4", "0.mp4", "1.mp4", "2.mp4"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(MediaError, match="holds no video"):
        find_videos([tmp_path / "empty"])
    with pytest.raises(MediaError, match="there is no video"):
        find_videos([tmp_path / "nothing.mp4"])


def test_the_frame_rate_of_television(tmp_path):
    """29.97 frames a second for a robot of 30: every frame is labelled."""
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos/a.mp4", np.zeros((700, 64, 64, 3), np.uint8), 30000 / 1001)
    label(tmp_path / "videos", tmp_path / "set", BrightnessModel(), domain="camera_pose")
    assert len(open_episodes(tmp_path / "set")[0]) == 700


def phone_video(path, times):
    """A video of frames of `frames_of` whose times are these."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 3000)
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(frames_of(number + 1)[-1], format="rgb24")
            frame.pts, frame.time_base = round(time * 3000), Fraction(1, 3000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def test_a_phone_s_video_goes_by_the_times_of_its_frames(tmp_path):
    (tmp_path / "videos").mkdir()
    phone_video(tmp_path / "videos/a.mp4", [*np.arange(30) / 30, *(1 + np.arange(10) / 10)])
    label(tmp_path / "videos", tmp_path / "set", BrightnessModel())
    with open_episodes(tmp_path / "set") as made:
        brightness = made[0].frames().mean(axis=(1, 2, 3))
    assert np.abs(brightness / 4 - [*range(0, 30, 3), *range(30, 40)]).max() < 0.7


@pytest.mark.parametrize("suffix", ["avi", "mkv"])
def test_containers_without_exact_times(tmp_path, suffix):
    (tmp_path / "videos").mkdir()
    with av.open(tmp_path / f"videos/a.{suffix}", "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for frame in frames_of(60):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    label(tmp_path / "videos", tmp_path / "set", BrightnessModel())
    with open_episodes(tmp_path / "set") as made:
        brightness = made[0].frames().mean(axis=(1, 2, 3))
    assert np.abs(brightness / 4 - np.arange(0, 60, 3)).max() < 0.7


@pytest.mark.parametrize("order", [("odd", "even"), ("even", "odd")])
def test_odd_sides_are_made_even(tmp_path, order):
    folder = tmp_path / "videos"
    folder.mkdir()
    for number, kind in enumerate(order):
        frames = frames_of(9)[:, :63, :95] if kind == "odd" else frames_of(9)
        with av.open(folder / f"{number}.mkv", "w") as container:
            stream = container.add_stream("ffv1", rate=10)
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = "yuv444p"
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
    made = label(folder, tmp_path / "set", BrightnessModel(), on_error="skip")
    assert (made.episodes, dict(made.skipped)) == (2, {})
    with open_episodes(tmp_path / "set") as result:
        assert [each.frames().shape for each in result] == [(9, 64, 96, 3)] * 2


def test_an_unknown_word_for_what_to_do_at_errors(tmp_path):
    with pytest.raises(InvalidInputError, match="on_error is 'raise' or 'skip'; got 'ignore'"):
        LabelOutput(tmp_path / "set", on_error="ignore")
