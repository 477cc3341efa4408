"""LeRobot folders of each version, written here from the format's description, come back; damage is named."""

import json
import multiprocessing
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lerobot_folder import (
    ACTION,
    CAMERAS,
    LENGTHS,
    PART,
    STATE,
    TASKS,
    action,
    change_episodes,
    change_info,
    episode_in_another_process,
    numbers,
    rows,
    state,
    task_of,
    write_lines,
    write_v2,
    write_v3,
)
from numbered_video import numbers_of, write_numbered

from cosmos_robot.datasets.episode import require_finite
from cosmos_robot.datasets.open_episodes import open_episodes
from cosmos_robot.errors import EpisodeError, InvalidInputError, MissingDependencyError

DROID = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "droid_lerobot_example"
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


@pytest.fixture
def v2(tmp_path):
    return write_v2(tmp_path / "set")


@pytest.fixture
def v3(tmp_path):
    return write_v3(tmp_path / "set")


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


# ---- leniency: what is missing is named


def test_templates_as_nvidia_writes_them_and_shapes_that_are_empty(tmp_path):
    templates = {
        "data_path": "data/chunk-{episode_chunk:03d}/file-{episode_file:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{episode_chunk:03d}/file-{episode_file:03d}.mp4",
    }
    root = write_v3(tmp_path / "set", templates=templates)
    info = json.loads((root / "meta/info.json").read_text())
    for feature in info["features"].values():
        feature["shape"] = []
    change_info(root, features=info["features"])
    episode = open_episodes(root)[2]
    assert np.array_equal(episode.column(STATE), state(2))
    assert numbers_of(episode.frames()) == numbers(2, CAMERAS[0])


def test_a_codec_name_that_is_not_the_files(v3):
    info = json.loads((v3 / "meta/info.json").read_text())
    for camera in CAMERAS:
        info["features"][camera]["info"] = {"video.codec": "av1", "video.fps": 10}
    change_info(v3, features=info["features"])
    assert numbers_of(open_episodes(v3)[1].frames()) == numbers(1, CAMERAS[0])


def test_episode_metadata_without_video_times_is_worked_out_and_named(tmp_path):
    names = [f"videos/{CAMERAS[0]}/{name}_timestamp" for name in ("from", "to")]
    dataset = open_episodes(write_v3(tmp_path / "set", drop=names))
    (sentence,) = dataset.missing
    assert f"no column 'videos/{CAMERAS[0]}/from_timestamp'" in sentence
    for number in range(3):
        assert numbers_of(dataset[number].frames()) == numbers(number, CAMERAS[0])


def test_episode_metadata_without_files_takes_the_one_there_is(tmp_path):
    lengths = (5, 4)
    columns = [
        f"videos/{CAMERAS[0]}/{name}" for name in ("chunk_index", "file_index", "from_timestamp", "to_timestamp")
    ]
    root = write_v3(tmp_path / "set", lengths=lengths, drop=[*columns, "data/chunk_index", "data/file_index"])
    dataset = open_episodes(root)
    assert "'data/chunk_index' nor 'data/file_index'; the dataset's one file is taken" in dataset.missing[0]
    assert numbers_of(dataset[1].frames()) == numbers(1, CAMERAS[0], lengths)
    assert np.array_equal(dataset[1].column(STATE), state(1, lengths))


def test_episode_metadata_without_files_where_there_are_several(tmp_path):
    with pytest.raises(EpisodeError, match=r"no column 'data/file_index'.*but there are several, such as .*file-001"):
        open_episodes(write_v3(tmp_path / "set", drop=["data/file_index"]))


def test_a_camera_without_videos_is_left_out_and_named(v3, caplog):
    (v3 / "videos" / CAMERAS[1]).rename(v3 / "elsewhere")
    dataset = open_episodes(v3)
    assert dataset.cameras == dataset[0].cameras == CAMERAS[:1]
    assert f"camera '{CAMERAS[1]}' is in meta/info.json, but its videos are not here" in dataset.missing[0]
    assert CAMERAS[1] in caplog.text
    with pytest.raises(InvalidInputError, match=f"no camera '{CAMERAS[1]}'; it has {CAMERAS[0]}"):
        dataset[0].frames(CAMERAS[1])


def test_a_depth_map_is_no_camera(v3):
    info = json.loads((v3 / "meta/info.json").read_text())
    info["features"][CAMERAS[1]]["info"] = {"video.is_depth_map": True}
    change_info(v3, features=info["features"])
    dataset = open_episodes(v3)
    assert dataset.cameras == CAMERAS[:1]
    assert f"'{CAMERAS[1]}' is a depth map" in dataset.missing[0]


