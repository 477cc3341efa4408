"""ALOHA and ACT files are written here with h5py, in the layout of their recorders."""

import multiprocessing
import pickle
from io import BytesIO

import h5py
import numpy as np
import pytest
from PIL import Image

from cosmos_robot.datasets.aloha import AlohaEpisodes, open_source
from cosmos_robot.datasets.open_episodes import open_episodes
from cosmos_robot.errors import EpisodeError, InvalidInputError

HEIGHT, WIDTH = 32, 48


def pictures(seed, length):
    return np.random.default_rng(seed).integers(0, 256, (length, HEIGHT, WIDTH, 3), dtype=np.uint8)


def scenes(length):
    """Smooth pictures, as JPEG keeps them: mostly red, a green bar at the left that grows, the bottom darker."""
    frames = np.empty((length, HEIGHT, WIDTH, 3), np.uint8)
    frames[:] = (200, 40, 20)
    for frame in range(length):
        frames[frame, :, : 8 * (frame + 1)] = (30, 180, 60)
    frames[:, HEIGHT // 2 :] //= 2
    return frames


def numbers(seed, length, width=14):
    return np.random.default_rng(1000 + seed).normal(size=(length, width)).astype(np.float32)


def encoded(frames, kind="JPEG"):
    rows = []
    for frame in frames:
        buffer = BytesIO()
        Image.fromarray(frame).save(buffer, kind, **({"quality": 95, "subsampling": 0} if kind == "JPEG" else {}))
        rows.append(np.frombuffer(buffer.getvalue(), np.uint8))
    return rows


def padded(rows):
    stored = np.zeros((len(rows), max(map(len, rows)) + 7), np.uint8)
    for row, data in zip(stored, rows, strict=True):
        row[: len(data)] = data
    return stored


def write(path, seed, length, images, *, compressed=False):
    with h5py.File(path, "w") as file:
        file.attrs["sim"] = False
        for name, offset in (("qpos", 0), ("qvel", 1), ("effort", 2)):
            file[f"observations/{name}"] = numbers(10 * seed + offset, length)
        file["action"] = numbers(10 * seed + 3, length)
        file["base_action"] = numbers(10 * seed + 4, length, 2)
        for camera, stored in images.items():
            file[f"observations/images/{camera}"] = stored
        if compressed:
            file.attrs["compress"] = True
            file["compress_len"] = np.full((len(images), length), 99.0)
    return path


@pytest.fixture
def folder(tmp_path):
    for number, length in ((0, 4), (2, 5), (10, 6)):
        images = {"cam_low": pictures(number, length), "cam_high": pictures(50 + number, length)}
        write(tmp_path / f"episode_{number}.hdf5", number, length, images)
    return tmp_path


def test_a_folder_in_the_order_of_its_numbers(folder):
    with open_episodes(folder) as episodes:
        assert (episodes.format, episodes.fps, len(episodes)) == ("aloha", 50.0, 3)
        assert [(episode.index, len(episode)) for episode in episodes] == [(0, 4), (2, 5), (10, 6)]
        np.testing.assert_array_equal(episodes[2].column("action"), numbers(103, 6))
        np.testing.assert_array_equal(episodes[1].frames("cam_low", 3), pictures(2, 5)[3:])


def test_columns_and_cameras(folder):
    episode = open_episodes(folder / "episode_10.hdf5")[0]
    assert (episode.index, episode.task, episode.cameras) == (10, "", ("cam_high", "cam_low"))
    assert set(episode.columns) == {"action", "base_action", "qpos", "qvel", "effort"}
    for name, seed, width in (("qpos", 100, 14), ("qvel", 101, 14), ("effort", 102, 14), ("base_action", 104, 2)):
        np.testing.assert_array_equal(episode.column(name, 1, 4), numbers(seed, 6, width)[1:4])
    np.testing.assert_array_equal(episode.frames(start=2, stop=5), pictures(60, 6)[2:5])


def test_the_rate_is_an_argument(folder):
    episodes = open_episodes(folder, fps=30)
    assert (episodes.fps, episodes[0].fps) == (30.0, 30.0)


def test_padded_jpeg(tmp_path):
    write(tmp_path / "episode_0.hdf5", 0, 4, {"cam_high": padded(encoded(scenes(4)))}, compressed=True)
    episode = open_episodes(tmp_path)[0]
    assert episode.cameras == ("cam_high",)
    assert "compress_len" not in episode.columns
    frames = episode.frames()
    assert (frames.shape, frames.dtype) == ((4, HEIGHT, WIDTH, 3), np.uint8)
    assert np.abs(frames.astype(int) - scenes(4)).mean() < 3
    np.testing.assert_array_equal(episode.frames(start=1, stop=3), frames[1:3])


def test_pictures_of_their_own_length_and_without_loss(tmp_path):
    with h5py.File(tmp_path / "episode_0.hdf5", "w") as file:
        file["action"] = numbers(0, 4)
        stored = file.create_dataset("observations/images/cam_high", (4,), h5py.vlen_dtype(np.uint8))
        for frame, row in enumerate(encoded(pictures(0, 4), "PNG")):
            stored[frame] = row
    np.testing.assert_array_equal(open_episodes(tmp_path)[0].frames(start=1), pictures(0, 4)[1:])


@pytest.mark.parametrize("compressed", [False, True])
def test_pictures_in_bgr(tmp_path, compressed):
    frames = pictures(0, 3)[..., ::-1]
    images = {"cam_high": padded(encoded(frames, "PNG")) if compressed else frames}
    path = write(tmp_path / "episode_0.hdf5", 0, 3, images)
    np.testing.assert_array_equal(open_source(path, channels="bgr")[0].frames(), pictures(0, 3))
    np.testing.assert_array_equal(open_source(path)[0].frames(), frames)


def test_a_jpeg_of_opencv(tmp_path):
    cv2 = pytest.importorskip("cv2")
    rgb = scenes(3)
    right = [cv2.imencode(".jpg", frame[..., ::-1])[1] for frame in rgb]
    swapped = [cv2.imencode(".jpg", frame)[1] for frame in rgb]  # an RGB array to an encoder that expects BGR
    write(tmp_path / "episode_0.hdf5", 0, 3, {"right": padded(right), "swapped": padded(swapped)}, compressed=True)
    frames = open_source(tmp_path)[0].frames("right")
    assert np.abs(frames.astype(int) - rgb).mean() < 5
    frames = open_source(tmp_path, channels="bgr")[0].frames("swapped")
    assert np.abs(frames.astype(int) - rgb).mean() < 5
    for row, frame in zip(swapped, frames, strict=True):
        # ACT's loader takes what OpenCV decodes for RGB
        np.testing.assert_allclose(cv2.imdecode(row, 1).astype(int), frame, atol=2)


def test_unknown_channels(folder):
    with pytest.raises(InvalidInputError, match="expected rgb or bgr"):
        AlohaEpisodes(folder, channels="rgba")


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_reads_for_itself(folder):
    episode = open_episodes(folder)[2]
    episode.frames()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        result = pool.apply_async(episode.frames, ("cam_low", 2, 4))
        np.testing.assert_array_equal(result.get(60), pictures(10, 6)[2:4])
    np.testing.assert_array_equal(episode.frames("cam_low"), pictures(10, 6))


def test_a_pickled_dataset_and_files_that_are_closed(folder):
    episodes = pickle.loads(pickle.dumps(AlohaEpisodes(folder, channels="bgr", fps=25)))
    episode = episodes[1]
    episodes.close()
    assert len(episodes._files) == 0
    assert episode.fps == 25.0
    np.testing.assert_array_equal(episode.frames("cam_low"), pictures(2, 5)[..., ::-1])


def test_few_files_are_open(tmp_path):
    for number in range(12):
        write(tmp_path / f"episode_{number}.hdf5", number, 2, {"cam": pictures(number, 2)})
    episodes = open_episodes(tmp_path)
    kept = list(episodes)
    for number in (11, 0, 7):
        np.testing.assert_array_equal(kept[number].frames(), pictures(number, 2))
    assert len(episodes._files) <= 8


def test_a_picture_that_is_cut_off(tmp_path):
    rows = encoded(scenes(4))
    rows[2] = rows[2][: len(rows[2]) // 2]
    write(tmp_path / "episode_3.hdf5", 0, 4, {"cam_high": padded(rows)}, compressed=True)
    episode = open_episodes(tmp_path)[0]
    assert len(episode.frames(stop=2)) == 2
    with pytest.raises(EpisodeError, match=r"episode_3\.hdf5, episode 3, frame 2: .*'cam_high'.*cut off"):
        episode.frames(start=1)


def test_bytes_that_are_no_picture(tmp_path):
    write(tmp_path / "episode_0.hdf5", 0, 2, {"cam_high": np.full((2, 40), 7, np.uint8)}, compressed=True)
    with pytest.raises(EpisodeError, match=r"episode 0, frame 1: the picture of camera 'cam_high' does not decode"):
        open_episodes(tmp_path)[0].frames(start=1)


def test_pictures_that_change_their_size(tmp_path):
    rows = encoded([*scenes(2), scenes(1)[0, :16]])
    write(tmp_path / "episode_0.hdf5", 0, 3, {"cam_high": padded(rows)}, compressed=True)
    with pytest.raises(EpisodeError, match=r"frame 2: camera 'cam_high' changes its picture size .*\(32, 48\) to \(16"):
        open_episodes(tmp_path)[0].frames()


@pytest.mark.parametrize("kept", [0, 4, 5000])
def test_a_truncated_file_does_not_bar_the_way_to_the_others(folder, kept):
    path = folder / "episode_0.hdf5"
    path.write_bytes(path.read_bytes()[:kept])
    episodes = open_episodes(folder)
    with pytest.raises(EpisodeError, match=r"episode_0\.hdf5 cannot be opened"):
        episodes[0]
    assert len(episodes[1]) == 5
    with pytest.raises(EpisodeError, match=r"episode_0\.hdf5 cannot be opened"):
        open_episodes(path)


def test_a_file_that_has_gone(folder):
    episodes = open_episodes(folder)
    (folder / "episode_2.hdf5").unlink()
    with pytest.raises(EpisodeError, match=r"episode_2\.hdf5 cannot be opened"):
        episodes[1]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("observations/qpos", numbers(0, 3), r"episode 2: 'observations/qpos' has 3 rows, but the actions have 5"),
        ("base_action", numbers(0, 6, 2), r"episode 2: 'base_action' has 6 rows, but the actions have 5"),
        ("observations/images/cam_low", pictures(0, 4), r"'observations/images/cam_low' has 4 rows"),
        ("action", None, r"it has base_action \[5, 2\], observations/effort \[5, 14\], .*cam_high \[5, 32, 48, 3\]"),
        ("action", np.zeros((0, 14)), r"episode 2 is empty"),
    ],
)
def test_an_episode_that_is_damaged(folder, name, value, message):
    with h5py.File(folder / "episode_2.hdf5", "a") as file:
        del file[name]
        if value is not None:
            file[name] = value
    with pytest.raises(EpisodeError, match=message) as caught:
        open_episodes(folder)[1]
    assert "episode_2.hdf5" in str(caught.value)


def test_what_is_not_the_layout_is_listed(tmp_path):
    with h5py.File(tmp_path / "recording.h5", "w") as file:
        file["upper_body/joints"] = np.zeros((4, 2))
    with pytest.raises(EpisodeError, match=r"neither ALOHA .* nor robomimic .*it has upper_body/joints \[4, 2\]"):
        open_episodes(tmp_path / "recording.h5")
    with pytest.raises(EpisodeError, match=r"no episode_N\.hdf5.*recording\.h5 has upper_body/joints \[4, 2\]"):
        open_episodes(tmp_path)


def test_other_files_beside_the_episodes(folder):
    with h5py.File(folder / "features.hdf5", "w") as file:
        file["x"] = np.zeros(3)
    assert len(open_episodes(folder)) == 3
