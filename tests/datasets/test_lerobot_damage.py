"""Damage in a LeRobot folder is an error that names the file, the episode and the frame."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lerobot_folder import (
    CAMERAS,
    STATE,
    change_episodes,
    change_info,
    numbers,
    rows,
    state,
    write_lines,
    write_v3,
)
from numbered_video import numbers_of, write_numbered

from cosmos_robot.datasets.episode import require_finite
from cosmos_robot.datasets.open_episodes import open_episodes
from cosmos_robot.errors import EpisodeError, MissingDependencyError


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
