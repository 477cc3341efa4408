"""What a LeRobot folder lacks or says twice is made up for where that is safe, and named."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lerobot_folder import (
    CAMERAS,
    LENGTHS,
    STATE,
    TASKS,
    change_episodes,
    change_info,
    numbers,
    state,
    task_of,
    write_v3,
)
from numbered_video import numbers_of

from cosmos_robot.datasets.open_episodes import open_episodes
from cosmos_robot.errors import EpisodeError, InvalidInputError

DROID = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "droid_lerobot_example"


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
