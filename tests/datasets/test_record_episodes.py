import numpy as np
import pytest

pytest.importorskip("lerobot.datasets", reason="the extra lerobot")

import gymnasium

from cosmos_robot.datasets.open_episodes import open_episodes
from cosmos_robot.datasets.record_episodes import RecordEpisodes
from cosmos_robot.errors import InvalidInputError


class Counter(gymnasium.Env):
    """Shows the number of the step as a brightness and ends at the fourth; action 9 is a success."""

    metadata = {"render_fps": 5}  # noqa: RUF012
    action_space = gymnasium.spaces.Box(0, 10, (2,), np.float32)
    observation_space = gymnasium.spaces.Dict(
        {
            "pixels": gymnasium.spaces.Box(0, 255, (64, 64, 3), np.uint8),
            "agent_pos": gymnasium.spaces.Box(-10, 10, (2,), np.float32),
            "wrist": gymnasium.spaces.Box(0, 255, (64, 96, 3), np.uint8),
        }
    )

    def look(self):
        return {
            "pixels": np.full((64, 64, 3), 10 * self.number, np.uint8),
            "agent_pos": np.array([self.number, -self.number], np.float32),
            "wrist": np.full((64, 96, 3), 200 - self.number, np.uint8),
        }

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.number = 0
        return self.look(), {}

    def step(self, action):
        self.number += 1
        return self.look(), float(self.number), self.number == 4, False, {"is_success": bool(action[0] == 9)}


def test_what_is_played_is_recorded(tmp_path):
    env = RecordEpisodes(Counter(), tmp_path / "set", task=lambda info: f"{info['is_success']}", storage="image")
    for last in (9, 3):
        env.reset(seed=0)
        env.step(np.array([1, 2], np.float32))
        env.reset(seed=0)  # drops what was played
        for step in range(4):
            *_, terminated, _, _ = env.step(np.array([last if step == 3 else step, 5], np.float32))
        assert terminated
    env.reset()
    env.step(np.array([1, 2], np.float32))
    assert env.episodes == 2
    env.close()
    with open_episodes(tmp_path / "set") as made:
        assert [(each.task, each.fps, len(each)) for each in made] == [("True", 5, 5), ("False", 5, 5)]
        episode = made[0]
        assert episode.column("action").tolist() == [[0, 5], [1, 5], [2, 5], [9, 5], [9, 5]]
        assert episode.column("observation.state").tolist() == [[n, -n] for n in range(5)]
        assert np.ravel(episode.column("next.reward")).tolist() == [1, 2, 3, 4, 0]
        assert np.ravel(episode.column("next.success")).tolist() == [False] * 4 + [True]
        assert not made[1].column("next.success").any()
        assert episode.frames("observation.images.top")[:, 0, 0, 0].tolist() == [0, 10, 20, 30, 40]
        assert episode.frames("observation.images.wrist")[:, 0, 0, 0].tolist() == [200, 199, 198, 197, 196]


def test_spaces_that_cannot_be_recorded(tmp_path):
    env = Counter()
    env.action_space = gymnasium.spaces.Discrete(3)
    with pytest.raises(InvalidInputError, match="a box is needed"):
        RecordEpisodes(env, tmp_path / "set")
    env = Counter()
    env.observation_space = gymnasium.spaces.Dict({"word": gymnasium.spaces.Text(3)})
    with pytest.raises(InvalidInputError, match="observations word cannot be recorded"):
        RecordEpisodes(env, tmp_path / "set")
    env = Counter()
    env.metadata = {}
    with pytest.raises(InvalidInputError, match="give fps"):
        RecordEpisodes(env, tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


def test_push_t(tmp_path):
    """gym-pusht's own observations; the dataset's actions are those of the Push-T domain."""
    pytest.importorskip("gym_pusht", reason="the extra pusht")
    env = gymnasium.make("gym_pusht/PushT-v0", obs_type="pixels_agent_pos", max_episode_steps=5)
    env = RecordEpisodes(env, tmp_path / "set", task="push the T", robot_type="pusht", codec="h264")
    observation, _ = env.reset(seed=3)
    seen, done = [observation], []
    rng = np.random.default_rng(0)
    for _ in range(5):
        done.append(rng.uniform(100, 400, 2).astype(np.float32))
        seen.append(env.step(done[-1])[0])
    env.close()
    with open_episodes(tmp_path / "set") as made:
        assert (len(made), len(made[0])) == (1, 6)
        assert np.array_equal(made[0].actions("pusht").values, np.stack(done))
        positions = np.stack([observation["agent_pos"] for observation in seen]).astype(np.float32)
        assert np.array_equal(made[0].column("observation.state"), positions)
        pictures = np.stack([observation["pixels"] for observation in seen]).astype(int)
        assert np.abs(made[0].frames() - pictures).mean() < 3


class Reusing(Counter):
    """Shows the same arrays each time, and changes the action that it is given."""

    def look(self):
        self.seen = getattr(self, "seen", None) or super().look()
        for name, value in super().look().items():
            self.seen[name][...] = value
        return self.seen

    def step(self, action):
        answer = super().step(action)
        action += 1
        return answer


def test_an_environment_that_reuses_its_buffers(tmp_path):
    env = RecordEpisodes(Reusing(), tmp_path / "set", storage="image")
    observation, _ = env.reset(seed=0)
    for step in range(4):
        assert env.step(np.array([step, 5], np.float32))[0] is observation
    env.close()
    with open_episodes(tmp_path / "set") as made:
        assert made[0].column("action").tolist() == [[0, 5], [1, 5], [2, 5], [3, 5], [3, 5]]
        assert made[0].column("observation.state").tolist() == [[n, -n] for n in range(5)]
        assert made[0].frames("observation.images.top")[:, 0, 0, 0].tolist() == [0, 10, 20, 30, 40]