def test_fewer_episodes_than_promised_is_named(v2):
    change_info(v2, total_episodes=5)
    assert "meta/info.json promises 5 episodes; the table in meta/ has 3" in open_episodes(v2).missing


@pytest.mark.parametrize("drift", [1e-3, -1e-3, 0.04, -0.04])
def test_times_that_drift_still_give_the_frame(v3, drift):
    before = sum(LENGTHS[:2]) / 10
    change_episodes(
        v3,
        **{
            f"videos__{CAMERAS[0]}__from_timestamp": [0.0, 1.3 + drift, before + drift],
            f"videos__{CAMERAS[0]}__to_timestamp": [1.3, before + drift, before + 2.1 + drift],
        },
    )
    for number in range(3):
        assert numbers_of(open_episodes(v3)[number].frames()) == numbers(number, CAMERAS[0])


def test_an_episode_of_several_tasks_has_that_of_its_first_row(v3):
    change_episodes(v3, tasks=[list(TASKS[::-1])] * 3)
    assert [episode.task for episode in open_episodes(v3)] == [TASKS[task_of(n)] for n in range(3)]


def test_episode_metadata_without_tasks_takes_the_rows(tmp_path):
    dataset = open_episodes(write_v3(tmp_path / "set", drop=["tasks"]))
    assert [episode.task for episode in dataset] == [TASKS[task_of(n)] for n in range(3)]
    assert "no column 'tasks'" in dataset.missing[0]


def test_episode_metadata_in_another_order_and_in_several_files(v3):
    table = pq.read_table(v3 / "meta/episodes/chunk-000/file-000.parquet")
    pq.write_table(table.take([2, 0]), v3 / "meta/episodes/chunk-000/file-000.parquet")
    pq.write_table(table.take([1]), v3 / "meta/episodes/chunk-000/file-001.parquet")
    for number, episode in enumerate(open_episodes(v3)):
        assert episode.index == number
        assert np.array_equal(episode.column(STATE), state(number))
        assert numbers_of(episode.frames(CAMERAS[1])) == numbers(number, CAMERAS[1])


def test_images_by_path_alone(v3, tmp_path):
    root = write_v3(tmp_path / "images", images=True, lengths=(4,))
    path = root / "data/chunk-000/file-000.parquet"
    table = pq.read_table(path)
    for camera in CAMERAS:
        paths = []
        for number, image in zip(numbers(0, camera, (4,)), table.column(camera).to_pylist(), strict=True):
            relative = f"images/{camera}/{number}.png"
            (root / relative).parent.mkdir(parents=True, exist_ok=True)
            (root / relative).write_bytes(image["bytes"])
            paths.append({"bytes": None, "path": relative})
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        table = table.set_column(table.column_names.index(camera), camera, pa.array(paths, kind))
    pq.write_table(table, path)
    assert numbers_of(open_episodes(root)[0].frames(CAMERAS[1])) == numbers(0, CAMERAS[1], (4,))


@pytest.mark.skipif(not DROID.is_dir(), reason="the recordings are not there")
def test_a_real_droid_episode_with_real_faults():
    dataset = open_episodes(DROID)
    episode = dataset[0]
    assert (len(dataset), len(episode), episode.fps) == (1, 722, 15.0)
    assert episode.cameras == ("observation.image.exterior_image_2_left",)
    named = " ".join(dataset.missing)
    for column in ("data/chunk_index", "data/file_index", "videos/observation.image.exterior_image_2_left/chunk_index",
                   "videos/observation.image.exterior_image_2_left/from_timestamp"):  # fmt: skip
        assert repr(column) in named
    assert episode.frames(start=720).shape == (2, 360, 640, 3)
    assert episode.column("observation.state.cartesian_position").shape == (722, 6)
    assert episode.column("observation.state.joint_positions").shape == (722,)  # one number where seven belong
    assert np.array_equal(episode.column("frame_index"), np.arange(722))
    with pytest.raises(
        InvalidInputError, match=r"no camera 'observation\.image\.wrist_image_left'; it has observation\.im"
    ):
        episode.frames("observation.image.wrist_image_left")


# ---- damage: file, episode and frame are named


def test_a_truncated_video(v2):
    path = v2 / f"videos/chunk-001/{CAMERAS[0]}/episode_000002.mp4"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4])
    with pytest.raises(
        EpisodeError, match=r"^episode 2, frame \d+: the video .*episode_000002\.mp4 (is truncated|ends)"
    ):
        open_episodes(v2)[2].frames()


