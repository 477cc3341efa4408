"""The vector environment gives what single ones give."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import RecordEpisodeStatistics, TimeLimit
from gymnasium.wrappers.vector import RecordEpisodeStatistics as VectorStatistics

from cosmos_robot.envs.protocols import Judgement
from cosmos_robot.envs.starts import Start, Starts
from cosmos_robot.envs.world_model_env import WorldModelEnv
from cosmos_robot.envs.world_model_vector_env import WorldModelVectorEnv
from cosmos_robot.errors import InvalidInputError

CHUNK = 4
MODES = list(AutoresetMode)


def bright(frames):
    """Reward and success that come and go with the frames, so that episodes end by themselves too."""
    level = float(frames[-1].mean())
    return Judgement(level, success=level > 128.5, details={"level": level})


def options(world_model, starts, **more):
    common = {"domain": "pusht", "action_chunk_size": CHUNK, "reward": bright, "starts": starts}
    return {"world_model": world_model, **common, **more}


def assert_same(one, other, *, atol=0):
    assert one.keys() == other.keys()
    for key, value in one.items():
        if isinstance(value, dict):
            assert_same(value, other[key], atol=atol)
        elif isinstance(value, np.ndarray) and value.dtype == object:
            for a, b in zip(value, other[key], strict=True):
                assert_same(a, b, atol=atol) if isinstance(a, dict) else np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(np.asarray(value, float), np.asarray(other[key], float), atol=atol, err_msg=key)


@pytest.mark.parametrize("step", ["chunk", "action"])
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_twenty_steps_as_gymnasiums_own_vector_of_single_ones(mode, step, counting, starts):
    given = options(counting, starts, step=step)
    single = SyncVectorEnv([lambda: TimeLimit(WorldModelEnv(**given), 4)] * 3, autoreset_mode=mode)
    native = WorldModelVectorEnv(3, max_episode_steps=4, autoreset_mode=mode, **given)
    assert native.observation_space == single.observation_space
    assert native.action_space == single.action_space
    assert native.metadata["autoreset_mode"] is mode
    native.action_space.seed(0)
    theirs, ours = single.reset(seed=5), native.reset(seed=5)
    assert_same(ours[0], theirs[0])
    ended = successes = 0
    for _ in range(20):
        actions = native.action_space.sample()
        theirs, ours = single.step(actions), native.step(actions)
        for one, other in zip(ours[:4], theirs[:4], strict=True):
            assert_same(
                {"": one} if isinstance(one, np.ndarray) else one,
                {"": other} if isinstance(other, np.ndarray) else other,
            )
        drop = {"truncation_reason", "_truncation_reason"}  # a TimeLimit wrapper names none
        for info in (ours[4], theirs[4], ours[4].get("final_info", {}), theirs[4].get("final_info", {})):
            for key in drop:
                info.pop(key, None)
        assert_same(ours[4], theirs[4])
        done = ours[2] | ours[3]
        ended, successes = ended + done.sum(), successes + ours[2].sum()
        if mode is AutoresetMode.DISABLED and done.any():
            theirs = single.reset(options={"reset_mask": done.copy()})
            ours = native.reset(options={"reset_mask": done.copy()})
            assert_same(ours[0], theirs[0])
            assert_same(ours[1], theirs[1])
    assert ended >= 9
    assert 0 < successes < ended


def test_each_environment_gives_what_it_gives_alone(small, starts):
    """Real generation, float32 on the CPU: a batch adds up in another order, which may move a rounding by one level."""
    given = options(small, starts, reward=None)
    actions = np.random.default_rng(0).uniform(0, 512, (3, 4, CHUNK, 2)).astype(np.float32)
    batch = WorldModelVectorEnv(4, **given)
    together = [batch.reset(seed=11)[0], *(batch.step(given)[0] for given in actions)]
    for index in range(4):
        alone = WorldModelEnv(**given)
        one = [alone.reset(seed=11 + index)[0], *(alone.step(given[index])[0] for given in actions)]
        for seen, expected in zip(together, one, strict=True):
            difference = np.abs(seen["pixels"][index].astype(int) - expected["pixels"])
            assert difference.max() <= 1
            assert (difference > 0).mean() < 0.01
    again = [batch.reset(seed=11)[0], *(batch.step(given)[0] for given in actions)]
    for first, second in zip(together, again, strict=True):
        np.testing.assert_array_equal(first["pixels"], second["pixels"])


def test_one_generation_a_step_whatever_ends(counting, starts):
    envs = WorldModelVectorEnv(3, max_episode_steps=2, **options(counting, starts, reward=None))
    envs.reset(seed=0)
    for _ in range(3):
        envs.step(envs.action_space.sample())
    assert counting.batches == [3, 3]  # the third step resets all three and imagines nothing


def test_prompts_starts_and_seeds_for_each(counting, starts):
    given = options(counting, [starts[:1], starts[1:2]], prompt=["left", "right"])
    envs = WorldModelVectorEnv(2, **given)
    observation, info = envs.reset(seed=[4, None])
    np.testing.assert_array_equal(observation["pixels"], starts[:2])
    assert list(info["prompt"]) == ["left", "right"]
    assert info["noise_seed"][0] == 4
    assert envs.call("task") == envs.get_attr("task_description") == ("left", "right")
    with pytest.raises(InvalidInputError, match="prompt has 2 item"):
        WorldModelVectorEnv(3, **options(counting, starts, prompt=["left", "right"]))


def test_reset_options_one_for_all_or_one_for_each(counting, starts):
    envs = WorldModelVectorEnv(2, **options(counting, starts))
    _, info = envs.reset(seed=0, options={"episode": [3, 1], "prompt": "back"})
    assert list(info["start"]) == [3, 1]
    assert list(info["prompt"]) == ["back", "back"]
    with pytest.raises(InvalidInputError, match=r"episode has 3 item\(s\) for 2"):
        envs.reset(options={"episode": [3, 1, 2]})
    with pytest.raises(InvalidInputError, match="reset_mask"):
        envs.reset(options={"reset_mask": np.array([False, False])})


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_statistics_are_those_of_gymnasiums_wrapper(mode, counting, starts):
    given = {"max_episode_steps": 3, "autoreset_mode": mode, **options(counting, starts)}
    ours, theirs = (
        WorldModelVectorEnv(3, record_statistics=True, **given),
        VectorStatistics(WorldModelVectorEnv(3, **given)),
    )
    ours.action_space.seed(1)
    for env in (ours, theirs):
        env.reset(seed=2)
    episodes = 0
    for _ in range(9):
        actions = ours.action_space.sample()
        one, other = ours.step(actions), theirs.step(actions)
        assert ("episode" in one[4]) == ("episode" in other[4])
        if "episode" in one[4]:
            np.testing.assert_array_equal(one[4]["_episode"], other[4]["_episode"])
            for key in "rl":
                np.testing.assert_allclose(one[4]["episode"][key], other[4]["episode"][key])
            assert (one[4]["episode"]["t"][one[4]["_episode"]] > 0).all()
            episodes += one[4]["_episode"].sum()
        done = one[2] | one[3]
        if mode is AutoresetMode.DISABLED and done.any():
            for env in (ours, theirs):
                env.reset(options={"reset_mask": done.copy()})
    assert episodes >= 5


def test_futures_of_a_snapshot_in_one_batch(counting, starts):
    envs = WorldModelVectorEnv(3, **options(counting, starts, reward=None))
    envs.reset(seed=0)
    envs.step(envs.action_space.sample())
    here = envs.snapshot()
    futures = np.stack([np.full((CHUNK, 2), value, np.float32) for value in (0, 100, 500)])
    observation, _ = envs.restore(here[1])
    assert all((observation["pixels"][i] == here[1].state.pixels).all() for i in range(3))
    branched = envs.step(futures)[0]["pixels"]
    assert len({frame.tobytes() for frame in branched}) == 3
    alone = WorldModelEnv(**options(counting, starts, reward=None))
    alone.restore(here[1])
    np.testing.assert_array_equal(alone.step(futures[2])[0]["pixels"], branched[2])
    envs.restore(here)
    assert [env.elapsed_steps for env in envs.envs] == [1, 1, 1]
    np.testing.assert_array_equal(envs.step(futures)[0]["pixels"][1], branched[1])
    envs.restore(here[0], seed=9)
    same = np.repeat(futures[:1], 3, axis=0)
    assert len({frame.tobytes() for frame in envs.step(same)[0]["pixels"]}) == 3  # other noise each


def test_a_step_after_the_end_where_nothing_resets(counting, starts):
    envs = WorldModelVectorEnv(
        2, max_episode_steps=1, autoreset_mode="Disabled", **options(counting, starts, reward=None)
    )
    envs.reset(seed=0)
    envs.step(envs.action_space.sample())
    with pytest.raises(gymnasium.error.ResetNeeded, match="has ended"):
        envs.step(envs.action_space.sample())


def test_one_wrong_action_stops_the_step_for_all_and_nothing_is_lost(counting, starts):
    envs = WorldModelVectorEnv(2, **options(counting, starts))
    envs.reset(seed=0)
    actions = envs.action_space.sample()
    actions[1, 2, 0] = np.nan
    with pytest.raises(InvalidInputError, match="row 2, target_x is nan"):
        envs.step(actions)
    with pytest.raises(InvalidInputError, match="2 environments take 2 actions"):
        envs.step(actions[:1])
    assert counting.batches == []
    assert [env.elapsed_steps for env in envs.envs] == [0, 0]


class Unreadable(Starts):
    """Starts of which one cannot be read, now and then."""

    numbers = range(1000)

    def __init__(self, frames):
        self._frames, self.fails = frames, False

    def load(self, number, step=0):
        if self.fails:
            self.fails = False
            raise OSError("stale file handle")
        return Start(number, self._frames[number % len(self._frames)])


@pytest.mark.parametrize("mode", ["SameStep", "NextStep"])
def test_a_step_whose_reset_fails_can_be_stepped_again(mode, counting, starts):
    infos = []
    for fails in (False, True):
        last = Unreadable(starts)
        envs = WorldModelVectorEnv(
            2, max_episode_steps=1, autoreset_mode=mode, **options(counting, [Unreadable(starts), last], reward=None)
        )
        envs.reset(seed=0)
        actions = np.full((2, CHUNK, 2), 100, np.float32)
        if mode == "NextStep":
            envs.step(actions)
        last.fails = fails
        if fails:
            with pytest.raises(OSError, match="stale"):
                envs.step(actions)
        infos.append(envs.step(actions)[4])
    assert_same(*[{key: info[key] for key in ("start", "noise_seed")} for info in infos])


def test_a_reset_that_fails_leaves_the_generators(counting, starts):
    last = Unreadable(starts)
    envs = WorldModelVectorEnv(2, **options(counting, [Unreadable(starts), last]))
    envs.reset(seed=0)
    before, last.fails = envs.snapshot(), True
    with pytest.raises(OSError, match="stale"):
        envs.reset(seed=7)
    assert envs.np_random_seed == (0, 1)
    assert [each.generator for each in envs.snapshot()] == [each.generator for each in before]


@pytest.mark.parametrize("seed", [[1], [1, 2, 3], -1, [3, -1], [3, 1.5]])
def test_seeds_that_nothing_can_be_restored_with(seed, counting, starts):
    envs = WorldModelVectorEnv(2, **options(counting, starts, reward=None))
    envs.reset(seed=0)
    here = envs.snapshot()
    envs.step(envs.action_space.sample())
    kept = envs.states
    with pytest.raises(InvalidInputError, match="seed"):
        envs.restore(here, seed=seed)
    assert envs.states == kept
    alone = WorldModelEnv(**options(counting, starts, reward=None))
    with pytest.raises(InvalidInputError, match=r"from 0 to 2\*\*63 - 1; got -1"):
        alone.restore(here[0], seed=-1)


def test_what_lerobots_rollout_asks_for(counting, starts):
    envs = WorldModelVectorEnv(
        2,
        autoreset_mode="SameStep",
        **options(counting, starts, step="action", max_episode_actions=6, render_mode="rgb_array", prompt="push")
        | {"reward": None},
    )
    envs.reset(seed=[1, 2], options={"lerobot_new_rollout": True})
    assert envs.call("_max_episode_steps") == (6, 6)
    assert envs.call("task_description") == ("push", "push")
    assert envs.unwrapped.metadata["render_fps"] == 10
    np.testing.assert_array_equal(envs.envs[1].render(), envs.call("render")[1])
    assert envs.action_space.shape == (2, 2)
    for _ in range(6):
        _, _, _, truncated, info = envs.step(envs.action_space.sample())
    assert truncated.all()
    assert info["final_info"]["is_success"].tolist() == [False, False]  # there, though no reward can tell


def test_make_vec_and_its_specification(small_folder, tmp_path, starts):
    from PIL import Image

    for index, frame in enumerate(starts):
        Image.fromarray(frame).save(tmp_path / f"{index}.png")
    envs = gymnasium.make_vec(
        "cosmos_robot:cosmos_robot/WorldModel-v0", num_envs=2, world_model=str(small_folder), domain="pusht",
        starts=str(tmp_path), action_chunk_size=CHUNK, autoreset_mode="SameStep", max_episode_steps=3, device="cpu",
    )  # fmt: skip
    text = envs.spec.to_json()
    again = gymnasium.make_vec(gymnasium.envs.registration.EnvSpec.from_json(text))
    assert isinstance(again, WorldModelVectorEnv)
    assert (again.num_envs, again.max_episode_steps) == (2, 3)
    actions = np.full((2, CHUNK, 2), 99, np.float32)
    seen = [(env.reset(seed=3), env.step(actions))[1][0]["pixels"] for env in (envs, again)]
    np.testing.assert_array_equal(seen[0], seen[1])
    for env in (envs, again):
        env.close()


def test_single_statistics_wrapper_works_too(counting, starts):
    env = RecordEpisodeStatistics(TimeLimit(WorldModelEnv(**options(counting, starts, reward=lambda frames: 2)), 3))
    env.reset(seed=0)
    infos = [env.step(env.action_space.sample())[4] for _ in range(3)]
    assert infos[-1]["episode"]["r"] == 6
    assert infos[-1]["episode"]["l"] == 3
