"""Replay buffers of diffusion-policy are written here file by file, as the Zarr 2 specification says."""

import json
import multiprocessing
import pickle
import subprocess
import sys

import numcodecs
import numpy as np
import pytest
from zarr_v2 import ZarrV2, replay_buffer

from cosmos_robot.datasets.open_episodes import open_episodes
from cosmos_robot.datasets.replay_buffer import ReplayBufferEpisodes, open_source, recognises
from cosmos_robot.errors import EpisodeError, InvalidInputError

ENDS = [4, 9, 12]
BLOSC = numcodecs.Blosc(cname="zstd", clevel=5, shuffle=1)


def blosc(chunk):
    return BLOSC.encode(np.ascontiguousarray(chunk))


def pictures(length=12, height=20, width=24):
    """Noise with both ends of the range: no two frames, rows or columns are alike."""
    frames = np.random.default_rng(0).integers(0, 256, (length, height, width, 3), dtype=np.uint8)
    frames[:, 0, 0] = (0, 255, 1)
    return frames


def numbers(seed, *shape):
    return np.random.default_rng(1000 + seed).normal(size=shape).astype(np.float32)


def pusht(ends=ENDS, *, rows=12):
    """As pusht_cchi_v7_replay.zarr is: float pictures, chunks that cross the episodes' ends."""
    buffer = replay_buffer(ends)
    config = BLOSC.get_config()
    buffer.array("data/img", pictures(rows).astype(np.float32), (5, 20, 24, 3), compressor=config, encode=blosc)
    buffer.array("data/action", numbers(0, rows, 2), (7, 2), compressor=config, encode=blosc)
    buffer.array("data/state", numbers(1, rows, 5), (7, 5), compressor=config, encode=blosc)
    buffer.array("data/keypoint", numbers(2, rows, 9, 2), (7, 9, 2), compressor=config, encode=blosc)
    return buffer.array("data/n_contacts", numbers(3, rows, 1))


@pytest.fixture
def folder(tmp_path):
    return pusht().folder(tmp_path / "pusht.zarr")


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_episodes_columns_and_pictures(tmp_path, kind):
    path = getattr(pusht(), kind)(tmp_path / ("a.zarr" if kind == "folder" else "a.zarr.zip"))
    with open_episodes(path) as episodes:
        assert (episodes.format, episodes.fps, len(episodes)) == ("diffusion-policy zarr", 10.0, 3)
        assert episodes.lengths().tolist() == [4, 5, 3] == [len(episode) for episode in episodes]
        episode = episodes[1]
        assert (episode.index, episode.task, episode.fps, episode.cameras) == (1, "", 10.0, ("img",))
        assert set(episode.columns) == {"action", "state", "keypoint", "n_contacts"}
        frames = episode.frames()
        assert frames.dtype == np.uint8
        np.testing.assert_array_equal(frames, pictures()[4:9])
        np.testing.assert_array_equal(episode.frames(start=1, stop=3), pictures()[5:7])
        np.testing.assert_array_equal(episode.column("action"), numbers(0, 12, 2)[4:9])
        np.testing.assert_array_equal(episodes[2].column("keypoint", 1), numbers(2, 12, 9, 2)[10:])
        np.testing.assert_array_equal(episodes[0].column("n_contacts", 1, 2), numbers(3, 12, 1)[1:2])
        assert episodes[-1].frames(stop=0).shape == (0, 20, 24, 3)


def test_the_rate_is_an_argument(folder):
    assert open_episodes(folder, fps=12)[0].fps == 12.0


def test_zarr_format_3(tmp_path):
    import zarr

    root = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=3)
    root.create_array("data/img", data=pictures(), chunks=(1, 20, 24, 3))
    root.create_array("data/action", data=numbers(0, 12, 2))
    root.create_array("meta/episode_ends", data=np.array(ENDS))
    episode = open_episodes(tmp_path / "a.zarr")[1]
    np.testing.assert_array_equal(episode.frames(start=2), pictures()[6:9])
    np.testing.assert_array_equal(episode.column("action"), numbers(0, 12, 2)[4:9])


def test_consolidated_metadata(tmp_path):
    buffer = pusht()
    metadata = {name: json.loads(content) for name, content in buffer.files.items() if name.split("/")[-1][:2] == ".z"}
    buffer.files[".zmetadata"] = json.dumps({"zarr_consolidated_format": 1, "metadata": metadata}).encode()
    np.testing.assert_array_equal(open_episodes(buffer.zip(tmp_path / "a.zarr.zip"))[2].frames(), pictures()[9:])