def test_a_video_cut_in_its_header(v2):
    path = v2 / f"videos/chunk-000/{CAMERAS[0]}/episode_000001.mp4"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(EpisodeError, match=r"^episode 1, frame 4: the file .*episode_000001\.mp4 has no video stream"):
        open_episodes(v2)[1].frames(start=4)


def test_a_missing_video(v2):
    (v2 / f"videos/chunk-000/{CAMERAS[0]}/episode_000001.mp4").unlink()
    dataset = open_episodes(v2)
    with pytest.raises(EpisodeError, match=r"^episode 1, frame 3: there is no video .*episode_000001\.mp4"):
        dataset[1].frames(start=3)
    assert numbers_of(dataset[0].frames()) == numbers(0, CAMERAS[0])


def test_a_missing_parquet_file(v2):
    (v2 / "data/chunk-000/episode_000001.parquet").unlink()
    with pytest.raises(EpisodeError, match=r"^episode 1, frame 2: there is no .*000001\.parquet"):
        open_episodes(v2)[1].column(STATE, 2)


@pytest.mark.parametrize("count", [8, 11])
def test_a_video_whose_frame_count_disagrees_with_the_table(v2, count):
    write_numbered(v2 / f"videos/chunk-000/{CAMERAS[0]}/episode_000001.mp4", range(count))
    frame = min(count, 9)
    with pytest.raises(
        EpisodeError, match=rf"000001\.mp4, episode 1, frame {frame}: the video has {count} frames.*0 to 8"
    ):
        open_episodes(v2)[1].frames(stop=2)


def test_a_joint_video_that_is_too_short_for_the_table(v3):
    write_numbered(v3 / f"videos/{CAMERAS[0]}/chunk-000/file-000.mp4", range(30))
    dataset = open_episodes(v3)
    with pytest.raises(EpisodeError, match=r"file-000\.mp4, episode 2, frame 8: the video has 30 frames.*22 to 42"):
        dataset[2].frames(stop=1)
    assert dataset[1].frames().shape[0] == 9


def test_times_that_disagree_with_the_length(v3):
    change_episodes(v3, **{f"videos__{CAMERAS[0]}__to_timestamp": [1.3, 2.0, 4.3]})
    with pytest.raises(
        EpisodeError, match=r"file-000\.mp4, episode 1, frame 7: .* 9 time steps, but 7 frames of camera"
    ):
        open_episodes(v3)[1].frames()


def test_rows_that_disagree_with_the_table(v2):
    pq.write_table(rows(1).slice(0, 7), v2 / "data/chunk-000/episode_000001.parquet")
    with pytest.raises(
        EpisodeError, match=r"000001\.parquet, episode 1, frame 7: .*rows 0 to 8, but the file has 7 rows"
    ):
        open_episodes(v2)[1].column(STATE, 0, 3)


def test_rows_of_another_episode(v3):
    change_episodes(v3, length=[12, 10, 21])
    with pytest.raises(EpisodeError, match=r"file-000\.parquet, episode 1, frame 0: .*row 12, which is of episode 0"):
        open_episodes(v3)[1].column(STATE)


def test_a_truncated_parquet_file(v3):
    path = v3 / "data/chunk-000/file-001.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(EpisodeError, match=r"^episode 2, frame 5: .*file-001\.parquet is no whole parquet file"):
        open_episodes(v3)[2].column(STATE, 5)


