"""Policies in environments: each adapter beside what it adapts."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces

from cosmos_robot.envs.lerobot_policy import LeRobotPolicy
from cosmos_robot.envs.openpi_policy import OpenPIPolicy
from cosmos_robot.envs.play import play
from cosmos_robot.envs.policies import FunctionPolicy, Policy, PolicyRunner, WorldModelPolicy
from cosmos_robot.envs.world_model_env import WorldModelEnv
from cosmos_robot.errors import InvalidInputError, ServiceError
from cosmos_robot.interface.chain import chunk_seed

SERVER = Path(__file__).parents[1] / "support" / "openpi_server.py"
CHUNK = 4


def environment(counting, starts, **options):
    return WorldModelEnv(
        world_model=counting,
        domain="pusht",
        starts=starts,
        action_chunk_size=CHUNK,
        max_episode_actions=2 * CHUNK,
        **options,
    )


def test_a_function_plays_chunks(counting, starts):
    chunk = np.random.default_rng(0).uniform(0, 512, (CHUNK, 2)).astype(np.float32)
    played = play(environment(counting, starts), FunctionPolicy(lambda seen: chunk), seed=3)
    assert len(played.actions) == 2
    assert (played.terminated, played.truncated, played.success) == (False, True, False)
    env = environment(counting, starts)
    first, _ = env.reset(seed=3)
    np.testing.assert_array_equal(played.observations[0]["pixels"], first["pixels"])
    for seen in played.observations[1:]:
        np.testing.assert_array_equal(seen["pixels"], env.step(chunk)[0]["pixels"])


def test_a_chunk_is_played_action_after_action(counting, starts):
    asked = []

    def policy(seen):
        asked.append(seen["pixels"])
        return np.arange(12, dtype=np.float32).reshape(6, 2) + 100 * len(asked)

    played = play(environment(counting, starts, step="action"), FunctionPolicy(policy), seed=0)
    assert [tuple(action) for action in played.actions[:7]] == [
        *((100.0 + 2 * i, 101.0 + 2 * i) for i in range(6)),
        (200.0, 201.0),
    ]
    assert len(asked) == 2
    np.testing.assert_array_equal(asked[1], played.observations[6]["pixels"])
    replanned = play(environment(counting, starts, step="action"), FunctionPolicy(policy), seed=0, replan_every=2)
    assert [action[0] for action in replanned.actions[:4]] == [300.0, 302.0, 400.0, 402.0]


def test_what_was_not_played_is_forgotten_at_a_reset(counting, starts):
    class Memory:
        def __init__(self):
            self.resets = 0

        def act(self, observation):
            return np.full((3, 2), 10.0 * self.resets)

        def reset(self):
            self.resets += 1

    memory = Memory()
    assert isinstance(memory, Policy)
    env = environment(counting, starts, step="action")
    for resets in (1, 2):
        played = play(env, memory, max_steps=1)
        assert played.actions[0][0] == 10.0 * resets


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.zeros((2, 2)), "takes 4 actions a step and the policy gave 2"),
        (np.zeros((4, 3)), r"actions of shape \[2\]"),
        (np.full((4, 2), np.nan), "finite"),
        (np.zeros((1, 4, 2)), r"got shape \(1, 4, 2\)"),
    ],
)
def test_answers_that_do_not_fit(counting, starts, answer, message):
    with pytest.raises(InvalidInputError, match=message):
        play(environment(counting, starts), FunctionPolicy(lambda _: answer))


def test_what_is_no_policy_or_no_box(counting):
    box = spaces.Box(0, 1, (2,))
    with pytest.raises(InvalidInputError, match="has act"):
        PolicyRunner(lambda _: 0, box)
    with pytest.raises(InvalidInputError, match="in a box"):
        PolicyRunner(FunctionPolicy(lambda _: 0), spaces.Discrete(3))


def test_actions_outside_are_clipped_as_robots_do(counting, starts):
    played = play(environment(counting, starts), FunctionPolicy(lambda _: np.full((9, 2), 1000.0)))
    assert (played.actions[0] == 512).all()
    env = environment(counting, starts)
    observation, _ = env.reset()
    runner = PolicyRunner(FunctionPolicy(lambda _: np.full((9, 2), 1000.0)), env.action_space, clip=False)
    action = runner.act(observation)
    with pytest.raises(InvalidInputError, match="out of bounds"):
        env.step(action)


def test_the_world_models_own_policy(small, starts):
    policy = WorldModelPolicy(small, "pusht", "push the T left", action_chunk_size=CHUNK, seed=5)
    env = WorldModelEnv(
        world_model=small, domain="pusht", starts=starts, action_chunk_size=CHUNK, max_episode_actions=8
    )
    played = play(env, policy, seed=1)
    for index, action in enumerate(played.actions):
        direct = small.policy(
            played.observations[index]["pixels"],
            prompt="push the T left",
            domain="pusht",
            action_chunk_size=CHUNK,
            seed=chunk_seed(5, index),
        )
        np.testing.assert_allclose(action, np.clip(direct.actions, 0, 512), atol=1e-3)
    again = play(env, policy, seed=1)  # reset() begins with the first noise again
    np.testing.assert_array_equal(again.actions[0], played.actions[0])


def test_a_policy_that_starts_from_a_state_says_so_where_there_is_none(counting, starts):
    with pytest.raises(InvalidInputError, match="starts from the robot's state"):
        WorldModelPolicy(counting, "droid_lerobot_joint", "lift it").act({"pixels": starts[0]})


@pytest.mark.slow
def test_a_lerobot_policy(counting, starts):
    pytest.importorskip("lerobot")
    import torch
    from lerobot_policy import tiny_policy

    inner = tiny_policy(size=32)
    policy = LeRobotPolicy(inner, postprocessor=lambda action: 256 + 50 * action, task="push")
    played = play(environment(counting, starts, step="action"), policy, seed=0)
    assert len(played.actions) == 2 * CHUNK
    inner.reset()
    for seen, action in zip(played.observations[:-1], played.actions, strict=True):
        batch = {
            "observation.image": torch.from_numpy(seen["pixels"]).permute(2, 0, 1)[None].float() / 255,
            "observation.state": torch.from_numpy(seen["agent_pos"])[None],
        }
        with torch.inference_mode():
            expected = 256 + 50 * inner.select_action(batch)
        np.testing.assert_allclose(action, np.clip(expected[0].numpy(), 0, 512), rtol=1e-5)
    assert np.ptp(np.stack(played.actions), axis=0).min() > 0


@pytest.fixture(scope="module")
def url():
    pytest.importorskip("websockets")
    pytest.importorskip("msgpack")
    with subprocess.Popen([sys.executable, str(SERVER)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield f"ws://127.0.0.1:{server.stdout.readline().strip()}"
        server.terminate()


def test_an_openpi_server(url, counting, starts):
    with OpenPIPolicy(url, prompt="push", api_key="right") as policy:
        played = play(environment(counting, starts), policy, seed=0)
        assert policy.metadata == {"name": "test"}
    for seen, action in zip(played.observations[:-1], played.actions, strict=True):
        told = np.array([seen["pixels"].mean(), seen["agent_pos"][0]])
        np.testing.assert_allclose(action, told + np.arange(4)[:, None], rtol=1e-5)


def test_an_openpi_server_is_asked_in_other_words(url):
    def question(seen):
        return {"observation/image": seen["pixels"], "observation/state": np.float64([7.0]), "prompt": "push"}

    with OpenPIPolicy(url, question=question) as policy:
        answer = policy.act({"pixels": np.full((32, 32, 3), 9, np.uint8)})
    np.testing.assert_array_equal(answer[0], [9.0, 7.0])


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("fail", "failed: Traceback: the policy broke"),
        ("empty", "no actions; it gave server_timing"),
        ("hang", "0.5 s"),
    ],
)
def test_an_openpi_servers_failures_are_told(url, prompt, message):
    seen = {"pixels": np.zeros((32, 32, 3), np.uint8), "agent_pos": np.zeros(2, np.float32)}
    with OpenPIPolicy(url, prompt=prompt, timeout=0.5) as policy, pytest.raises(ServiceError, match=message):
        policy.act(seen)
    with OpenPIPolicy(url, prompt="push", api_key="wrong") as policy, pytest.raises(ServiceError, match="reached"):
        policy.act(seen)


def test_an_openpi_server_that_is_not_there():
    with pytest.raises(ServiceError, match="cannot be reached"):
        OpenPIPolicy("ws://127.0.0.1:9").act({"pixels": np.zeros((32, 32, 3), np.uint8)})
    with pytest.raises(InvalidInputError, match="ws://"):
        OpenPIPolicy("http://localhost")
