"""Frames come back by number, from any place, with no more decoding than the keyframes force."""

import multiprocessing
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from numbered_video import numbers_of, read_elsewhere, write_numbered

from cosmos_robot.datasets.frame_reader import FrameError, FrameReader
from cosmos_robot.datasets.video import read_video
from cosmos_robot.errors import EpisodeWarning, InvalidInputError, MediaError, MissingDependencyError

NO_B_FRAMES = {"g": "10", "bf": "0", "sc_threshold": "0"}
CODINGS = {
    "H.264": ("a.mp4", "libx264", NO_B_FRAMES),
    "H.264 with reordered frames": ("a.mp4", "libx264", {"g": "12", "bf": "3", "sc_threshold": "0"}),
    "H.264 with open groups": ("a.mp4", "libx264", {"x264-params": "keyint=12:min-keyint=12:open-gop=1:bframes=3"}),
    "AV1 as lerobot writes it": ("a.mp4", "libsvtav1", {"g": "2", "preset": "12", "crf": "30"}),
    "VP9 in Matroska": ("a.mkv", "libvpx-vp9", {"g": "15", "deadline": "realtime", "cpu-used": "8"}),
}


@pytest.fixture
def torchcodec_reader():
    try:
        return FrameReader(10, backend="torchcodec")
    except MissingDependencyError as error:
        pytest.skip(str(error))


def open_videos():
    """Paths of the videos that this process holds open, from the operating system."""
    links = Path("/proc/self/fd").iterdir()
    return [str(target) for link in links if (target := link.resolve()).suffix in (".mp4", ".mkv")]


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("threads", [1, 2])
def test_any_window_has_exactly_its_frames(tmp_path, coding, threads):
    name, codec, options = CODINGS[coding]
    path = write_numbered(tmp_path / name, range(60), codec=codec, options=options)
    reader = FrameReader(10, threads=threads)
    rng = np.random.default_rng(0)
    for start in (59, 0, 12, 11, *rng.integers(0, 60, size=40)):
        stop = int(rng.integers(start + 1, 61))
        assert numbers_of(reader.read(path, int(start), stop)) == list(range(start, stop))


@pytest.mark.parametrize("fps", [3, 29.97002997002997, 50])
def test_the_frame_rate_does_not_matter(tmp_path, fps):
    path = write_numbered(tmp_path / "a.mp4", range(40), fps=fps)
    reader = FrameReader(fps)
    for start in (33, 7, 21, 39):
        assert numbers_of(reader.read(path, start, start + 1)) == [start]


def test_frames_are_those_of_reading_the_whole_file(tmp_path):
    path = write_numbered(tmp_path / "a.mp4", range(30))
    whole, _ = read_video(path)
    assert np.array_equal(FrameReader(10).read(path, 11, 28), whole[11:28])


@pytest.mark.parametrize("start", [0, 9, 10, 23, 40])
def test_a_window_decodes_from_the_keyframe_before_it_and_no_farther(tmp_path, start):
    path = write_numbered(tmp_path / "a.mp4", range(60), options=NO_B_FRAMES)
    reader = FrameReader(10)
    reader.read(path, start, start + 17)
    assert reader.counts.decoded == start % 10 + 17
    assert reader.counts.seeks == 1


def test_reading_on_does_not_seek(tmp_path):
    path = write_numbered(tmp_path / "a.mp4", range(60), options=NO_B_FRAMES)
    reader = FrameReader(10)
    for start in range(0, 60, 5):
        assert numbers_of(reader.read(path, start, start + 5)) == list(range(start, start + 5))
    assert (reader.counts.decoded, reader.counts.seeks, reader.counts.opened) == (60, 1, 1)


