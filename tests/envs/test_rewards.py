"""Rewards from frames, against the simulator's own figures and a real HTTP server."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from scipy import stats

from cosmos_robot.domains.registry import get_domain
from cosmos_robot.envs.chat_endpoint import ChatEndpoint
from cosmos_robot.envs.goal_image import GoalImage
from cosmos_robot.envs.language_judge import LanguageJudge
from cosmos_robot.envs.options import find_reward
from cosmos_robot.envs.protocols import ImaginedStep
from cosmos_robot.envs.pusht_block import GOAL_POSE, coverage_of, find_block
from cosmos_robot.envs.pusht_rewards import PushTCoverage, PushTDistance
from cosmos_robot.envs.rewards import REWARDS
from cosmos_robot.envs.world_model_env import WorldModelEnv
from cosmos_robot.envs.world_model_lease import shared_world_models
from cosmos_robot.errors import InvalidInputError, MediaError, ServiceError

SERVER = Path(__file__).parents[1] / "support" / "chat_server.py"


@pytest.fixture(scope="module")
def simulated():
    pytest.importorskip("gym_pusht")
    from pusht_frames import simulated_frames

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SDL_VIDEODRIVER", "dummy")
        return simulated_frames()


@pytest.fixture(scope="module")
def url():
    """A server of its own process: chat completions that follow what the question says."""
    with subprocess.Popen([sys.executable, str(SERVER)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"
        server.terminate()


def step(frames, prompt="push"):
    actions = np.zeros((len(frames) - 1, 2), np.float32)
    return ImaginedStep(frames, actions, frames, actions, get_domain("pusht"), prompt, 0, 0, frames[0], 1)


def test_coverage_is_the_simulators_own(simulated):
    seen = np.array([find_block(frame).coverage for frame in simulated.frames])
    assert len(seen) >= 180
    assert np.ptp(simulated.coverage) > 0.8
    assert stats.pearsonr(seen, simulated.coverage).statistic >= 0.99
    assert np.abs(seen - simulated.coverage).max() < 0.06
    shuffled = np.random.default_rng(0).permutation(seen)
    assert abs(stats.pearsonr(shuffled, simulated.coverage).statistic) < 0.3


def test_the_ts_pose_is_found(simulated):
    fits = [find_block(frame) for frame in simulated.frames]
    away = np.array([fit.pose for fit in fits]) - simulated.block
    turned = np.abs((away[:, 2] + np.pi) % (2 * np.pi) - np.pi)
    assert np.median(np.linalg.norm(away[:, :2], axis=1)) < 2.0  # table pixels, of 512
    assert np.median(turned) < 0.02
    assert turned.max() < 0.05
    assert min(fit.overlap for fit in fits) > 0.6


def test_area_by_cutting_is_the_simulators(simulated):
    ours = [coverage_of(pose) for pose in simulated.block]
    np.testing.assert_allclose(ours, simulated.coverage, atol=1e-9)
    assert coverage_of(GOAL_POSE) == pytest.approx(1.0)


def test_no_t_is_no_coverage_and_another_size_is_scaled(simulated):
    blank = np.full((2, 96, 96, 3), 255, np.uint8)
    judged = PushTCoverage()(blank)
    assert (judged.reward, judged.success, judged.details["block_found"]) == (0.0, False, 0.0)
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    assert find_block(noise) is None
    frame = simulated.frames[int(simulated.coverage.argmax())]
    large = frame.repeat(2, axis=0).repeat(2, axis=1)
    assert find_block(large).coverage == pytest.approx(find_block(frame).coverage)


def test_coverage_rewards_as_the_simulator_does(simulated):
    best = int(simulated.coverage.argmax())
    frames = simulated.frames[[0, best, 1]]
    judged = PushTCoverage(success=float(simulated.coverage[best]) - 0.05)(frames)
    assert judged.success  # it was solved on the way, though not at the end
    assert judged.details["best_coverage"] > judged.details["coverage"]
    assert PushTCoverage()(frames[:2]).reward == pytest.approx(min(simulated.coverage[best] / 0.95, 1.0), abs=0.05)
    with pytest.raises(InvalidInputError, match="success is a coverage"):
        PushTCoverage(success=0.0)


def test_distance_grows_towards_the_goal(simulated):
    judged = [PushTDistance()(frame[None]) for frame in simulated.frames]
    truth = np.linalg.norm(simulated.block[:, :2] - GOAL_POSE[:2], axis=1)
    assert stats.spearmanr([j.reward for j in judged], -truth).statistic > 0.7
    assert max(judged, key=lambda j: j.reward).details["coverage"] > 0.8


def test_goal_image(tmp_path):
    goal = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(goal).save(tmp_path / "goal.png")
    reward = GoalImage(tmp_path / "goal.png", success_within=0.01)
    same, inverted = reward(goal[None]), reward(255 - goal[None])
    assert (same.reward, same.success) == (0.0, True)
    assert inverted.reward == pytest.approx(-np.abs(255.0 - 2 * goal.astype(float)).mean() / 255)
    assert inverted.success is False
    assert GoalImage(goal)(goal[None]).success is None
    assert reward(goal.repeat(2, axis=0).repeat(2, axis=1)[None]).reward > -0.2  # scaled to the frames
    again = pickle.loads(pickle.dumps(reward))  # as a vector environment's processes get it
    assert (again(goal[None]), again(255 - goal[None])) == (same, inverted)
    with pytest.raises(MediaError):
        GoalImage(np.zeros((4, 4)))


def test_every_name_makes_a_reward(tmp_path):
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(tmp_path / "goal.png")
    keys = {
        "goal_image": {"goal": str(tmp_path / "goal.png")},
        "language_judge_local": {"world_model": "some/where", "device": "cpu", "num_frames": 2},
        "language_judge": {"url": "http://127.0.0.1:1/v1", "model": "m", "timeout": 1.0, "num_frames": 2},
    }
    for name in REWARDS:
        specification = json.loads(json.dumps({"name": name, **keys.get(name, {})}))
        assert find_reward(specification) is not None
    with pytest.raises(InvalidInputError, match=r"no reward named 'coverage'.*pusht_coverage"):
        find_reward("coverage")


def test_an_environment_with_a_named_reward(counting, starts, tmp_path):
    Image.fromarray(starts[0]).save(tmp_path / "goal.png")
    reward = {"name": "goal_image", "goal": str(tmp_path / "goal.png"), "success_within": 1.0}
    env = WorldModelEnv(world_model=counting, domain="pusht", starts=starts, action_chunk_size=4, reward=reward)
    env.reset(seed=0)
    _, given, terminated, _, info = env.step(env.action_space.sample())
    assert terminated
    assert info["is_success"]
    assert given == -info["goal_distance"] < 0


def test_a_function_judges():
    asked = []

    def ask(frames, question):
        asked.append((len(frames), question))
        return 'Sure:\n```json\n{"success": false, "progress": 0.25}\n```'

    frames = np.zeros((9, 32, 32, 3), np.uint8)
    judged = LanguageJudge(ask, num_frames=4).judge([step(frames, "go {left}"), step(frames)])
    assert [j.reward for j in judged] == [0.25, 0.25]
    assert [j.success for j in judged] == [False, False]
    assert asked[0][0] == 4
    assert any("go {left}" in question for _, question in asked)
    with pytest.raises(ServiceError, match="no JSON with success"):
        LanguageJudge(lambda *_: "I cannot tell.").judge([step(frames)])
    with pytest.raises(InvalidInputError, match=r"needs \{task\}"):
        LanguageJudge(ask, question="done?")


@pytest.mark.parametrize(
    "answer",
    [
        '<think>At first {"success": true, "progress": 0.9}? No.</think>{"success": false, "progress": 0.2}',
        'At first {"success": true, "progress": 0.9}? No.\n</think>\n{"success": false, "progress": 0.2}',
        '{"success": true, "progress": 0.9} is wrong. {"success": false, "progress": 0.2} and {"note": 1}',
    ],
)
def test_the_last_verdict_behind_all_thoughts_holds(answer):
    judged = LanguageJudge(lambda *_: answer).judge([step(np.zeros((5, 32, 32, 3), np.uint8))])
    assert [(each.reward, each.success) for each in judged] == [(0.2, False)]


@pytest.mark.parametrize("end", ["</think>I cannot tell.", ""])
def test_a_thought_is_no_verdict(end):
    judge = LanguageJudge(lambda *_: '<think>{"success": true, "progress": 0.9}?' + end)
    with pytest.raises(ServiceError, match="no JSON with success"):
        judge.judge([step(np.zeros((5, 32, 32, 3), np.uint8))])


def test_a_service_judges(url, monkeypatch):
    frames = np.zeros((5, 32, 32, 3), np.uint8)
    bright = np.full((5, 32, 32, 3), 255, np.uint8)
    monkeypatch.setenv("JUDGE_KEY", "secret")
    judge = LanguageJudge.at(url, "a-model", api_key_env="JUDGE_KEY")
    dark, light = judge.judge([step(frames), step(bright)])  # the server calls a bright last picture a success
    assert (dark.success, light.success) == (False, True)
    assert (dark.reward, light.reward) == (0.0, 1.0)


def test_the_local_reasoner_judges(reasoner_folder):
    """Random weights: what they say means nothing, but it is a verdict."""
    pytest.importorskip("xgrammar")
    frames = np.zeros((5, 32, 32, 3), np.uint8)
    sampling = {"do_sample": True, "seed": 1, "max_new_tokens": 400}
    judge = LanguageJudge.of_reasoner(
        str(reasoner_folder("nano")), device="cpu", dtype="float32", num_frames=2, sampling=sampling
    )
    judged = judge.judge([step(frames), step(frames + 200)])
    assert all(isinstance(each.success, bool) and 0.0 <= each.reward <= 1.0 for each in judged)
    assert list(shared_world_models().values()) == [1]
    judge.close()
    assert shared_world_models() == {}


def test_a_named_reward_is_closed_with_its_environment(counting, starts, monkeypatch):
    closed = []

    class Ask:
        def __call__(self, frames, question):
            return '{"success": false, "progress": 0.5}'

        def close(self):
            closed.append(self)

    monkeypatch.setitem(REWARDS, "asking", lambda: LanguageJudge(Ask()))
    given = {"world_model": counting, "domain": "pusht", "starts": starts}
    WorldModelEnv(**given, reward=LanguageJudge(Ask())).close()  # this one is the caller's
    assert closed == []
    WorldModelEnv(**given, reward="asking").close()
    assert len(closed) == 1
    LanguageJudge(lambda *_: "a function has nothing to close").close()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("refuses", "answered 429: slow down"),
        ("garbled", "gave no JSON"),
        ("mute", "without text"),
        ("slow", "no answer within 0.5 s"),
    ],
)
def test_a_services_failures_are_told(url, model, message):
    ask = ChatEndpoint(url, model, timeout=0.5)
    with pytest.raises(ServiceError, match=message):
        ask(np.zeros((1, 32, 32, 3), np.uint8), "done?")


def test_a_service_that_is_not_there(monkeypatch):
    with pytest.raises(ServiceError, match="cannot be reached"):
        ChatEndpoint("http://127.0.0.1:9/v1", "m")(np.zeros((1, 32, 32, 3), np.uint8), "?")
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(InvalidInputError, match="NO_SUCH_KEY; it is not set"):
        ChatEndpoint("http://127.0.0.1:9/v1", "m", api_key_env="NO_SUCH_KEY")(np.zeros((1, 32, 32, 3), np.uint8), "?")
    with pytest.raises(InvalidInputError, match="http://"):
        ChatEndpoint("localhost:8000", "m")


def test_the_server_of_these_tests_wants_pictures(url):
    assert httpx.post(f"{url}/chat/completions", json={"messages": []}).status_code == 400
