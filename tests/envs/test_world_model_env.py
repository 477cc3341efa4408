"""The environment: Gymnasium's contract, what a step means, bad input, and what is kept when a step fails."""

import gc
import subprocess
import sys
import warnings
import weakref

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import RecordVideo

from cosmos_robot.datasets.video import read_video
from cosmos_robot.envs.protocols import Judgement, Trust
from cosmos_robot.envs.world_model_env import WorldModelEnv
from cosmos_robot.envs.world_model_lease import shared_world_models
from cosmos_robot.errors import CheckpointError, InvalidInputError, ServiceError, UnknownFactError
from cosmos_robot.interface.chain import chunk_seed

WORLD_MODEL = "cosmos_robot:cosmos_robot/WorldModel-v0"
PUSHT = "cosmos_robot:cosmos_robot/PushT-v0"
CHUNK = 4


def options(world_model, starts, **more):
    return {"world_model": world_model, "domain": "pusht", "action_chunk_size": CHUNK, "starts": starts, **more}


def pushes(count=CHUNK, seed=0):
    return np.random.default_rng(seed).uniform(0, 512, (count, 2)).astype(np.float32)


@pytest.fixture
def dummy_display(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pygame's own import warns of pkg_resources
        pytest.importorskip("pygame")


@pytest.fixture
def picture_folder(tmp_path, starts):
    from PIL import Image

    for index, frame in enumerate(starts):
        Image.fromarray(frame).save(tmp_path / f"{index}.png")
    return tmp_path


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("step", ["chunk", "action"])
def test_check_env_has_nothing_to_say(step, small_folder, picture_folder, dummy_display):
    env = gymnasium.make(WORLD_MODEL, **options(str(small_folder), str(picture_folder), step=step, device="cpu"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env.unwrapped)
    said = [str(warning.message) for warning in caught if "sys.meta_path" not in str(warning.message)]
    # Robot units are not normalised, which the checker recommends for a space of one dimension.
    assert ["symmetric and normalized space" in text for text in said] == ([True] if step == "action" else [])
    env.close()


def test_it_is_there_without_an_import_statement_and_importing_is_light():
    light = "import gymnasium, sys; print('torch' in sys.modules, 'cosmos_robot' in sys.modules)"
    assert run(light) == ["False", "False"]
    for first, second in (("gymnasium", "cosmos_robot"), ("cosmos_robot", "gymnasium")):
        code = f"import {first}, {second}; import sys; gymnasium.spec('cosmos_robot/PushT-v0'); print('torch' in sys.modules)"
        assert run(code) == ["False"]
    entry_point = (
        "from importlib.metadata import entry_points as e; e(group='gymnasium.envs')['cosmos_robot'].load()();"
    )
    assert run(entry_point + "import gymnasium; print(gymnasium.spec('cosmos_robot/WorldModel-v0').id)") == [
        "cosmos_robot/WorldModel-v0"
    ]


def test_looking_for_gymnasium_is_not_importing_it():
    code = """
import cosmos_robot, importlib.util, sys
found = [importlib.util.find_spec("gymnasium").name for _ in range(2)]
hooks = len(sys.meta_path)
import gymnasium
print(found, "cosmos_robot/PushT-v0" in gymnasium.registry, hooks - len(sys.meta_path))
"""
    assert run(code) == ["['gymnasium',", "'gymnasium']", "True", "1"]


@pytest.mark.slow
def test_make_in_a_fresh_interpreter_that_imports_only_gymnasium(small_folder, picture_folder):
    code = f"""
import gymnasium
env = gymnasium.make({PUSHT!r}, world_model={str(small_folder)!r}, starts={str(picture_folder)!r}, action_chunk_size=4)
observation, info = env.reset(seed=3)
observation, *_ = env.step(env.action_space.sample())
print(observation["pixels"].shape, observation["agent_pos"].shape)
"""
    assert "".join(run(code)) == "(32,32,3)(2,)"


def test_no_weight_is_loaded_before_the_first_reset_and_one_model_is_shared(small_folder, starts):
    assert shared_world_models() == {}
    given = options(small_folder, starts, device="cpu")
    one, other = WorldModelEnv(**given), WorldModelEnv(**{**given, "dtype": "float32"})  # what None comes to on a CPU
    assert one.observation_space["pixels"].shape == (32, 32, 3)
    assert shared_world_models() == {}
    one.reset(seed=0)
    model = weakref.ref(one._core.lease.get())
    other.reset(seed=0)
    assert list(shared_world_models().values()) == [2]
    assert other._core.lease.get() is model()
    one.close()
    one.close()
    assert list(shared_world_models().values()) == [1]
    assert np.isfinite(other.step(pushes())[1])
    other.close()
    gc.collect()
    assert shared_world_models() == {}
    assert model() is None
    with pytest.raises(gymnasium.error.ClosedEnvironmentError):
        one.reset()
    with pytest.raises(gymnasium.error.ClosedEnvironmentError):
        one.step(pushes())


def test_an_environment_that_nobody_closes_lets_go_when_it_is_collected(small_folder, starts):
    env = WorldModelEnv(**options(small_folder, starts, device="cpu"))
    env.reset(seed=0)
    assert list(shared_world_models().values()) == [1]
    del env
    gc.collect()
    assert shared_world_models() == {}


def test_a_world_model_that_was_passed_in_is_the_callers(small, starts):
    env = gymnasium.make(WORLD_MODEL, **options(small, starts))
    assert env.spec.kwargs["world_model"] is small  # Gymnasium copies the spec; weights are not copied
    env.reset(seed=0)
    env.close()
    assert small.engine.device.type == "cpu"
    with pytest.raises(InvalidInputError, match="loaded already"):
        WorldModelEnv(**options(small, starts, device="cpu"))


def test_the_specification_survives_json(small_folder, picture_folder):
    env = gymnasium.make(WORLD_MODEL, max_episode_steps=7, **options(str(small_folder), str(picture_folder)))
    again = gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.spec == env.spec
    frames = []
    for made in (env, again):
        made.reset(seed=1)
        frames.append(made.step(pushes())[0]["pixels"])
        made.close()
    np.testing.assert_array_equal(*frames)


def test_steps_are_the_chunks_of_a_chained_rollout(small, starts):
    """The oracle is the world model's own rollout of any length."""
    actions = pushes(3 * CHUNK)
    rollout = small.rollout(starts[2], actions, domain="pusht", prompt="go", seed=5, action_chunk_size=CHUNK)
    env = WorldModelEnv(**options(small, starts, prompt="go"))
    env.reset(seed=5, options={"episode": 2})
    for k in range(3):
        observation, _, _, _, info = env.step(actions[k * CHUNK : (k + 1) * CHUNK])
        np.testing.assert_array_equal(info["frames"], rollout.frames[k * CHUNK + 1 : (k + 1) * CHUNK + 1])
        np.testing.assert_array_equal(observation["pixels"], info["frames"][-1])


def test_single_actions_meet_the_chunks_at_their_ends_and_never_look_ahead(small, starts):
    actions = pushes(2 * CHUNK)
    chunked, single = WorldModelEnv(**options(small, starts)), WorldModelEnv(**options(small, starts, step="action"))
    assert single.action_space.shape == (2,)
    assert single.metadata["render_fps"] == CHUNK * chunked.metadata["render_fps"] == 10
    chunked.reset(seed=1)
    single.reset(seed=1)
    for k in range(2):
        end = chunked.step(actions[k * CHUNK : (k + 1) * CHUNK])[0]["pixels"]
        for t in range(CHUNK):
            anchor = single.snapshot().state.anchor
            pixels, *_, info = single.step(actions[k * CHUNK + t])
            known = actions[k * CHUNK : k * CHUNK + t + 1]
            filled = np.concatenate([known, np.repeat(known[-1:], CHUNK - len(known), axis=0)])
            expected = small.forward_dynamics(anchor, filled, domain="pusht", seed=chunk_seed(1, k))
            np.testing.assert_array_equal(pixels["pixels"], expected.frames[t + 1])
            assert "frames" not in info
        np.testing.assert_array_equal(pixels["pixels"], end)


def test_the_same_seed_twice_and_another_seed(small, starts):
    env = WorldModelEnv(**options(small, starts))

    def play(seed):
        seen = [env.reset(seed=seed)[0]["pixels"]]
        return np.stack([*seen, *(env.step(pushes(seed=k))[0]["pixels"] for k in range(2))])

    first = play(3)
    np.testing.assert_array_equal(first, play(3))
    assert (first != play(4)).any()
    env.reset(seed=3, options={"episode": 1})
    one = env.step(pushes())[0]["pixels"]
    env.reset(seed=4, options={"episode": 1})
    assert (one != env.step(pushes())[0]["pixels"]).any()  # the noise alone


def test_snapshot_and_restore(counting, starts):
    env = WorldModelEnv(**options(counting, starts))
    env.reset(seed=0)
    env.step(pushes(seed=1))
    here = env.snapshot()
    first = [env.step(pushes(seed=k))[0]["pixels"] for k in (2, 3)]
    start = env.reset()[1]["start"], env.reset()[1]["start"]
    observation, _ = env.restore(here)
    np.testing.assert_array_equal(observation["pixels"], here.state.pixels)
    np.testing.assert_array_equal([env.step(pushes(seed=k))[0]["pixels"] for k in (2, 3)], first)
    assert (env.reset()[1]["start"], env.reset()[1]["start"]) == start  # the generator went back too
    env.restore(here, seed=77)
    assert (env.step(pushes(seed=2))[0]["pixels"] != first[0]).any()


def test_what_a_caller_does_to_an_observation_is_the_callers(counting, starts):
    env = WorldModelEnv(**options(counting, starts, render_mode="rgb_array"))
    observation, _ = env.reset(seed=0)
    kept = observation["pixels"].copy()
    observation["pixels"][:] = 0
    env.render()[:] = 0
    np.testing.assert_array_equal(env.render(), kept)


@pytest.mark.parametrize(
    ("action", "says"),
    [
        (pushes(3), r"shape \(4, 2\).*got \(3, 2\)"),
        (np.zeros(2, np.float32), r"shape \(4, 2\).*got \(2,\)"),
        (np.array([[1, 2], [3, np.nan], [5, 6], [7, 8]]), "row 1, target_y is nan"),
        (np.array([[1, 2], [3, 4], [-0.5, 6], [7, 8]]), r"row 2, target_x is -0\.5, expected 0\.0 to 512\.0"),
    ],
)
def test_wrong_actions(action, says, counting, starts):
    env = WorldModelEnv(**options(counting, starts))
    env.reset(seed=0)
    with pytest.raises(InvalidInputError, match=says):
        env.step(action)
    assert counting.batches == []
    env.step(pushes())


def test_clipped_actions(counting, starts):
    one, other = (WorldModelEnv(**options(counting, starts, clip_actions=True)) for _ in range(2))
    one.reset(seed=0)
    other.reset(seed=0)
    far = np.array([[1, 2], [3, 900], [-5, 6], [7, 8]], np.float32)
    near = np.clip(far, 0, 512)
    np.testing.assert_array_equal(one.step(far)[0]["pixels"], other.step(near)[0]["pixels"])


def test_a_step_before_the_reset(counting, starts):
    env = WorldModelEnv(**options(counting, starts))
    for act in (lambda: env.step(pushes()), env.snapshot, env.render):
        with pytest.raises(gymnasium.error.ResetNeeded, match="before the first step"):
            act()


def test_a_service_that_fails_for_a_moment_is_asked_again(counting, failing, starts):
    service = failing(counting, failures=2)
    env = WorldModelEnv(**options(service, starts, retries=2, retry_wait=0.0))
    env.reset(seed=0)
    env.step(pushes())
    assert service.calls == 3


def test_a_service_that_dies_in_the_middle_loses_nothing(counting, failing, starts):
    whole = WorldModelEnv(**options(counting, starts))
    whole.reset(seed=0)
    expected = [whole.step(pushes(seed=k))[0]["pixels"] for k in range(3)]
    service = failing(counting)
    env = WorldModelEnv(**options(service, starts, retries=1, retry_wait=0.0))
    env.reset(seed=0)
    env.step(pushes(seed=0))
    service.failures, service.calls = 2, 0
    with pytest.raises(ServiceError, match=r"failed 2 time\(s\) in a row: connection reset by peer.*step again"):
        env.step(pushes(seed=1))
    assert service.calls == 2
    for k in (1, 2):
        np.testing.assert_array_equal(env.step(pushes(seed=k))[0]["pixels"], expected[k])


def test_an_error_that_is_no_lost_connection_is_not_retried(counting, failing, starts):
    service = failing(counting)
    service.generate = lambda requests: (_ for _ in ()).throw(InvalidInputError("no."))
    env = WorldModelEnv(**options(service, starts, retry_wait=1e9))
    env.reset(seed=0)
    with pytest.raises(InvalidInputError, match=r"^no\.$"):
        env.step(pushes())


def test_a_start_of_another_size_comes_to_the_native_canvas(small, starts):
    wide = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    env = WorldModelEnv(**options(small, wide))
    observation, _ = env.reset(seed=0)
    assert observation["pixels"].shape == env.observation_space["pixels"].shape == (32, 32, 3)
    assert env.step(pushes())[0]["pixels"].shape == (32, 32, 3)


def test_starts_of_several_sizes_where_the_canvas_follows_them(counting, picture_folder):
    from PIL import Image

    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(picture_folder / "z.png")
    env = WorldModelEnv(**options(counting, picture_folder))
    with pytest.raises(InvalidInputError, match=r"48x64 .* 32x32 \(HxW\); its starts must have one size"):
        env.reset(options={"episode": 5})


def test_a_world_model_that_answers_at_another_canvas_is_told_apart(counting, starts):
    env = WorldModelEnv(**options(counting, np.tile(starts, (1, 2, 2, 1)), canvas=(32, 32)))
    env.reset(seed=0)
    with pytest.raises(InvalidInputError, match=r"answered at 64x64, expected 32x32 .*canvas=\(64, 64\)"):
        env.step(pushes())


def test_rewards_trust_and_what_ends_an_episode(counting, starts):
    seen = []

    def reward(frames):
        seen.append(frames.shape)
        return Judgement(0.5, success=len(seen) == 3, details={"count": len(seen)})

    def score(world_model, steps):
        assert world_model is counting
        return [0.0 if step.elapsed_steps < 2 else 4.0 for step in steps]

    env = WorldModelEnv(**options(counting, starts, reward=reward, trust=Trust(score, 3.0)))
    env.reset(seed=0)
    _, value, terminated, truncated, info = env.step(pushes())
    assert (value, terminated, truncated) == (0.5, False, False)
    assert (info["trust_score"], info["is_success"], info["count"]) == (0.0, False, 1)
    assert "truncation_reason" not in info
    _, _, terminated, truncated, info = env.step(pushes())
    assert (terminated, truncated, info["truncation_reason"], info["trust_score"]) == (False, True, "trust", 4.0)
    with pytest.raises(gymnasium.error.ResetNeeded, match="has ended"):
        env.step(pushes())
    env.reset()
    assert env.step(pushes())[2:4] == (True, False)
    assert set(seen) == {(CHUNK + 1, 32, 32, 3)}


def test_the_time_limit_in_actions(counting, starts):
    env = WorldModelEnv(**options(counting, starts, max_episode_actions=6))
    env.reset(seed=0)
    assert env.step(pushes())[3] is False
    assert env.step(pushes())[4]["truncation_reason"] == "time_limit"


@pytest.mark.parametrize(
    ("more", "error", "says"),
    [
        ({"step": "frame"}, InvalidInputError, "expected 'chunk' or 'action'"),
        ({"action_chunk_size": 5}, InvalidInputError, "multiple of 4"),
        ({"domain": "umi"}, UnknownFactError, "no published bounds"),
        ({"reward": "applause"}, InvalidInputError, "no reward named 'applause'"),
        ({"trust": {"name": "blind"}}, InvalidInputError, "no trust named 'blind'"),
        ({"render_mode": "ansi"}, InvalidInputError, "unknown render_mode"),
        ({"starts": {"enw": "x"}}, InvalidInputError, "starts as a mapping"),
        ({"starts": None}, TypeError, "needs starts"),
        ({"colour": 1}, TypeError, "unknown keyword"),
        ({"bounds": ([0], [1])}, InvalidInputError, "2 figures each"),
        ({"world_model": "no/where/here"}, CheckpointError, "neither a folder nor a Hub id"),
    ],
)
def test_wrong_keywords(more, error, says, counting, starts):
    with pytest.raises(error, match=says):
        WorldModelEnv(**{**options(counting, starts), **more})


def test_wrong_reset_options(counting, starts):
    env = WorldModelEnv(**options(counting, starts))
    with pytest.raises(InvalidInputError, match=r"unknown reset option.* epsiode"):
        env.reset(options={"epsiode": 1})
    with pytest.raises(InvalidInputError, match="no start number 9; they are 0 to 4"):
        env.reset(options={"episode": 9})
    with pytest.raises(InvalidInputError, match="time steps 0 to 0"):
        env.reset(options={"step": 2})


def test_bounds_of_ones_own_for_a_domain_that_has_none(counting, starts):
    low, high = [-1.0] * 10, [1.0] * 10
    env = WorldModelEnv(**options(counting, starts, domain="umi", bounds=(low, high)))
    assert env.action_space == gymnasium.spaces.Box(-1, 1, (CHUNK, 10))
    assert set(env.observation_space) == {"pixels"}
    _, info = env.reset(seed=0)
    assert "agent_found" not in info


def test_recorded_video_shows_what_was_observed(counting, tmp_path):
    pytest.importorskip("moviepy", reason="RecordVideo needs moviepy")
    smooth = np.zeros((64, 64, 3), np.uint8)
    smooth[..., 0], smooth[..., 1] = np.arange(64)[:, None] * 4, np.arange(64)[None] * 4

    class Brighter(type(counting)):
        def _answer(self, request):
            answer = super()._answer(request)
            steps = np.arange(len(answer.frames))[:, None, None, None]
            answer.frames[:] = np.clip(request.frames.astype(int) + 2 * steps, 0, 255)
            return answer

    env = WorldModelEnv(**options(Brighter(), smooth, render_mode="rgb_array"))
    env = RecordVideo(gymnasium.wrappers.TimeLimit(env, 3), str(tmp_path / "videos"), fps=5)
    seen = [env.reset(seed=0)[0]["pixels"], *(env.step(pushes())[0]["pixels"] for _ in range(3))]
    env.close()
    (path,) = (tmp_path / "videos").glob("*.mp4")
    frames, fps = read_video(path)
    assert fps == 5
    assert len(frames) == 4
    for recorded, expected in zip(frames, seen, strict=True):
        assert np.abs(recorded.astype(float) - expected).mean() < 6  # of 255: the codec's loss


def test_a_window_shows_every_frame(counting, starts, dummy_display):
    import pygame

    env = WorldModelEnv(**options(counting, starts, render_mode="human", fps=1000.0))
    env.reset(seed=0)
    pixels = env.step(pushes())[0]["pixels"]
    shown = pygame.surfarray.array3d(pygame.display.get_surface()).transpose(1, 0, 2)
    assert shown.shape == (384, 384, 3)
    np.testing.assert_array_equal(shown[::12, ::12], pixels)
    assert env.render() is None
    env.close()
    env.close()
