"""Videos are written and read with real files, made here."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from cosmos_robot.datasets.video import read_first_frame, read_video, write_video
from cosmos_robot.errors import InvalidInputError, MediaError

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def clip(frames=6, height=48, width=64):
    """A smooth gradient with a square that moves, so that order and orientation can be told."""
    rows, columns = np.mgrid[0:height, 0:width]
    video = np.empty((frames, height, width, 3), dtype=np.uint8)
    for index in range(frames):
        video[index] = np.stack([rows * 4, columns * 3, np.full_like(rows, 40)], axis=-1)
        video[index, 4:16, 4 + 6 * index : 16 + 6 * index] = (220, 220, 220)
    return video


def mean_error(a, b):
    return np.abs(a.astype(int) - b.astype(int)).mean()


def test_a_clip_comes_back_nearly_as_it_was(tmp_path):
    video = clip()
    write_video(tmp_path / "a.mp4", video, 10)
    frames, fps = read_video(tmp_path / "a.mp4")
    assert frames.shape == video.shape
    assert frames.dtype == np.uint8
    assert fps == 10.0
    assert mean_error(frames, video) < 2.0
    # each frame is nearer to itself than to its neighbour: nothing is dropped, doubled or reordered
    for index in range(1, len(video)):
        assert mean_error(frames[index], video[index]) < mean_error(frames[index], video[index - 1])


@pytest.mark.parametrize("fps", [3, 10, 29.97002997002997, 30000 / 1001, 7.5])
def test_the_frame_rate_comes_back(tmp_path, fps):
    write_video(tmp_path / "a.mp4", clip(), fps)
    assert read_video(tmp_path / "a.mp4")[1] == pytest.approx(fps, rel=1e-6)


def test_the_file_is_h264_in_yuv420p_and_names_its_colour_matrix(tmp_path):
    write_video(tmp_path / "a.mp4", clip(), 10)
    with av.open(tmp_path / "a.mp4") as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.pix_fmt == "yuv420p"
        frame = next(container.decode(stream))
        assert (int(frame.colorspace), int(frame.color_range)) == (6, 1)


def test_the_encoder_is_set_to_what_gives_the_same_bytes_each_time(tmp_path):
    """libx264 writes its settings into the stream; with its macroblock tree one file of thirty was another here."""
    for name in ("one.mp4", "two.mp4"):
        write_video(tmp_path / name, clip(), 10.0)
    content = (tmp_path / "one.mp4").read_bytes()
    assert b" mbtree=0 " in content
    assert content == (tmp_path / "two.mp4").read_bytes()


def test_odd_sides_are_made_even_by_repeating_the_edge(tmp_path):
    video = clip(height=47, width=63)
    write_video(tmp_path / "a.mp4", video, 10)
    frames, _ = read_video(tmp_path / "a.mp4")
    assert frames.shape == (6, 48, 64, 3)
    assert mean_error(frames[:, :47, :63], video) < 2.0
    assert mean_error(frames[:, 47, :63], video[:, 46]) < 5.0


def test_one_frame_is_a_video(tmp_path):
    write_video(tmp_path / "a.mp4", clip(frames=1), 5)
    assert read_video(tmp_path / "a.mp4")[0].shape == (1, 48, 64, 3)


def test_max_frames_and_the_first_frame(tmp_path):
    write_video(tmp_path / "a.mp4", clip(), 10)
    frames, _ = read_video(tmp_path / "a.mp4")
    assert np.array_equal(read_video(tmp_path / "a.mp4", max_frames=3)[0], frames[:3])
    assert np.array_equal(read_first_frame(tmp_path / "a.mp4"), frames[0])


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize(("code", "kr", "kb"), [(1, 0.2126, 0.0722), (6, 0.299, 0.114)])
def test_the_colour_matrix_of_the_stream_is_used(tmp_path, code, kr, kb, full_range):
    r, g, b = np.array([200, 30, 60]) / 255
    y = kr * r + (1 - kr - kb) * g + kb * b
    u, v = (b - y) / (2 * (1 - kb)), (r - y) / (2 * (1 - kr))
    planes = (255 * y, 128 + 255 * u, 128 + 255 * v) if full_range else (16 + 219 * y, 128 + 224 * u, 128 + 224 * v)
    y, u, v = (round(value) for value in planes)
    raw = np.concatenate([np.full((64, 64), y), np.full((16, 64), u), np.full((16, 64), v)]).astype(np.uint8)
    with av.open(tmp_path / "a.mp4", "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "1"})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        stream.codec_context.colorspace = code
        stream.codec_context.color_range = 2 if full_range else 1
        container.mux(stream.encode(av.VideoFrame.from_ndarray(raw, format="yuv420p")))
        container.mux(stream.encode())
    assert np.abs(read_first_frame(tmp_path / "a.mp4")[32, 32].astype(int) - (200, 30, 60)).max() <= 4


def test_the_last_frames(tmp_path):
    video = clip(9)
    write_video(tmp_path / "a.mp4", video, 10)
    whole, _ = read_video(tmp_path / "a.mp4")
    frames, fps = read_video(tmp_path / "a.mp4", max_frames=4, last=True)
    np.testing.assert_array_equal(frames, whole[-4:])
    assert fps == 10.0
    assert len(read_video(tmp_path / "a.mp4", max_frames=20, last=True)[0]) == 9


def test_a_decompression_bomb(tmp_path):
    """Frames of 8192x8192 in black, some kilobytes: refused before the first is decoded."""
    with av.open(tmp_path / "bomb.mkv", "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.height, stream.width, stream.pix_fmt = 8192, 8192, "gray"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((8192, 8192), np.uint8), format="gray")))
        container.mux(stream.encode())
    assert (tmp_path / "bomb.mkv").stat().st_size < 1_000_000
    for read in (read_video, read_first_frame):
        with pytest.raises(
            MediaError, match=r"too large \(8192x8192 pixels\); expected frames of at most 50 megapixels"
        ):
            read(tmp_path / "bomb.mkv")


def test_the_rotation_in_the_metadata_is_applied(tmp_path):
    video = clip()
    path = tmp_path / "a.mp4"
    write_video(path, video, 10)
    # a phone held upright writes the track's display matrix so: rotate by 90 degrees clockwise to show
    upright = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    turned = struct.pack(">9i", 0, 0x10000, 0, -0x10000, 0, 0, 48 << 16, 0, 0x40000000)
    content = path.read_bytes()
    track = content.index(b"tkhd")
    path.write_bytes(content[:track] + content[track:].replace(upright, turned, 1))
    frames, _ = read_video(path)
    assert frames.shape == (6, 64, 48, 3)
    assert mean_error(frames[0], np.rot90(video[0], k=-1)) < 2.0


def test_a_missing_file(tmp_path):
    with pytest.raises(MediaError, match=r"there is no video .*nothing\.mp4"):
        read_video(tmp_path / "nothing.mp4")


@pytest.mark.parametrize("read", [read_video, read_first_frame])
@pytest.mark.parametrize(("content", "message"), [(b"", "is empty"), (b"not a video" * 99, "does not decode")])
def test_an_empty_or_undecodable_file(tmp_path, read, content, message):
    path = tmp_path / "bad.mp4"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=message) as caught:
        read(path)
    assert "bad.mp4" in str(caught.value)


@pytest.mark.parametrize("kept", [0.5, 0.9, 0.995])
def test_a_truncated_file(tmp_path, kept):
    noise = np.random.default_rng(0).integers(0, 255, (12, 64, 64, 3), dtype=np.uint8)
    write_video(tmp_path / "whole.mp4", noise, 10)
    content = (tmp_path / "whole.mp4").read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(MediaError, match=r"cut\.mp4"):
        read_video(path)


def test_a_truncated_file_whose_decoder_would_paint_over_the_hole(tmp_path):
    path = tmp_path / "cut.mp4"
    with av.open(path, "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for frame in clip():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    assert read_video(path)[0].shape == (6, 48, 64, 3)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(MediaError, match=r"cut\.mp4 is truncated"):
        read_video(path)


def test_a_container_without_a_video_stream(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("aac", rate=48000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 48000
        silence.time_base = Fraction(1, 48000)
        container.mux(stream.encode(silence))
        container.mux(stream.encode())
    with pytest.raises(MediaError, match="no video stream"):
        read_video(path)


@pytest.mark.parametrize(
    ("frames", "fps", "error"),
    [
        (np.zeros((0, 48, 64, 3), np.uint8), 10, "empty"),
        (np.zeros((2, 48, 64, 3), np.float32), 10, "uint8"),
        (np.zeros((2, 48, 64), np.uint8), 10, r"\[N, H, W, 3\]"),
        (np.zeros((2, 48, 64, 3), np.uint8), 0, "fps"),
        (np.zeros((2, 48, 64, 3), np.uint8), float("nan"), "fps"),
    ],
)
def test_what_cannot_be_written_leaves_no_file(tmp_path, frames, fps, error):
    with pytest.raises(InvalidInputError, match=error):
        write_video(tmp_path / "a.mp4", frames, fps)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_write_leaves_the_old_file_and_no_new_one(tmp_path, monkeypatch):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("cosmos_robot.datasets.video.av.open", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_video(path, clip(), 10)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mp4"]
    assert path.read_bytes() == b"old"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real recordings are not here")
def test_real_recordings():
    frames, fps = read_video(SHARED / "av" / "av_0.mp4")
    assert frames.shape == (61, 480, 832, 3)
    assert fps == 10.0
    frames, fps = read_video(SHARED / "umi" / "umi.mp4")
    assert frames.shape == (33, 256, 256, 3)
    assert fps == 20.0
    [episode] = sorted((SHARED / "droid_lerobot_example").rglob("*.mp4"))
    assert read_video(episode, max_frames=2)[0].shape == (2, 360, 640, 3)
