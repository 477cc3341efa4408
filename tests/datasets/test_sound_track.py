"""Sound beside a video: what is written is heard again, at its time."""

import itertools

import av
import numpy as np
import pytest

from cosmos_robot.datasets.sound_track import read_sound
from cosmos_robot.datasets.video import read_video, write_video
from cosmos_robot.errors import MediaError
from cosmos_robot.types import Sound

FPS = 24.0


def tones(rate, seconds, channels=2):
    """A tone in each channel, 440 and 660 Hz, with silence in the middle third."""
    time = np.arange(int(rate * seconds)) / rate
    silent = (time > seconds / 3) & (time < 2 * seconds / 3)
    samples = np.stack([0.5 * np.sin(2 * np.pi * hertz * time) for hertz in (440, 660)])[:channels]
    return Sound(np.where(silent, 0, samples).astype(np.float32), rate)


def clip(count=24):
    ramp = np.linspace(0, 255, 64 * 96 * 3).reshape(64, 96, 3)
    return np.stack([np.roll(ramp, i, axis=1).astype(np.uint8) for i in range(count)])


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 48000])
def test_what_is_written_is_heard(rate, channels, tmp_path):
    path, sound = tmp_path / "clip.mp4", tones(rate, 1.0, channels)
    write_video(path, clip(), FPS, sound=sound)
    heard = read_sound(path)
    assert heard.sample_rate == rate
    assert heard.samples.shape[0] == channels
    assert abs(heard.samples.shape[1] - rate) <= 2 * 1024  # AAC has whole frames of 1024 samples
    count = min(rate, heard.samples.shape[1])
    for channel in range(channels):
        given, got = sound.samples[channel, :count], heard.samples[channel, :count]
        assert np.corrcoef(given, got)[0, 1] > 0.95  # falls below for a shift of a tenth of a period


def test_streams_and_their_lengths(tmp_path):
    path = tmp_path / "clip.mp4"
    write_video(path, clip(), FPS, sound=tones(48000, 1.0))
    with av.open(path) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec.canonical_name, audio.codec.canonical_name) == ("h264", "aac")
        assert float(audio.duration * audio.time_base) == pytest.approx(1.0, abs=0.05)


def test_the_sound_of_a_long_video_lies_beside_its_pictures(tmp_path):
    path, seconds = tmp_path / "long.mp4", 15
    write_video(path, clip(1)[:, :16, :16].repeat(seconds * 24, axis=0), FPS, sound=tones(8000, seconds))
    with av.open(path) as container:
        packets = sorted((packet.pos, packet.stream.type, packet.pts) for packet in container.demux() if packet.size)
    runs = [len(list(run)) for _, run in itertools.groupby(packets, key=lambda packet: packet[1])]
    assert sum(runs) > 400
    assert max(runs) < 24  # a second of pictures


def test_pictures_are_those_of_a_silent_video(tmp_path):
    write_video(tmp_path / "silent.mp4", clip(), FPS)
    write_video(tmp_path / "heard.mp4", clip(), FPS, sound=tones(48000, 1.0))
    silent, heard = read_video(tmp_path / "silent.mp4"), read_video(tmp_path / "heard.mp4")
    np.testing.assert_array_equal(silent[0], heard[0])
    assert silent[1] == heard[1] == FPS
    assert read_sound(tmp_path / "silent.mp4") is None


def test_sample_rate_that_aac_has_not(tmp_path):
    with pytest.raises(MediaError, match="48000"):
        write_video(tmp_path / "clip.mp4", clip(), FPS, sound=Sound(np.zeros((2, 100)), 12345))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("samples", [np.zeros(8), np.zeros((3, 8)), np.full((1, 8), np.nan)], ids=["1d", "3", "nan"])
def test_samples_that_are_none(samples):
    with pytest.raises(MediaError, match="finite samples"):
        Sound(samples, 48000)


def test_no_sound_file(tmp_path):
    with pytest.raises(MediaError, match="check the path"):
        read_sound(tmp_path / "none.mp4")
    (tmp_path / "text.mp4").write_text("text")
    with pytest.raises(MediaError, match="does not decode"):
        read_sound(tmp_path / "text.mp4")
