"""robomimic and LIBERO files are written here with h5py, in the published layout."""

import json
import multiprocessing
import pickle

import h5py
import numpy as np
import pytest

from cosmos_robot.datasets.open_episodes import open_episodes
from cosmos_robot.datasets.robomimic import RobomimicEpisodes, open_source, recognises
from cosmos_robot.errors import EpisodeError, InvalidInputError

LENGTHS = {"demo_0": 5, "demo_1": 7, "demo_2": 4, "demo_10": 6}


def pictures(seed, length, height=20, width=24):
    """Noise: no two frames, rows or columns are alike."""
    return np.random.default_rng(seed).integers(0, 256, (length, height, width, 3), dtype=np.uint8)


def numbers(seed, length, width):
    return np.random.default_rng(1000 + seed).normal(size=(length, width))


def write_demo(data, name, length, *, cameras, keys):
    number = int(name.rpartition("_")[2])
    demo = data.create_group(name)
    demo.attrs["num_samples"] = length
    demo.attrs["model_file"] = "<mujoco/>"
    demo["actions"] = numbers(number, length, 7)
    demo["states"] = numbers(number + 100, length, 9)
    demo["rewards"] = np.arange(length, dtype=np.float64)
    demo["dones"] = (np.arange(length) == length - 1).astype(np.int64)
    for offset, camera in enumerate(cameras):
        demo[f"obs/{camera}"] = pictures(10 * number + offset, length)
        demo[f"next_obs/{camera}"] = pictures(500 + 10 * number + offset, length)
    for offset, (key, width) in enumerate(keys.items()):
        demo[f"obs/{key}"] = numbers(10 * number + 200 + offset, length, width)
    return demo


ROBOMIMIC = {
    "cameras": ("agentview_image", "robot0_eye_in_hand_image"),
    "keys": {"robot0_eef_pos": 3, "robot0_eef_quat": 4},
}
LIBERO = {"cameras": ("agentview_rgb", "eye_in_hand_rgb"), "keys": {"ee_states": 6, "gripper_states": 2}}


def write_robomimic(path, lengths=LENGTHS, *, control_freq=None):
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["total"] = sum(lengths.values())
        kwargs = {} if control_freq is None else {"control_freq": control_freq}
        data.attrs["env_args"] = json.dumps({"env_name": "Lift", "env_type": 1, "env_kwargs": kwargs})
        for name, length in lengths.items():
            write_demo(data, name, length, **ROBOMIMIC)
        file["mask/train"] = np.array([b"demo_10", b"demo_0"])
        file["mask/valid"] = np.array([b"demo_1", b"demo_2"])
    return path


def write_libero(path, *, instruction=None, convention="opengl", lengths=None):
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        if instruction is not None:
            data.attrs["problem_info"] = json.dumps({"problem_name": "x", "language_instruction": instruction})
            data.attrs["macros_image_convention"] = convention
        for name, length in (lengths or {"demo_0": 4}).items():
            demo = write_demo(data, name, length, **LIBERO)
            demo["robot_states"] = numbers(77, length, 9)
    return path


@pytest.fixture
def robomimic(tmp_path):
    return write_robomimic(tmp_path / "image.hdf5")


def test_demonstrations_come_in_the_order_of_their_numbers(robomimic):
    with open_episodes(robomimic) as episodes:
        assert (episodes.format, episodes.fps, len(episodes)) == ("robomimic", 20.0, 4)
        assert [episode.index for episode in episodes] == [0, 1, 2, 10]
        assert [len(episode) for episode in episodes] == [5, 7, 4, 6]
        assert episodes.lengths().tolist() == [5, 7, 4, 6]
        np.testing.assert_array_equal(episodes[3].column("actions"), numbers(10, 6, 7))
        np.testing.assert_array_equal(episodes[2].frames("agentview_image"), pictures(20, 4))


def test_columns_and_cameras_are_those_of_the_file(robomimic):
    episode = open_episodes(robomimic)[1]
    assert episode.cameras == ("agentview_image", "robot0_eye_in_hand_image")
    assert set(episode.columns) == {
        "actions",
        "dones",
        "rewards",
        "states",
        "obs/robot0_eef_pos",
        "obs/robot0_eef_quat",
    }
    assert (episode.task, episode.where) == ("", f"{robomimic}, demo_1")
    np.testing.assert_array_equal(episode.column("obs/robot0_eef_quat"), numbers(211, 7, 4))
    np.testing.assert_array_equal(episode.column("states", 2, 5), numbers(101, 7, 9)[2:5])
    assert episode.column("rewards", 3).tolist() == [3, 4, 5, 6]
    assert episode.column("dones").dtype == np.int64
    np.testing.assert_array_equal(episode.frames(start=1, stop=4), pictures(10, 7)[1:4])
    np.testing.assert_array_equal(episode.frames("robot0_eye_in_hand_image", 6), pictures(11, 7)[6:])
    assert episode.frames(start=2, stop=2).shape == (0, 20, 24, 3)


