"""What the reading benchmark makes is what it says, and opening does not grow with the number of episodes."""

import gc

import pytest

from cosmos_robot.benchmarks.episode_metadata import CAMERAS, measure_opening, write_metadata
from cosmos_robot.benchmarks.episode_reading import Recording, measure, shuffled_windows, write_recording
from cosmos_robot.datasets.open_episodes import open_episodes


@pytest.mark.parametrize("layout", ["v2.1", "v3.0"])
def test_no_episode_becomes_an_object(tmp_path, layout):
    made = []
    for number, episodes in enumerate((10, 10, 3000)):  # the first one imports what opening needs
        root = tmp_path / str(number)
        write_metadata(root, layout, episodes=episodes, frames=40 * episodes)
        gc.collect()
        before = len(gc.get_objects())
        dataset = open_episodes(root)
        made.append(len(gc.get_objects()) - before)
        assert len(dataset) == episodes
        assert sum(len(episode) for episode in dataset) == 40 * episodes
        assert dataset.cameras == CAMERAS
        assert dataset[episodes - 1].task == f"put object {episodes - 1} into container {(episodes - 1) % 37}"
    assert abs(made[2] - made[1]) < 100


@pytest.mark.slow
def test_opening_a_large_dataset_in_a_process_of_its_own(tmp_path):
    write_metadata(tmp_path / "set", "v3.0", episodes=2000, frames=80_000)
    opened = measure_opening(tmp_path / "set", "v3.0")
    assert (opened.episodes, opened.frames) == (2000, 80_000)
    assert 0 < opened.imports_mb <= opened.peak_mb + 5


@pytest.mark.slow
def test_both_libraries_read_the_same_windows(tmp_path):
    recording = Recording("small", size=64, codec="h264", keyframes=10)
    write_recording(tmp_path / "set", recording, episodes=2, length=30)
    places = shuffled_windows(2, 30, 3)
    row = measure(tmp_path / "set", recording, uint8=True, places=places, rounds=2)
    assert row.rounds == 2
    assert row.ratio_low <= row.ratio <= row.ratio_high
    assert row.max_difference == 0 or row.decoder != "pyav"
