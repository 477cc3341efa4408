"""Datasets on the Hub: from a Hub on this machine, from the local cache alone, and where there is none."""

import httpx
import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import errors
from lerobot_folder import CAMERAS, STATE, numbers, state, write_v2, write_v3
from numbered_video import numbers_of
from small_hub import COMMIT, serve

from cosmos_robot.datasets.open_episodes import open_episodes
from cosmos_robot.errors import EpisodeError, InvalidInputError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    return folder


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)  # `make test` sets it in the environment
    with serve(write_v2(tmp_path / "published"), "lab/pushing") as (address, fetched):
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
        monkeypatch.setattr(
            "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
            address + "/{repo_id}/resolve/{revision}/{filename}",
        )
        yield fetched


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def test_only_what_is_asked_for_is_fetched(hub):
    dataset = open_episodes("lab/pushing")
    assert (dataset.source, len(dataset), dataset.cameras) == ("lab/pushing", 3, CAMERAS)
    assert set(dataset[2].columns) >= {STATE, "timestamp"}
    assert all(name.startswith("meta/") for name in hub)
    assert np.array_equal(dataset[2].column(STATE), state(2))
    assert numbers_of(dataset[1].frames(CAMERAS[1])) == numbers(1, CAMERAS[1])
    assert [name for name in hub if not name.startswith("meta/")] == [
        "data/chunk-001/episode_000002.parquet",
        f"videos/chunk-000/{CAMERAS[1]}/episode_000001.mp4",
    ]
    count = len(hub)
    again = open_episodes("lab/pushing")  # all of it is in the cache now
    assert numbers_of(again[1].frames(CAMERAS[1], 2, 4)) == numbers(1, CAMERAS[1])[2:4]
    assert len(hub) == count


def test_a_file_that_the_hub_has_not(hub, tmp_path):
    (tmp_path / "published/data/chunk-000/episode_000000.parquet").unlink()
    with pytest.raises(
        EpisodeError, match=r"^episode 0, frame 3: the Hub dataset lab/pushing has no file data/chunk-000"
    ):
        open_episodes("lab/pushing")[0].column(STATE, 3)


def test_an_id_that_the_hub_does_not_know(hub):
    with pytest.raises(InvalidInputError, match=r"'lab/pulling' is here, and the Hub has no dataset of that name"):
        open_episodes("lab/pulling")


def test_a_gated_dataset(monkeypatch):
    def refuse(*args, **options):
        response = httpx.Response(403, request=httpx.Request("GET", "https://hub.example/lab/secret"))
        raise errors.GatedRepoError("refused", response=response)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(InvalidInputError, match="lab/secret is gated: accept its terms"):
        open_episodes("lab/secret")


def test_a_hub_that_fails(monkeypatch):
    def fail(*args, **options):
        response = httpx.Response(500, request=httpx.Request("GET", "https://hub.example/lab/pushing"))
        raise errors.HfHubHTTPError("the server fails", response=response)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(InvalidInputError, match=r"'lab/pushing' is here, and .* does not download: the server fails"):
        open_episodes("lab/pushing")


def test_offline_what_is_in_the_cache_is_read(cache, offline):
    folder = cache / "datasets--lab--pushing"
    write_v3(folder / "snapshots" / COMMIT)
    (folder / "refs").mkdir()
    (folder / "refs/main").write_text(COMMIT)
    dataset = open_episodes("lab/pushing")
    assert numbers_of(dataset[2].frames()) == numbers(2, CAMERAS[0])
    (folder / "snapshots" / COMMIT / "data/chunk-000/file-001.parquet").unlink()
    with pytest.raises(
        EpisodeError, match=r"^episode 2, frame 0: data/.*file-001\.parquet of .* not in the local cache"
    ):
        open_episodes("lab/pushing")[2].column(STATE)


def test_offline_and_not_in_the_cache(offline):
    with pytest.raises(
        InvalidInputError, match=r"'lab/pushing' is here, and .* cannot be reached \(no network, or HF_HUB"
    ):
        open_episodes("lab/pushing")


@pytest.mark.parametrize(
    "source", ["nothing", "a/b/c", "/nowhere/at/all", "with space/x", "../a", "./a", "a/b--3", "~/a"]
)
def test_neither_a_path_nor_an_id(source):
    with pytest.raises(
        InvalidInputError, match=f"no dataset at '{source}': it is neither a file or folder nor a Hub id"
    ):
        open_episodes(source)


def test_a_repository_of_another_kind(hub, tmp_path):
    (tmp_path / "published/meta/info.json").unlink()
    with pytest.raises(InvalidInputError, match=r"lab/pushing has no meta/info\.json: it is no LeRobot dataset"):
        open_episodes("lab/pushing")