def test_rates(tmp_path):
    path = write_robomimic(tmp_path / "a.hdf5", {"demo_0": 3}, control_freq=25)
    assert open_episodes(path).fps == 25.0
    assert open_episodes(path, fps=12.5)[0].fps == 12.5


def test_a_filter_takes_its_demonstrations_in_order(robomimic):
    assert [episode.index for episode in open_source(robomimic, filter_key="train")] == [0, 10]
    np.testing.assert_array_equal(open_source(robomimic, filter_key="valid")[1].column("actions"), numbers(2, 4, 7))
    with pytest.raises(InvalidInputError, match=r"no filter 'test' .*; it has train, valid"):
        open_source(robomimic, filter_key="test")


def test_a_filter_that_names_what_is_not_there(robomimic):
    with h5py.File(robomimic, "a") as file:
        file["mask/odd"] = np.array([b"demo_0", b"demo_99"])
    with pytest.raises(EpisodeError, match=r"image\.hdf5: the filter 'odd' names demo_99"):
        open_source(robomimic, filter_key="odd")


@pytest.mark.parametrize(
    ("orientation", "convention", "axes"),
    [
        ("rotated", "opengl", (1, 2)),
        ("flipped", "opengl", (1,)),
        ("stored", "opengl", ()),
        ("rotated", "opencv", (2,)),
        ("flipped", "opencv", ()),
    ],
)
def test_libero_pictures_are_turned(tmp_path, orientation, convention, axes):
    path = write_libero(tmp_path / "a_demo.hdf5", instruction="push it", convention=convention)
    episode = RobomimicEpisodes(path, orientation=orientation)[0]
    np.testing.assert_array_equal(episode.frames(start=1, stop=3), np.flip(pictures(0, 4)[1:3], axes))
    assert episode.frames().flags.c_contiguous


def test_robomimic_pictures_are_not_turned(robomimic):
    np.testing.assert_array_equal(RobomimicEpisodes(robomimic, orientation="rotated")[0].frames(), pictures(0, 5))


def test_an_orientation_that_there_is_not(robomimic):
    with pytest.raises(InvalidInputError, match="rotated, flipped, stored"):
        RobomimicEpisodes(robomimic, orientation="upright")


@pytest.mark.parametrize(
    ("name", "instruction", "task"),
    [
        ("a_demo.hdf5", "put the bowl on the plate", "put the bowl on the plate"),
        ("a_demo.hdf5", '"put the bowl on the plate"', "put the bowl on the plate"),
        ("a_demo.hdf5", ["put the bowl ", "on the plate"], "put the bowl on the plate"),
        ("KITCHEN_SCENE10_turn_on_the_stove_demo.hdf5", None, "turn on the stove"),
        ("LIVING_ROOM_SCENE2_pick_up_the_soup_demo.hdf5", "", "pick up the soup"),
        ("pick_up_the_SOUP_demo.hdf5", None, "pick up the SOUP"),
    ],
)
def test_libero_tasks(tmp_path, name, instruction, task):
    with open_episodes(write_libero(tmp_path / name, instruction=instruction)) as episodes:
        assert (episodes.format, episodes.fps, episodes[0].task) == ("libero", 20.0, task)
        assert episodes[0].cameras == ("agentview_rgb", "eye_in_hand_rgb")
        assert "robot_states" in episodes[0].columns


def test_a_folder_of_tasks_is_one_dataset_with_few_files_open(tmp_path):
    for number in range(12):
        write_libero(tmp_path / f"task_{number}_demo.hdf5", lengths={"demo_0": 3, "demo_1": 4 + number})
    episodes = open_episodes(tmp_path)
    assert len(episodes) == 24
    assert [episode.index for episode in episodes] == list(range(24))
    assert [episode.task for episode in episodes][::2] == [f"task {number}" for number in range(12)]
    assert episodes.lengths().tolist()[1::2] == [4 + number for number in range(12)]
    assert len(episodes._files) <= 8
    kept = episodes[5]
    episodes.close()
    episodes.close()
    assert len(episodes._files) == 0
    np.testing.assert_array_equal(kept.column("actions"), numbers(1, 6, 7))


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_other_processes_read_for_themselves(robomimic, method):
    episode = open_episodes(robomimic)[3]
    episode.frames()  # the file is open here when the others start
    with multiprocessing.get_context(method).Pool(2) as pool:
        results = [pool.apply_async(episode.frames, (None, i, i + 2)) for i in range(4)]
        for i, result in enumerate(results):
            np.testing.assert_array_equal(result.get(60), pictures(100, 6)[i : i + 2])
    np.testing.assert_array_equal(episode.frames(), pictures(100, 6))


