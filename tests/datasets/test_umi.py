"""UMI's `dataset.zarr.zip` is written here file by file, its pictures by libjxl without loss."""

import subprocess
import sys

import numpy as np
import pytest
from zarr_v2 import replay_buffer

from cosmos_robot.datasets.open_episodes import open_episodes
from cosmos_robot.errors import EpisodeError

imagecodecs = pytest.importorskip("imagecodecs")

ENDS = [5, 7, 12]
CODEC = {
    # as UMI's own codec class writes it; decoding needs none of it
    "id": "imagecodecs_jpegxl",
    "level": 99,
    "effort": None,
    "distance": None,
    "lossless": False,
    "decodingspeed": None,
    "photometric": None,
    "planar": None,
    "usecontainer": None,
    "index": None,
    "keeporientation": None,
    "numthreads": 1,
}


def pictures(seed):
    """Noise: no two frames, rows or columns are alike."""
    return np.random.default_rng(seed).integers(0, 256, (12, 32, 40, 3), dtype=np.uint8)


def numbers(seed, width, dtype=np.float32):
    return np.random.default_rng(1000 + seed).normal(size=(12, width)).astype(dtype)


COLUMNS = {
    "eef_pos": (3, np.float32),
    "eef_rot_axis_angle": (3, np.float32),
    "gripper_width": (1, np.float32),
    "demo_start_pose": (6, np.float64),
    "demo_end_pose": (6, np.float64),
}


def umi(ends=ENDS):
    buffer = replay_buffer(ends)
    for robot in range(2):
        for offset, (name, (width, dtype)) in enumerate(COLUMNS.items()):
            buffer.array(f"data/robot{robot}_{name}", numbers(10 * robot + offset, width, dtype))
        buffer.array(
            f"data/camera{robot}_rgb",
            pictures(robot),
            (1, 32, 40, 3),
            compressor=CODEC,
            encode=lambda chunk: imagecodecs.jpegxl_encode(chunk[0], lossless=True),
        )
    return buffer


def test_a_dataset(tmp_path):
    with open_episodes(umi().zip(tmp_path / "dataset.zarr.zip")) as episodes:
        assert (episodes.format, len(episodes)) == ("umi zarr", 3)
        assert episodes.fps == pytest.approx(59.94, abs=0.001)
        episode = episodes[2]
        assert episode.cameras == ("camera0_rgb", "camera1_rgb")
        assert set(episode.columns) == {f"robot{robot}_{name}" for robot in range(2) for name in COLUMNS}
        np.testing.assert_array_equal(episode.frames(), pictures(0)[7:])
        np.testing.assert_array_equal(episode.frames("camera1_rgb", 1, 4), pictures(1)[8:11])
        for robot in range(2):
            for offset, (name, (width, dtype)) in enumerate(COLUMNS.items()):
                rows = episodes[1].column(f"robot{robot}_{name}")
                assert rows.dtype == dtype
                np.testing.assert_array_equal(rows, numbers(10 * robot + offset, width, dtype)[5:7])


def test_cameras_are_in_the_order_of_their_names(tmp_path):
    buffer = replay_buffer(ENDS)
    names = tuple(f"camera{number}_rgb" for number in range(8))
    for number, name in reversed(tuple(enumerate(names))):
        buffer.array(f"data/{name}", pictures(number), (1, 32, 40, 3))
    path = buffer.folder(tmp_path / "dataset.zarr")
    for _ in range(5):
        with open_episodes(path) as episodes:
            assert episodes[2].cameras == names
            np.testing.assert_array_equal(episodes[2].frames(), pictures(0)[7:])


def test_opening_says_nothing_of_its_own(tmp_path):
    path = umi().folder(tmp_path / "dataset.zarr")
    code = f"from cosmos_robot.datasets.open_episodes import open_episodes; open_episodes({str(path)!r})[0].frames()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout + done.stderr == ""


def test_a_picture_that_is_cut_off(tmp_path):
    buffer = umi()
    name = "data/camera0_rgb/8.0.0.0"
    buffer.files[name] = buffer.files[name][: len(buffer.files[name]) // 2]
    episodes = open_episodes(buffer.zip(tmp_path / "dataset.zarr.zip"))
    np.testing.assert_array_equal(episodes[2].frames(start=2), pictures(0)[9:])
    with pytest.raises(
        EpisodeError, match=r"dataset\.zarr\.zip, episode 2, frame 1: camera 'camera0_rgb' cannot be read"
    ):
        episodes[2].frames()


def test_a_picture_of_another_size(tmp_path):
    buffer = umi()
    buffer.files["data/camera0_rgb/6.0.0.0"] = imagecodecs.jpegxl_encode(pictures(0)[6, :16], lossless=True)
    with pytest.raises(EpisodeError, match=r"episode 1, frame 1: camera 'camera0_rgb' cannot be read"):
        open_episodes(buffer.folder(tmp_path / "dataset.zarr"))[1].frames()