@pytest.mark.parametrize("stride", [1, 4, 16])
def test_windows_that_overlap_decode_nothing_twice(tmp_path, stride):
    path = write_numbered(tmp_path / "a.mp4", range(60), options=NO_B_FRAMES)
    reader = FrameReader(10)
    starts = range(0, 60 - 17 + 1, stride)
    for start in starts:
        assert numbers_of(reader.read(path, start, start + 17)) == list(range(start, start + 17))
    assert (reader.counts.decoded, reader.counts.seeks) == (starts[-1] + 17, 1)


def test_a_gap_within_a_group_is_decoded_through_and_a_large_one_is_jumped(tmp_path):
    path = write_numbered(tmp_path / "a.mp4", range(60), options=NO_B_FRAMES)
    reader = FrameReader(10)
    reader.read(path, 0, 12)
    reader.read(path, 15, 16)
    assert (reader.counts.decoded, reader.counts.seeks) == (16, 1)
    reader.read(path, 50, 51)
    assert (reader.counts.decoded, reader.counts.seeks) == (17, 2)


def test_what_was_given_is_the_callers_to_change(tmp_path):
    path = write_numbered(tmp_path / "a.mp4", range(20))
    reader = FrameReader(10)
    reader.read(path, 0, 8)[:] = 0
    assert numbers_of(reader.read(path, 4, 8)) == [4, 5, 6, 7]


def test_only_so_many_files_are_open(tmp_path):
    paths = [write_numbered(tmp_path / f"{index}.mp4", range(index, index + 4)) for index in range(7)]
    reader = FrameReader(10, max_open=3)
    for _ in range(2):
        for index, path in enumerate(paths):
            assert numbers_of(reader.read(path, 1, 3)) == [index + 1, index + 2]
            assert reader.open_files == len([name for name in open_videos() if name.startswith(str(tmp_path))]) <= 3
    reader.close()
    reader.close()
    assert reader.open_files == 0
    assert not [name for name in open_videos() if name.startswith(str(tmp_path))]
    assert numbers_of(reader.read(paths[0], 0, 1)) == [0]


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
def test_another_process_opens_its_own_files(tmp_path, method):
    path = write_numbered(tmp_path / "a.mp4", range(60))
    reader = FrameReader(10)
    assert numbers_of(reader.read(path, 20, 23)) == [20, 21, 22]
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=read_elsewhere, args=(reader, path, 40, 58, queue))
    process.start()
    numbers = queue.get(timeout=60)
    process.join()
    assert process.exitcode == 0
    assert numbers == list(range(40, 58))
    assert numbers_of(reader.read(path, 23, 60)) == list(range(23, 60))  # the position in the file is still this one's
    assert reader.counts.seeks == 1


def test_it_can_be_pickled_while_files_are_open(tmp_path):
    path = write_numbered(tmp_path / "a.mp4", range(20))
    reader = FrameReader(10)
    reader.read(path, 0, 5)
    copy = pickle.loads(pickle.dumps(reader))
    assert copy.open_files == 0
    assert numbers_of(copy.read(path, 5, 9)) == [5, 6, 7, 8]


def test_times_beside_the_grid_take_the_nearest_and_warn(tmp_path):
    times = [n + (0.0, 0.3, -0.3, 0.2)[n % 4] for n in range(40)]
    path = write_numbered(tmp_path / "a.mp4", range(40), times=times, options=NO_B_FRAMES)
    reader = FrameReader(10)
    with pytest.warns(EpisodeWarning, match=r"a\.mp4 are not at multiples of the dataset's frame time"):
        assert numbers_of(reader.read(path, 4, 40)) == list(range(4, 40))
    for start in (30, 2, 17, 39):  # said once
        assert numbers_of(reader.read(path, start, start + 1)) == [start]


def test_of_two_frames_at_one_number_the_nearest_is_taken(tmp_path):
    times = [0, 0.8, 1.1, 2, 3, 3.4, 4, 4.6, 5]
    path = write_numbered(tmp_path / "a.mp4", range(9), times=times, options=NO_B_FRAMES)
    with pytest.warns(EpisodeWarning):
        assert numbers_of(FrameReader(10).read(path, 0, 6)) == [0, 2, 3, 4, 6, 8]


