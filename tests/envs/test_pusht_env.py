"""The environment over a perfect world model of Push-T is gym-pusht."""

import numpy as np
import pytest

pytest.importorskip("gym_pusht")

from perfect_pusht import PerfectPushT

from cosmos_robot.envs.pusht_state import agent_position
from cosmos_robot.envs.registration import HELD_OUT_SEEDS, PUSHT_STARTS
from cosmos_robot.envs.world_model_env import WorldModelEnv
from cosmos_robot.envs.world_model_vector_env import WorldModelVectorEnv
from cosmos_robot.training.pusht_recording import HELD_OUT_SEED, open_simulator, record_episode

SEED = HELD_OUT_SEED + 3
CHUNK = 8


@pytest.fixture(autouse=True)
def _no_display(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


@pytest.fixture(scope="module")
def played():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SDL_VIDEODRIVER", "dummy")
        env = open_simulator()
        episode = record_episode(env, SEED, 2 * CHUNK)
        env.close()
    return episode


@pytest.mark.parametrize("step", ["chunk", "action"])
def test_frames_and_pusher_are_the_simulators(step, played):
    env = WorldModelEnv(
        world_model=PerfectPushT(SEED), domain="pusht", starts=PUSHT_STARTS, action_chunk_size=CHUNK, step=step
    )
    observation, info = env.reset(seed=0, options={"episode": SEED})
    assert info["start"] == SEED
    np.testing.assert_array_equal(observation["pixels"], played.frames[0])
    count = CHUNK if step == "chunk" else 1
    for t in range(0, 2 * CHUNK, count):
        action = played.actions[t : t + count]
        observation, _, _, _, info = env.step(action if step == "chunk" else action[0])
        np.testing.assert_array_equal(observation["pixels"], played.frames[t + count])
        assert info["agent_found"]
        assert np.linalg.norm(observation["agent_pos"] - played.agent[t + count]) < 4.0
    env.close()


def test_a_batch_of_different_scenes():
    seeds = [SEED, SEED + 1]
    envs = WorldModelVectorEnv(
        2, world_model=PerfectPushT(*seeds), domain="pusht", starts=PUSHT_STARTS, action_chunk_size=4
    )
    envs.reset(seed=0, options={"episode": seeds})
    actions = np.random.default_rng(0).uniform(50, 450, (2, 4, 2)).astype(np.float32)
    observation, *_ = envs.step(actions)
    simulator = open_simulator()
    for index, seed in enumerate(seeds):
        simulator.reset(seed=seed)
        for action in actions[index]:
            real, *_ = simulator.step(action.astype(np.float64))
        np.testing.assert_array_equal(observation["pixels"][index], real["pixels"])
    simulator.close()
    envs.close()


def test_the_pushers_place_is_found_on_real_frames(played):
    errors = [np.linalg.norm(agent_position(f) - a) for f, a in zip(played.frames, played.agent, strict=True)]
    assert np.mean(errors) < 1.5  # table pixels, of 512
    assert max(errors) < 4.0


def test_the_pushers_place_at_another_size(played):
    large = played.frames[5].repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(agent_position(large), agent_position(played.frames[5]))


def test_a_pusher_that_vanishes_stays_where_it_was(counting, played):
    blank = np.full((96, 96, 3), 255, np.uint8)
    env = WorldModelEnv(
        world_model=counting, domain="pusht", starts=np.stack([played.frames[0], blank]), action_chunk_size=4
    )
    counting._answer = lambda request, answer=counting._answer: _whitened(answer(request))
    before, info = env.reset(options={"episode": 0})
    assert info["agent_found"]
    after, _, _, _, info = env.step(env.action_space.sample())
    assert not info["agent_found"]
    np.testing.assert_array_equal(after["agent_pos"], before["agent_pos"])
    observation, info = env.reset(options={"episode": 1})
    assert not info["agent_found"]
    np.testing.assert_array_equal(observation["agent_pos"], [256, 256])


def test_starts_are_scenes_that_nothing_was_trained_on():
    assert HELD_OUT_SEEDS[0] == HELD_OUT_SEED


def _whitened(rollout):
    rollout.frames[:] = 255
    return rollout
