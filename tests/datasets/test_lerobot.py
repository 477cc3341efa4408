"""LeRobot folders of each version, written here from the format's description, come back."""

import multiprocessing
import pickle

import numpy as np
import pyarrow as pa
import pytest
from lerobot_folder import (
    ACTION,
    CAMERAS,
    LENGTHS,
    PART,
    STATE,
    TASKS,
    action,
    episode_in_another_process,
    numbers,
    state,
    task_of,
    write_v2,
    write_v3,
)
from numbered_video import numbers_of

from cosmos_robot.datasets.open_episodes import open_episodes
from cosmos_robot.errors import InvalidInputError

LAYOUTS = {
    "v2.0": lambda root: write_v2(root, version="v2.0"),
    "v2.1": write_v2,
    "v2.1 images": lambda root: write_v2(root, images=True),
    "v3.0": write_v3,
    "v3.0 images": lambda root: write_v3(root, images=True),
}


@pytest.fixture(params=LAYOUTS)
def dataset(request, tmp_path):
    with open_episodes(LAYOUTS[request.param](tmp_path / "set")) as opened:
        yield opened


def test_what_a_dataset_says_of_itself(dataset):
    assert len(dataset) == 3
    assert dataset.fps == 10.0
    assert dataset.format.startswith("lerobot v")
    assert dataset.missing == ()
    for number, episode in enumerate(dataset):
        assert episode.index == number
        assert len(episode) == LENGTHS[number]
        assert episode.task == TASKS[task_of(number)]
        assert episode.fps == 10.0
        assert episode.cameras == CAMERAS
        assert set(episode.columns) == {
            STATE, ACTION, PART, "next.done", "timestamp", "frame_index", "episode_index", "index", "task_index",
        }  # fmt: skip


def test_columns_and_frames_are_the_episodes_own(dataset):
    for number in (2, 0, 1):
        episode = dataset[number]
        assert np.array_equal(episode.column(STATE), state(number))
        assert np.array_equal(episode.column(ACTION, 2, 7), action(number)[2:7])
        assert episode.column(STATE).dtype == np.float32
        assert np.array_equal(episode.column("frame_index"), np.arange(LENGTHS[number]))
        assert episode.column("next.done").tolist() == [False] * (LENGTHS[number] - 1) + [True]
        assert episode.column(PART).shape == (LENGTHS[number],)
        for camera in CAMERAS:
            wanted = numbers(number, camera)
            assert numbers_of(episode.frames(camera)) == wanted
            assert numbers_of(episode.frames(camera, 3, 8)) == wanted[3:8]
            assert numbers_of(episode.frames(camera, LENGTHS[number] - 1)) == wanted[-1:]
        assert numbers_of(episode.frames()) == numbers(number, CAMERAS[0])
        assert episode.frames(start=4, stop=4).shape == (0, 32, 160, 3)
        assert episode.column(STATE, 4, 4).shape == (0, 3)
        assert episode.frames(start=LENGTHS[number]).shape == (0, 32, 160, 3)


def test_what_was_given_is_the_callers_to_change(dataset):
    episode = dataset[1]
    episode.column(STATE)[:] = 7
    episode.frames()[:] = 7
    assert np.array_equal(episode.column(STATE), state(1))
    assert numbers_of(episode.frames()) == numbers(1, CAMERAS[0])


def test_nothing_is_opened_before_it_is_asked_for(v3):
    for path in (*v3.glob("data/*/*"), *v3.glob("videos/*/*/*")):
        path.write_bytes(b"not to be read")
    dataset = open_episodes(v3)
    assert [len(dataset[n]) for n in range(3)] == list(LENGTHS)
    assert dataset[2].task == TASKS[0]
    assert dataset.reader.counts.opened == 0


def test_a_window_reads_only_its_row_groups_and_frames(v3):
    dataset = open_episodes(v3)
    episode = dataset[2]  # 21 rows of a file of its own, in row groups of 8
    episode.column(STATE, 9, 15)
    before = dataset.rows.groups_read
    episode.column(ACTION, 9, 15)
    assert dataset.rows.groups_read - before == 1
    episode.column(ACTION, 9, 15)
    assert dataset.rows.groups_read - before == 1
    dataset[0].frames(CAMERAS[0], 0, 5)
    assert dataset.reader.counts.decoded <= 5 + 1  # one more where the encoder reordered frames
    assert dataset.reader.counts.opened == 1


def test_the_cache_of_columns_is_bounded(v3):
    from cosmos_robot.datasets.lerobot_numbers import as_array
    from cosmos_robot.datasets.lerobot_rows import ParquetRows

    path = v3 / "data/chunk-000/file-000.parquet"
    whole = np.concatenate([state(0), state(1)])
    rows = ParquetRows(cache_bytes=300, max_open=1)
    for start in (0, 5, 12, 3, 16):
        values = as_array(rows.read(path, STATE, start, start + 6))
        assert np.array_equal(values, whole[start : start + 6])
        assert rows.held_bytes <= 300
    streamed = ParquetRows(cache_bytes=0)  # nothing fits, so that everything is streamed
    assert np.array_equal(as_array(streamed.read(path, STATE, 7, 20)), whole[7:20])
    assert streamed.held_bytes == 0


def test_a_column_whose_name_begins_another_is_read_alone(v3):
    from cosmos_robot.datasets.lerobot_rows import ParquetRows

    read = ParquetRows().read(v3 / "data/chunk-000/file-000.parquet", ACTION, 0, 3)
    assert read.type == pa.list_(pa.float32())


def test_slices_are_lazy_and_closing_is_not_the_end(dataset):
    chosen = dataset[1:]
    assert [episode.index for episode in chosen] == [1, 2]
    episode = dataset[-1]
    episode.frames(stop=2)
    dataset.close()
    dataset.close()
    assert dataset.reader.open_files == 0
    assert numbers_of(episode.frames(stop=2)) == numbers(2, CAMERAS[0])[:2]


def test_a_dataset_can_be_pickled(dataset):
    dataset[0].frames(stop=3)
    copy = pickle.loads(pickle.dumps(dataset))
    assert numbers_of(copy[2].frames()) == numbers(2, CAMERAS[0])
    assert np.array_equal(pickle.loads(pickle.dumps(dataset[1])).column(STATE), state(1))


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
def test_an_episode_in_another_process(v3, method):
    episode = open_episodes(v3)[2]
    episode.frames(stop=4)
    episode.column(STATE)
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=episode_in_another_process, args=(episode, queue))
    process.start()
    frames, values = queue.get(timeout=60)
    process.join()
    assert frames == numbers(2, CAMERAS[0])
    assert np.array_equal(values, state(2))
    assert numbers_of(episode.frames(start=4)) == numbers(2, CAMERAS[0])[4:]


def test_names_that_are_not_there(dataset):
    episode = dataset[0]
    with pytest.raises(InvalidInputError, match=r"no camera 'wrist'; it has observation\.images\.top, "):
        episode.frames("wrist")
    with pytest.raises(InvalidInputError, match=r"no column 'note'; it has observation\.state"):
        episode.column("note")
    with pytest.raises(InvalidInputError, match="has time steps 0 to 12; got start=5, stop=14"):
        episode.frames(start=5, stop=14)
    with pytest.raises(IndexError, match="has 3 episodes"):
        dataset[3]
