"""The format is found from the files."""

import h5py
import numpy as np
import pytest
from lerobot_folder import write_v2, write_v3
from zarr_v2 import replay_buffer

from cosmos_robot.datasets.open_episodes import open_episodes
from cosmos_robot.errors import InvalidInputError


def demos(path):
    with h5py.File(path, "w") as file:
        demo = file.create_group("data/demo_0")
        demo.attrs["num_samples"] = 4
        demo["actions"] = np.zeros((4, 7))
        demo["obs/agentview_image"] = np.zeros((4, 16, 16, 3), np.uint8)
    return path


def aloha(path):
    with h5py.File(path, "w") as file:
        file.attrs["sim"] = True
        file["action"] = np.zeros((4, 14))
        file["observations/qpos"] = np.zeros((4, 14))
        file["observations/images/top"] = np.zeros((4, 16, 16, 3), np.uint8)
    return path


def buffer():
    return replay_buffer([4]).array("data/action", np.zeros((4, 2), np.float32))


SOURCES = {
    "lerobot v2.0": lambda folder: write_v2(folder / "set", version="v2.0", lengths=(4,)),
    "lerobot v2.1": lambda folder: write_v2(folder / "set", lengths=(4,)),
    "lerobot v3.0": lambda folder: write_v3(folder / "set", lengths=(4,)),
    "robomimic": lambda folder: demos(folder / "low_dim.hdf5"),
    "aloha": lambda folder: aloha(folder / "episode_0.hdf5"),
    "aloha folder": lambda folder: aloha(folder / "episode_0.hdf5").parent,
    "replay buffer": lambda folder: buffer().folder(folder / "set.zarr"),
    "replay buffer zip": lambda folder: buffer().zip(folder / "set.zarr.zip"),
}


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_each_format_is_found(tmp_path, name, kind):
    with open_episodes(kind(SOURCES[name](tmp_path))) as dataset:
        assert len(dataset) == 1
        assert len(dataset[0]) == 4
        assert dataset.format.lower().replace("-", " ").split()[0] in name.replace("replay buffer", "diffusion")


def test_episodes_say_what_they_are(tmp_path):
    root = write_v2(tmp_path / "set", lengths=(4, 5))
    with open_episodes(root) as dataset:
        assert repr(dataset) == f"<2 episodes of {root}, {dataset.format}, 10 fps>"
        assert repr(dataset[1:]) == f"<1 of the <2 episodes of {root}, {dataset.format}, 10 fps>>"
        assert repr(dataset[1]).endswith(
            f"episode 1: 5 time steps at 10 fps, cameras: {', '.join(dataset[1].cameras)}>"
        )


def test_a_rate_that_the_dataset_records_otherwise(tmp_path):
    root = write_v2(tmp_path / "set", lengths=(4,))
    assert open_episodes(root, fps=10).fps == 10.0
    with pytest.raises(InvalidInputError, match="records 10 frames a second; fps=5 cannot be given"):
        open_episodes(root, fps=5)


def test_what_is_no_dataset_lists_what_is(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    for path in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(
            InvalidInputError, match=r"is no dataset that is known here; expected .*LeRobot .*Zarr .*ALOHA"
        ):
            open_episodes(path)


def test_a_readers_own_options(tmp_path):
    path = demos(tmp_path / "low_dim.hdf5")
    with h5py.File(path, "a") as file:
        file["mask/train"] = np.array([b"demo_0"])
    assert len(open_episodes(path, filter_key="train")) == 1
    with pytest.raises(InvalidInputError, match="without an option chanels; it has filter_key, orientation"):
        open_episodes(path, chanels="bgr")
    with pytest.raises(InvalidInputError, match="without an option filter_key; it has none"):
        open_episodes(write_v2(tmp_path / "set", lengths=(4,)), filter_key="train")


def test_a_path_from_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_v2(tmp_path / "set", lengths=(4,))
    assert len(open_episodes("~/set")) == 1
