"""lerobot's own loader and rollout function over the environment."""

import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lerobot")
pytest.importorskip("gym_pusht")

from perfect_pusht import PerfectPushT

from cosmos_robot.envs.lerobot_hub import SUITE, TASK, make_env
from cosmos_robot.training.pusht_recording import HELD_OUT_SEED, open_simulator

STEPS = 4
SEEDS = [HELD_OUT_SEED + 3, HELD_OUT_SEED + 4]
ENV_FILE = Path(__file__).parents[2] / "envs" / "env.py"


@pytest.fixture(autouse=True)
def _no_display(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


@pytest.mark.slow
def test_lerobots_rollout_is_gym_pusht(monkeypatch):
    """lerobot's rollout with one of its policies, over a perfect world model, is what the simulator does."""
    from lerobot.scripts.lerobot_eval import rollout
    from lerobot_policy import tiny_policy

    envs = make_env(
        2, world_model=PerfectPushT(*SEEDS), action_chunk_size=4, max_episode_actions=STEPS, starts=starts_of(SEEDS)
    )[SUITE][0]
    policy = tiny_policy()

    def same(given):
        return given

    seen = rollout(
        envs, policy, same, same, same, lambda action: 256 + 60 * action, seeds=[0, 1], return_observations=True
    )
    envs.close()
    assert seen["action"].shape == (2, STEPS, 2)
    assert seen["done"][:, -1].all()
    assert not seen["done"][:, :-1].any()
    assert seen["success"].shape == (2, STEPS)
    simulator = open_simulator()
    for index, seed in enumerate(SEEDS):
        simulator.reset(seed=seed)
        for step in range(STEPS):
            real, _, _, _, info = simulator.step(
                np.clip(seen["action"][index, step].numpy(), 0, 512).astype(np.float64)
            )
            assert seen["reward"][index, step].item() == pytest.approx(min(info["coverage"] / 0.95, 1), abs=0.06)
            if step + 1 < STEPS:  # the last observation is the next episode's first
                imagined = seen["observation"]["observation.image"][index, step + 1].permute(1, 2, 0).numpy() * 255
                np.testing.assert_allclose(imagined, real["pixels"], atol=0.01)
    simulator.close()


@pytest.mark.slow
def test_lerobot_loads_the_file_as_a_hub_repository(tmp_path):
    from lerobot.envs.utils import _call_make_env, _import_hub_module, _normalize_hub_result

    shutil.copy(ENV_FILE, tmp_path / "env.py")
    module = _import_hub_module(str(tmp_path / "env.py"), "someone/cosmos-pusht")
    assert callable(module.make_env)
    made = _normalize_hub_result(_call_make_env(_Named(module), 2, True, None))
    assert made[SUITE][0].num_envs == 2
    made[SUITE][0].close()


def test_what_lerobot_asks_for():
    envs = make_env(2, False, world_model=PerfectPushT(*SEEDS), action_chunk_size=4, starts=starts_of(SEEDS))[SUITE][0]
    observation, _ = envs.reset(seed=[0, 1], options={"lerobot_new_rollout": True})
    assert observation["pixels"].shape == (2, 96, 96, 3)
    assert envs.call("task_description") == (TASK, TASK)
    assert envs.call("_max_episode_steps") == (300, 300)
    assert envs.unwrapped.metadata["render_fps"] == 10
    assert [frame.shape for frame in envs.call("render")] == [(96, 96, 3)] * 2
    *_, info = envs.step(np.full((2, 2), 900, np.float32))  # clipped: policies overshoot
    assert info["is_success"].tolist() == [False, False]
    envs.close()


class _Named:
    """The module, with a world model that needs no weights."""

    def __init__(self, module):
        self.make_env = lambda **given: module.make_env(
            **given, world_model=PerfectPushT(*SEEDS), starts=starts_of(SEEDS)
        )


def starts_of(seeds):
    simulator = open_simulator()
    frames = [simulator.reset(seed=seed)[0]["pixels"] for seed in seeds]
    simulator.close()
    return [np.stack([frame]).astype(np.uint8) for frame in frames]