def test_robomimic_cache_in_jpeg_2000(tmp_path):
    imagecodecs = pytest.importorskip("imagecodecs")
    buffer = replay_buffer(ENDS)
    # the configuration that diffusion-policy's own codec class writes
    config = {"id": "imagecodecs_jpeg2k", "level": 50, "codecformat": None, "colorspace": None, "tile": None}
    config |= {"reversible": None, "bitspersample": None, "resolutions": None, "numthreads": None, "verbose": 0}
    buffer.array(
        "data/agentview_image",
        pictures(),
        (1, 20, 24, 3),
        compressor=config,
        encode=lambda chunk: imagecodecs.jpeg2k_encode(chunk[0], level=0, reversible=True),
    )
    buffer.array("data/action", numbers(0, 12, 10))
    buffer.array("data/robot0_eef_quat", numbers(1, 12, 4))
    with open_episodes(buffer.zip(tmp_path / "image.hdf5.zarr.zip")) as episodes:
        assert (episodes.format, episodes.fps) == ("diffusion-policy zarr", 20.0)
        assert episodes[0].cameras == ("agentview_image",)
        np.testing.assert_array_equal(episodes[1].frames(start=1), pictures()[5:9])


def test_only_the_chunks_that_are_asked_for_are_read(folder):
    for chunk in (0, 2):  # rows 0 to 4 and 10 to 14
        (folder / f"data/img/{chunk}.0.0.0").write_bytes(b"damaged")
    episodes = open_episodes(folder)
    np.testing.assert_array_equal(episodes[1].frames(start=1), pictures()[5:9])
    np.testing.assert_array_equal(episodes[2].frames(stop=1), pictures()[9:10])
    with pytest.raises(EpisodeError, match=r"pusht\.zarr, episode 1, frame 0: camera 'img' cannot be read"):
        episodes[1].frames()
    with pytest.raises(EpisodeError, match=r"pusht\.zarr, episode 2, frame 1: camera 'img' cannot be read"):
        episodes[2].frames()


def test_a_chunk_that_is_missing(folder):
    (folder / "data/img/1.0.0.0").unlink()
    with pytest.raises(EpisodeError, match=r"episode 1, frame 1: camera 'img' .*missing_chunks='fill'"):
        open_episodes(folder)[1].frames()
    frames = open_source(folder, missing_chunks="fill")[1].frames()
    assert not frames[1:].any()
    np.testing.assert_array_equal(frames[0], pictures()[4])
    with pytest.raises(InvalidInputError, match="error or fill"):
        open_source(folder, missing_chunks="ignore")


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_other_processes_read_for_themselves(tmp_path, method):
    episode = open_episodes(pusht().zip(tmp_path / "a.zarr.zip"))[1]
    episode.frames()  # the file is open here when the others start
    with multiprocessing.get_context(method).Pool(2) as pool:
        results = [pool.apply_async(episode.frames, (None, i, i + 2)) for i in range(4)]
        for i, result in enumerate(results):
            np.testing.assert_array_equal(result.get(60), pictures()[4 + i : 6 + i])
    np.testing.assert_array_equal(episode.frames(), pictures()[4:9])


def test_a_pickled_dataset_and_a_file_that_is_closed(tmp_path):
    episodes = pickle.loads(pickle.dumps(ReplayBufferEpisodes(pusht().zip(tmp_path / "a.zarr.zip"), fps=5)))
    episode = episodes[2]
    np.testing.assert_array_equal(episode.frames(), pictures()[9:])
    episodes.close()
    episodes.close()
    assert len(episodes._buffer._files) == 0
    assert episode.fps == 5.0
    np.testing.assert_array_equal(episode.frames(), pictures()[9:])


@pytest.mark.parametrize(
    ("value", "message"),
    [(np.nan, "holds NaN or values outside"), (-2.0, "holds NaN or values"), (300.0, "holds NaN or values")],
)
def test_float_pictures_out_of_range(tmp_path, value, message):
    images = pictures().astype(np.float32)
    images[6, 3, 4, 1] = value
    path = replay_buffer(ENDS).array("data/img", images, (5, 20, 24, 3)).folder(tmp_path / "a.zarr")
    with pytest.raises(EpisodeError, match=rf"a\.zarr, episode 1, frame 2: camera 'img' {message}"):
        open_episodes(path)[1].frames(start=1)


def test_float_pictures_that_went_through_0_to_1_are_rounded(tmp_path):
    images = pictures().astype(np.float32)
    images += np.where(images > 127, -1e-3, 1e-3).astype(np.float32)  # what dividing and multiplying again may leave
    path = replay_buffer(ENDS).array("data/img", images).folder(tmp_path / "a.zarr")
    np.testing.assert_array_equal(open_episodes(path)[1].frames(), pictures()[4:9])
    path = replay_buffer(ENDS).array("data/img", images / 255).folder(tmp_path / "b.zarr")
    with pytest.raises(EpisodeError, match=r"episode 1, frames 0 to 4: camera 'img' holds floats in 0\.\.1"):
        open_episodes(path)[1].frames()


