import numpy as np
import pytest

from cosmos_robot.errors import InvalidInputError
from cosmos_robot.training.pusht_recording import (
    HELD_OUT_SEED,
    RecordingConfig,
    open_simulator,
    read_shard,
    record,
    record_episode,
    recorded_shards,
)
from cosmos_robot.training.pusht_scripts import PUSHERS, Scene, block_centre


@pytest.fixture
def simulator(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    pytest.importorskip("gym_pusht")
    env = open_simulator()
    yield env
    env.close()


def test_an_episode_follows_from_its_seed(simulator):
    first = record_episode(simulator, seed=7, steps=12)
    record_episode(simulator, seed=8, steps=3)
    again = record_episode(simulator, seed=7, steps=12)
    for name in ("frames", "actions", "agent", "block"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    other = record_episode(simulator, seed=8, steps=12)
    assert not np.array_equal(first.actions, other.actions)


def test_an_episode_has_one_frame_more_than_actions(simulator):
    episode = record_episode(simulator, seed=3, steps=5)
    assert episode.frames.shape == (6, 96, 96, 3)
    assert episode.frames.dtype == np.uint8
    assert episode.actions.shape == (5, 2)
    assert episode.agent.shape == (6, 2)
    assert episode.block.shape == (6, 3)
    assert episode.actions.min() >= 0
    assert episode.actions.max() <= 512


def test_most_episodes_push_the_t(simulator):
    moved = []
    for seed in range(8):
        centre = block_centre(record_episode(simulator, seed=seed, steps=60).block)
        moved.append(np.linalg.norm(centre - centre[0], axis=1).max())
    assert np.mean(np.array(moved) > 30.0) >= 0.5


def test_a_recording_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    pytest.importorskip("gym_pusht")
    config = RecordingConfig(episodes=3, steps=4, first_seed=20, shard_episodes=2)
    paths = record(tmp_path, config)
    assert [path.name for path in paths] == ["pusht_0000020_0000022.npz", "pusht_0000022_0000023.npz"]
    kept = paths[0].stat().st_mtime_ns
    paths[1].unlink()
    assert record(tmp_path, config) == paths == recorded_shards(tmp_path)
    assert paths[0].stat().st_mtime_ns == kept
    assert [episode.seed for path in paths for episode in read_shard(path)] == [20, 21, 22]


def test_training_seeds_and_held_out_seeds_do_not_mix():
    with pytest.raises(InvalidInputError, match="held-out"):
        RecordingConfig(episodes=10, first_seed=HELD_OUT_SEED - 5)
    RecordingConfig(episodes=10, first_seed=HELD_OUT_SEED)


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(InvalidInputError, match=str(tmp_path)):
        recorded_shards(tmp_path)


@pytest.mark.parametrize("name", PUSHERS)
def test_every_pusher_stays_near_the_table(name):
    pusher = PUSHERS[name][1](np.random.default_rng(5))
    agent, block = np.array([100.0, 400.0]), np.array([250.0, 200.0, 0.7])
    for _ in range(60):
        target = pusher.target(Scene(agent, block))
        assert target.shape == (2,)
        assert np.all(np.abs(target - 256.0) < 256.0 + 20.0)
        agent = agent + 0.4 * (target - agent)


def test_the_centre_of_the_t_turns_with_it():
    upright, turned = block_centre(np.array([[100.0, 100.0, 0.0], [100.0, 100.0, np.pi / 2]]))
    np.testing.assert_allclose(upright, [100.0, 145.0])
    np.testing.assert_allclose(turned, [55.0, 100.0], atol=1e-9)