def test_a_gap_in_the_times_is_an_error(tmp_path):
    path = write_numbered(tmp_path / "a.mp4", range(6), times=[0, 1, 2, 5, 6, 7], options=NO_B_FRAMES)
    with pytest.raises(FrameError, match="has no frame 3: there is a gap") as caught:
        FrameReader(10).read(path, 1, 6)
    assert caught.value.number == 3


def test_a_video_that_does_not_begin_at_zero(tmp_path):
    path = write_numbered(tmp_path / "a.mkv", range(30), times=np.arange(30) + 7.0, options=NO_B_FRAMES)
    assert numbers_of(FrameReader(10).read(path, 11, 14)) == [11, 12, 13]


def test_a_video_of_twice_the_rate_gives_every_second_frame(tmp_path):
    path = write_numbered(tmp_path / "a.mp4", range(40), fps=20)
    reader = FrameReader(10)
    assert reader.frame_count(path) == 20
    assert numbers_of(reader.read(path, 3, 8)) == [6, 8, 10, 12, 14]


def test_a_missing_file(tmp_path):
    with pytest.raises(MediaError, match=r"there is no video .*nothing\.mp4"):
        FrameReader(10).read(tmp_path / "nothing.mp4", 0, 1)


def test_a_file_that_is_no_video(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"not a video" * 100)
    with pytest.raises(MediaError, match=r"a\.mp4 does not open"):
        FrameReader(10).read(tmp_path / "a.mp4", 0, 1)


@pytest.mark.parametrize("codec", ["libx264", "libsvtav1"])
def test_a_truncated_file_names_the_frame(tmp_path, codec):
    path = write_numbered(tmp_path / "a.mp4", range(60), codec=codec, options={"g": "10"})
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4])
    reader = FrameReader(10)
    with pytest.raises(FrameError, match=r"a\.mp4 (is truncated|ends before frame)") as caught:
        reader.read(path, 0, 60)
    assert 20 < caught.value.number < 60
    assert numbers_of(reader.read(path, 3, 6)) == [3, 4, 5]  # what is there is still read


def test_behind_the_end(tmp_path):
    path = write_numbered(tmp_path / "a.mp4", range(12))
    with pytest.raises(FrameError, match=r"a\.mp4 ends before frame 12; its header promises 12 frames") as caught:
        FrameReader(10).read(path, 8, 14)
    assert caught.value.number == 12
    with pytest.raises(FrameError, match="ends before frame 100"):
        FrameReader(10).read(path, 100, 101)


def test_an_unknown_codec_says_what_to_install(tmp_path):
    path = write_numbered(tmp_path / "a.mp4", range(12))
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzz1"))
    with pytest.raises(MediaError, match=r"codec that the installed PyAV does not decode.*pip install"):
        FrameReader(10).read(path, 0, 1)


def test_an_unknown_backend():
    with pytest.raises(InvalidInputError, match="'pyav' or 'torchcodec'; there is no backend 'gpu'"):
        FrameReader(10, backend="gpu")


def test_torchcodec_that_is_not_installed(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "torchcodec"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torchcodec", None)
    with pytest.raises(MissingDependencyError, match=r"needs torchcodec: `pip install 'cosmos-robot\[lerobot\]'`"):
        FrameReader(10, backend="torchcodec")


@pytest.mark.slow
@pytest.mark.parametrize("coding", CODINGS)
def test_torchcodec_gives_the_same_frames(tmp_path, coding, torchcodec_reader):
    name, codec, options = CODINGS[coding]
    path = write_numbered(tmp_path / name, range(60), codec=codec, options=options)
    reader = torchcodec_reader
    assert reader.frame_count(path) in (60, None)
    for start in (43, 0, 12, 11):
        assert numbers_of(reader.read(path, start, start + 17)) == list(range(start, start + 17))
    with pytest.raises(FrameError, match="ends before frame 60"):
        reader.read(path, 50, 61)