def test_nan_in_a_column_is_named_where_it_becomes_an_action(tmp_path):
    action = numbers(0, 12, 2)
    action[7, 1] = np.nan
    path = pusht().array("data/action", action).folder(tmp_path / "a.zarr")
    episodes = open_episodes(path)
    assert np.isnan(episodes[1].column("action")).sum() == 1
    with pytest.raises(EpisodeError, match=r"a\.zarr, episode 1, frame 3: column 'action' holds NaN"):
        episodes[1].actions("pusht")
    np.testing.assert_allclose(episodes[0].actions("pusht").values, numbers(0, 12, 2)[:3])


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        ([4, 9, 14], r"a\.zarr, episode 2: data/\w+ has 12 rows, but meta/episode_ends says that it ends at row 14"),
        ([4, 13, 15], r"a\.zarr, episode 1: data/\w+ has 12 rows, .* ends at row 13"),
        ([4, 9], r"a\.zarr: data/\w+ has 12 rows, but the last episode \(1\) ends at row 9"),
        ([4, 4, 12], r"a\.zarr, episode 1: meta/episode_ends must rise"),
        ([4, 2, 12], r"a\.zarr, episode 1: meta/episode_ends must rise"),
        ([], r"a\.zarr: meta/episode_ends must be a list of whole numbers"),
    ],
)
def test_ends_that_disagree_with_the_arrays(tmp_path, ends, message):
    with pytest.raises(EpisodeError, match=message):
        open_episodes(pusht(ends).folder(tmp_path / "a.zarr"))


def test_one_array_that_is_shorter(tmp_path):
    path = pusht().array("data/state", numbers(1, 11, 5)).folder(tmp_path / "a.zarr")
    with pytest.raises(EpisodeError, match=r"episode 2: data/state has 11 rows.*ends at row 12; the array is cut off"):
        open_episodes(path)


def test_a_truncated_zip(tmp_path):
    path = pusht().zip(tmp_path / "a.zarr.zip")
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(EpisodeError, match=r"a\.zarr\.zip cannot be opened as Zarr \(File is not a zip file\)"):
        open_episodes(path)


def test_damage_within_a_zip(tmp_path):
    path = pusht().zip(tmp_path / "a.zarr.zip")
    content = bytearray(path.read_bytes())
    content[content.index(b"data/img/1.0.0.0") + 200] ^= 255
    path.write_bytes(content)
    with pytest.raises(
        EpisodeError, match=r"a\.zarr\.zip, episode 1, frame 1: camera 'img' cannot be read \(Bad CRC-32"
    ):
        open_episodes(path)[1].frames()


def test_what_is_not_the_layout_is_listed(tmp_path):
    path = ZarrV2().group().array("images", pictures()).array("acts", numbers(0, 12, 2)).folder(tmp_path / "a.zarr")
    with pytest.raises(EpisodeError, match=r"it has acts \[12, 2\], images \[12, 20, 24, 3\]"):
        open_episodes(path)
    path = ZarrV2().group().folder(tmp_path / "b.zarr")
    with pytest.raises(EpisodeError, match=r"expected data/<key> and meta/episode_ends; it has no array"):
        open_episodes(path)


def test_metadata_that_is_damaged(folder):
    (folder / "data/img/.zarray").write_text("{")
    with pytest.raises(EpisodeError, match=r"pusht\.zarr cannot be opened as Zarr"):
        open_episodes(folder)


def test_a_codec_that_nobody_knows(tmp_path):
    path = pusht().array("data/x", numbers(0, 12, 2), compressor={"id": "lab_codec"}).folder(tmp_path / "a.zarr")
    with pytest.raises(EpisodeError, match=r"a\.zarr needs a codec that is not known here .*lab_codec"):
        open_episodes(path)


@pytest.mark.parametrize("codec", ["imagecodecs_jpeg2k", "imagecodecs_jpegxl"])
def test_a_codec_that_is_not_installed_names_its_extra(tmp_path, codec):
    path = (
        replay_buffer(ENDS).array("data/camera0_rgb", pictures(), compressor={"id": codec}).zip(tmp_path / "a.zarr.zip")
    )
    code = f"""
import sys
sys.modules["imagecodecs"] = None  # as if it were not installed
from cosmos_robot.datasets.open_episodes import open_episodes
from cosmos_robot.errors import MissingDependencyError
try:
    open_episodes({str(path)!r})
except MissingDependencyError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert "a.zarr.zip" in said
    assert "cosmos-robot[umi]" in said
    assert codec in said


def test_what_is_recognised(tmp_path, folder):
    assert recognises(folder)
    assert recognises(pusht().zip(tmp_path / "b.zip"))
    assert not recognises(tmp_path)
    (tmp_path / "c.zip").write_bytes(b"no zip")
    assert not recognises(tmp_path / "c.zip")
    assert not recognises(ZarrV2().array("x", np.zeros(3)).zip(tmp_path / "d.zip"))
