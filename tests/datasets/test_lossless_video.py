"""Videos without loss: what is read is what was written, to the last pixel and sample."""

import numpy as np
import pytest

from cosmos_robot.datasets.lossless_video import write_lossless_video
from cosmos_robot.datasets.sound_track import read_sound
from cosmos_robot.datasets.video import read_video, write_video
from cosmos_robot.errors import InvalidInputError, MediaError
from cosmos_robot.types import Sound


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(("shape", "fps"), [((17, 64, 96, 3), 10.0), ((1, 17, 33, 3), 24.0), ((5, 32, 32, 3), 29.97)])
def test_every_pixel_comes_back(tmp_path, shape, fps):
    frames = noise(*shape)
    write_lossless_video(tmp_path / "a.mkv", frames, fps)
    found, rate = read_video(tmp_path / "a.mkv")
    np.testing.assert_array_equal(found, frames)
    assert rate == pytest.approx(fps, rel=1e-3)


def test_the_usual_video_loses_some(tmp_path):
    frames = noise(5, 32, 32, 3)
    write_video(tmp_path / "a.mp4", frames, 10)
    assert not np.array_equal(read_video(tmp_path / "a.mp4")[0], frames)


@pytest.mark.parametrize("channels", [1, 2])
def test_every_sample_comes_back(tmp_path, channels):
    samples = np.random.default_rng(1).uniform(-1, 1, (channels, 20_001)).astype(np.float32)
    write_lossless_video(tmp_path / "a.mkv", noise(9, 32, 32, 3), 10, sound=Sound(samples, 22_050))
    found = read_sound(tmp_path / "a.mkv")
    assert found.sample_rate == 22_050
    np.testing.assert_array_equal(found.samples, samples)


def test_what_is_no_video(tmp_path):
    with pytest.raises(MediaError, match="empty"):
        write_lossless_video(tmp_path / "a.mkv", noise(0, 32, 32, 3), 10)
    with pytest.raises(InvalidInputError, match="fps"):
        write_lossless_video(tmp_path / "a.mkv", noise(1, 32, 32, 3), 0)
    assert not (tmp_path / "a.mkv").exists()