def test_a_parquet_file_damaged_within(v3):
    path = v3 / "data/chunk-000/file-001.parquet"
    group = pq.ParquetFile(path).metadata.row_group(1)
    column = group.column(0)
    assert column.path_in_schema.startswith(STATE)
    content = bytearray(path.read_bytes())
    begin = column.dictionary_page_offset or column.data_page_offset
    content[begin : begin + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(content)
    episode = open_episodes(v3)[2]
    assert np.array_equal(episode.column(STATE, 0, 8), state(2)[:8])
    with pytest.raises(
        EpisodeError, match=r"^episode 2, frame 10: .*file-001\.parquet is damaged: column 'observation\.state'"
    ):
        episode.column(STATE, 10, 12)


@pytest.mark.parametrize(("value", "what"), [(None, "a value is missing"), ([1.0], "it has 1 numbers and not 3")])
def test_a_row_without_its_numbers(v3, value, what):
    path = v3 / "data/chunk-000/file-001.parquet"
    table = pq.read_table(path)
    values = table.column(STATE).to_pylist()
    values[11] = value
    pq.write_table(table.set_column(0, STATE, pa.array(values, pa.list_(pa.float32()))), path)
    with pytest.raises(EpisodeError, match=f"episode 2, frame 11: column 'observation.state' is damaged: {what}"):
        open_episodes(v3)[2].column(STATE, 4)


def test_nan_in_a_column_is_found_where_numbers_must_be_finite(v3):
    path = v3 / "data/chunk-000/file-001.parquet"
    table = pq.read_table(path)
    values = state(2)
    values[11, 1] = np.nan
    pq.write_table(table.set_column(0, STATE, pa.array(list(values), pa.list_(pa.float32()))), path)
    episode = open_episodes(v3)[2]
    read = episode.column(STATE, 4)
    assert np.isnan(read[7, 1])  # the column itself is given as it is
    with pytest.raises(
        EpisodeError, match=r"file-001\.parquet, episode 2, frame 11: column 'observation\.state' holds NaN"
    ):
        require_finite(read, episode.where, STATE, 4)


def test_an_image_that_does_not_decode(tmp_path):
    root = write_v3(tmp_path / "set", images=True)
    path = root / "data/chunk-000/file-001.parquet"
    table = pq.read_table(path)
    images = table.column(CAMERAS[0]).to_pylist()
    images[6]["bytes"] = images[6]["bytes"][:60]
    table = table.set_column(table.column_names.index(CAMERAS[0]), CAMERAS[0], pa.array(images))
    pq.write_table(table, path)
    with pytest.raises(EpisodeError, match=r"file-001\.parquet, episode 2, frame 6: the image does not decode"):
        open_episodes(root)[2].frames(start=3)


def test_a_codec_that_is_not_there(v2):
    path = v2 / f"videos/chunk-000/{CAMERAS[0]}/episode_000000.mp4"
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzz1"))
    with pytest.raises(
        EpisodeError, match=r"^episode 0, frame 0: .*episode_000000\.mp4 is of a codec.*cosmos-robot\[lerobot\]"
    ):
        open_episodes(v2)[0].frames()


def test_a_backend_that_is_not_there(v2, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torchcodec", None)
    monkeypatch.delitem(sys.modules, "torchcodec.decoders", raising=False)
    with pytest.raises(MissingDependencyError, match="torchcodec"):
        open_episodes(v2, backend="torchcodec")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"info\.json is not valid json"),
        ("[]", r"info\.json must hold a json object"),
        ('{"fps": 0, "features": {}}', r"info\.json: 'fps' must be a positive number; got 0"),
        ('{"fps": 10}', r"info\.json: 'features' must be an object"),
        ('{"fps": 10, "features": {}, "data_path": 3}', "'data_path' must be a text; got 3"),
    ],
)
def test_a_damaged_info(v2, content, message):
    (v2 / "meta/info.json").write_text(content)
    with pytest.raises(EpisodeError, match=message):
        open_episodes(v2)


def test_a_template_that_cannot_be_filled_in(v2):
    change_info(v2, data_path="data/{shard}.parquet")
    with pytest.raises(
        EpisodeError, match=r"info\.json: the path template 'data/\{shard\}\.parquet' cannot be filled in"
    ):
        open_episodes(v2)[0].column(STATE)


def test_a_damaged_episode_table(v2):
    with (v2 / "meta/episodes.jsonl").open("a") as file:
        file.write('{"episode_index": 3, "len')
    with pytest.raises(EpisodeError, match=r"episodes\.jsonl is damaged"):
        open_episodes(v2)


def test_an_episode_table_without_lengths(tmp_path):
    with pytest.raises(EpisodeError, match=r"meta/episodes has no column 'length'; it has episode_index"):
        open_episodes(write_v3(tmp_path / "set", drop=["length"]))


def test_lines_without_lengths(v2):
    write_lines(v2 / "meta/episodes.jsonl", [{"episode_index": 0, "length": 13}, {"episode_index": 1}])
    with pytest.raises(EpisodeError, match=r"episodes\.jsonl: column 'length' lacks 1 of 2 values"):
        open_episodes(v2)


def test_a_version_before_two(v2):
    change_info(v2, codebase_version="v1.6")
    (v2 / "meta/episodes.jsonl").unlink()
    with pytest.raises(EpisodeError, match=r"says v1\.6 and has neither episodes/ .* nor episodes\.jsonl"):
        open_episodes(v2)
