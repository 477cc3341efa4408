"""The planner: on a problem whose best answer is known, and on Push-T against its own random proposals."""

import numpy as np
import pytest

from cosmos_robot.envs.planner import PlannerConfig, imagined_rewards, plan
from cosmos_robot.envs.protocols import Judgement
from cosmos_robot.envs.world_model_env import WorldModelEnv
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.types import Rollout

CHUNK = 4
TARGET = np.array([400.0, 120.0])


class Dot(WorldModel):
    """The first two pixels are where the last action went, in half table pixels."""

    def __init__(self):
        self.batches = []

    def generate(self, requests, *, progress=None):
        self.batches.append(len(requests))
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        frames = np.repeat(request.frames[:1], CHUNK + 1, axis=0).copy()
        frames[1:, 0, :2, 0] = request.actions.values / 2
        return Rollout(frames, request.actions.values, "robot", request.domain.name, 10.0, request.seed, "")


def near(frames):
    return -float(np.linalg.norm(2.0 * frames[-1, 0, :2, 0] - TARGET))


@pytest.fixture
def env():
    world = WorldModelEnv(
        world_model=Dot(),
        domain="pusht",
        starts=np.zeros((32, 32, 3), np.uint8),
        action_chunk_size=CHUNK,
        reward=near,
    )
    world.reset(seed=0)
    return world


def test_it_finds_the_best_action(env):
    before = env.snapshot()
    config = PlannerConfig(horizon=2, futures=32, iterations=6, elites=5)
    found = plan(env, config, seed=1)
    assert found.actions.shape == (2, CHUNK, 2)
    assert found.proposals.shape == (6, 32, 2, CHUNK, 2)
    assert np.linalg.norm(found.actions[-1, -1] - TARGET) < 15
    assert found.reward == found.rewards.max()
    assert found.rewards[-1].mean() > found.rewards[0].mean() + 50
    assert env.core.settings.judge is not None
    assert set(env.core.lease.get().batches) == {32}  # one generation for all futures of a step
    assert env.snapshot().state is before.state  # the episode stays where it was


def test_what_it_imagines_is_what_comes(env):
    found = plan(env, PlannerConfig(horizon=1, futures=8, iterations=2), seed=0)
    _, reward, *_ = env.step(found.actions[0])
    assert reward == pytest.approx(found.reward)


def test_the_same_seed_gives_the_same_plan(env):
    one, two, other = (plan(env, PlannerConfig(futures=6, elites=2), seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.actions, two.actions)
    assert not np.array_equal(one.actions, other.actions)


def test_single_actions():
    world = WorldModelEnv(
        world_model=Dot(),
        domain="pusht",
        starts=np.zeros((32, 32, 3), np.uint8),
        action_chunk_size=CHUNK,
        reward=near,
        step="action",
    )
    world.reset(seed=0)
    found = plan(world, PlannerConfig(horizon=3, futures=16, iterations=5, knots=1), seed=0)
    assert found.actions.shape == (3, 2)
    assert np.linalg.norm(found.actions[-1] - TARGET) < 40


def test_no_action_is_far_from_the_one_before(env):
    config = PlannerConfig(horizon=2, futures=8, iterations=2, most_change=0.05)
    found = plan(env, config, seed=0)
    lines = found.proposals.reshape(2, 8, 2 * CHUNK, 2)
    assert np.abs(np.diff(lines, axis=2)).max() == pytest.approx(0.05 * 512, abs=1e-3)
    free = plan(env, PlannerConfig(horizon=2, futures=8, iterations=1), seed=0).proposals.reshape(1, 8, 2 * CHUNK, 2)
    np.testing.assert_array_equal(lines[0, :, 0], free[0, :, 0])  # no pusher is to be seen: the first one is free
    assert np.abs(np.diff(free, axis=2)).max() > 100


def test_the_first_action_is_near_the_pusher():
    pixels = np.full((96, 96, 3), 255, np.uint8)
    rows, columns = np.mgrid[:96, :96]
    pixels[(rows - 30) ** 2 + (columns - 60) ** 2 < 8] = (65, 105, 225)
    world = WorldModelEnv(world_model=Dot(), domain="pusht", starts=pixels, action_chunk_size=CHUNK, reward=near)
    observed, _ = world.reset(seed=0)
    found = plan(world, PlannerConfig(futures=8, iterations=1, most_change=0.02), seed=0)
    assert np.abs(found.proposals[0, :, 0, 0] - observed["agent_pos"]).max() <= 0.02 * 512 + 1e-3


def test_a_future_that_ends_keeps_what_it_has(env):
    solved = iter([Judgement(2.0, True), Judgement(1.0, False), Judgement(5.0, False)])
    judge = env.core.settings.judge
    object.__setattr__(judge, "reward", lambda _: next(solved))
    futures = np.full((2, 2, CHUNK, 2), 100, np.float32)
    rewards = imagined_rewards(env.core, env.snapshot().state, futures, last=False)
    np.testing.assert_array_equal(rewards, [2.0, 6.0])


@pytest.mark.parametrize(
    "given", [{"elites": 20}, {"futures": 0}, {"momentum": 1.0}, {"horizon": 0}, {"most_change": 0.0}]
)
def test_numbers_out_of_range(given):
    with pytest.raises(InvalidInputError):
        PlannerConfig(**given)


@pytest.mark.slow
def test_on_push_t_it_beats_its_random_proposals_in_the_simulator(monkeypatch, tmp_path):
    pytest.importorskip("gym_pusht")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    from perfect_pusht import PerfectPushT

    from cosmos_robot.benchmarks.planning import planning_figures, run_planning
    from cosmos_robot.benchmarks.row_file import RowFile

    starts = [1_000_502, 1_000_503, 1_000_504]
    config = PlannerConfig(horizon=2, futures=12, iterations=3, elites=3)
    rows = run_planning(PerfectPushT(*starts), starts, RowFile(tmp_path, {}), config, action_chunk_size=12)
    for row in rows:
        assert row["plan"] == pytest.approx(row["imagined"], abs=1e-6)  # the model is perfect
        assert row["plan"] >= max(row["random"]) - 1e-6
    figures = planning_figures(rows)
    assert figures.gain.low > 0.0
    assert figures.gain_on_still.value > 0.0
    assert figures.beaten > 0.9