def test_a_pickled_dataset(robomimic):
    copy = pickle.loads(pickle.dumps(open_source(robomimic, filter_key="train", fps=5)))
    assert (len(copy), copy[1].fps) == (2, 5.0)
    np.testing.assert_array_equal(copy[1].column("actions"), numbers(10, 6, 7))


def test_only_the_rows_that_are_asked_for_are_read(tmp_path):
    path = tmp_path / "a.hdf5"
    write_robomimic(path, {"demo_0": 3})
    with h5py.File(path, "a") as file:
        del file["data/demo_0/obs/agentview_image"]
        stored = file["data/demo_0/obs"].create_dataset(
            "agentview_image", (3, 20, 24, 3), "u1", chunks=(1, 20, 24, 3), compression="gzip"
        )
        stored[:] = pictures(0, 3)
        place = stored.id.get_chunk_info(1)
    content = bytearray(path.read_bytes())
    content[place.byte_offset : place.byte_offset + place.size] = bytes(place.size)
    path.write_bytes(content)
    episode = open_episodes(path)[0]
    np.testing.assert_array_equal(episode.frames(start=2), pictures(0, 3)[2:])
    with pytest.raises(EpisodeError, match=r"a\.hdf5, demo_0, frame 1: camera 'agentview_image' cannot be read"):
        episode.frames()


def test_a_truncated_file(robomimic):
    content = robomimic.read_bytes()
    robomimic.write_bytes(content[: len(content) // 2])
    with pytest.raises(EpisodeError, match=r"image\.hdf5 cannot be opened .*truncated"):
        open_episodes(robomimic)
    assert not recognises(robomimic)


def test_what_is_not_the_layout_is_listed(tmp_path):
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["data/trajectory_0/act"] = np.zeros((4, 2))
    with pytest.raises(EpisodeError, match=r"no /data/demo_0.*data/trajectory_0/act \[4, 2\]"):
        RobomimicEpisodes(tmp_path / "a.hdf5")
    with pytest.raises(EpisodeError, match=r"data/trajectory_0/act \[4, 2\]"):
        open_episodes(tmp_path / "a.hdf5")


@pytest.mark.parametrize(
    ("replace", "message"),
    [
        ({"actions": None}, r"demo_2 has no 'actions'; it has dones \[4\].*obs/robot0_eef_pos \[4, 3\]"),
        ({"rewards": np.zeros(3)}, r"demo_2: 'rewards' has 3 rows, but the actions have 4"),
        ({"obs/agentview_image": pictures(0, 5)}, r"demo_2: 'obs/agentview_image' has 5 rows, but the actions have 4"),
        ({"actions": np.zeros((6, 7))}, r"demo_2: 'num_samples \(attribute\)' has 4 rows, but the actions have 6"),
    ],
)
def test_an_episode_that_is_damaged_is_named_and_the_others_are_read(robomimic, replace, message):
    with h5py.File(robomimic, "a") as file:
        for name, value in replace.items():
            del file[f"data/demo_2/{name}"]
            if value is not None:
                file[f"data/demo_2/{name}"] = value
    episodes = open_episodes(robomimic)
    with pytest.raises(EpisodeError, match=message) as caught:
        episodes[2]
    assert "image.hdf5" in str(caught.value)
    assert len(episodes[3]) == 6


def test_data_of_another_length_that_the_layout_does_not_name_is_left_out(robomimic):
    with h5py.File(robomimic, "a") as file:
        file["data/demo_0/src_demo_inds"] = np.arange(2)
        file["data/demo_0/datagen_info/eef_pose"] = np.zeros((5, 4, 4))
    columns = open_episodes(robomimic)[0].columns
    assert "src_demo_inds" not in columns
    assert "datagen_info/eef_pose" in columns


def test_files_at_different_rates(tmp_path):
    write_robomimic(tmp_path / "a.hdf5", {"demo_0": 3}, control_freq=10)
    write_robomimic(tmp_path / "b.hdf5", {"demo_0": 3}, control_freq=20)
    with pytest.raises(EpisodeError, match="10, 20 Hz"):
        open_episodes(tmp_path)
    assert open_episodes(tmp_path, fps=10)[1].fps == 10.0


def test_attributes_that_are_no_json(robomimic):
    with h5py.File(robomimic, "a") as file:
        file["data"].attrs["env_args"] = "{"
    with pytest.raises(EpisodeError, match=r"image\.hdf5: the attribute 'env_args'"):
        open_episodes(robomimic)


def test_unknown_names(robomimic):
    episode = open_episodes(robomimic)[0]
    with pytest.raises(InvalidInputError, match=r"demo_0 has no column 'action'; it has .*actions"):
        episode.column("action")
    with pytest.raises(InvalidInputError, match=r"no camera 'front'; it has agentview_image"):
        episode.frames("front")
