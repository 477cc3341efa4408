import numpy as np
import pytest

pytest.importorskip("lerobot.datasets", reason="the extra lerobot")

from cosmos_robot.datasets.open_episodes import open_episodes
from cosmos_robot.datasets.record_rollout import RolloutRecorder, Truth
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.types import ActionSpace, Rollout

TOP = "observation.images.top"


def rollout(seed=0, *, space="robot", frames=True):
    rng = np.random.default_rng(seed)
    actions = rng.uniform(50, 450, (8, 2)).astype(np.float32)
    if space == "model":
        actions = get_domain("pusht").encode(actions).values
    return Rollout(
        frames=rng.integers(0, 256, (9, 64, 64, 3), dtype=np.uint8) if frames else None,
        actions=actions,
        action_space=ActionSpace(space),
        domain="pusht",
        fps=10.0,
        seed=seed,
        prompt=f"push {seed}",
    )


def test_rollouts_become_episodes(tmp_path):
    with RolloutRecorder(tmp_path / "set", storage="image") as recorder:
        assert recorder.record_rollout(rollout(0)) == 0
        assert recorder.record_rollout(rollout(1, space="model"), task="other words") == 1
    with open_episodes(tmp_path / "set") as made:
        assert [each.task for each in made] == ["push 0", "other words"]
        for seed, each in enumerate(made):
            wanted = rollout(seed)
            assert np.array_equal(each.frames(TOP), wanted.frames)
            assert np.allclose(each.actions("pusht").values, wanted.actions, atol=1e-3)
            assert np.array_equal(each.column("action")[-1], each.column("action")[-2])


def test_truth_stands_beside_what_was_predicted(tmp_path):
    said, truth = rollout(0), rollout(5)
    with RolloutRecorder(tmp_path / "set", storage="image") as recorder:
        recorder.record_rollout(said, Truth(truth.frames, truth.actions))
    with open_episodes(tmp_path / "set") as made:
        assert set(made[0].cameras) == {TOP, f"predicted.{TOP}"}
        assert np.array_equal(made[0].frames(TOP), truth.frames)
        assert np.array_equal(made[0].frames(f"predicted.{TOP}"), said.frames)
        assert np.array_equal(made[0].column("action")[:-1], truth.actions)
        assert np.array_equal(made[0].column("predicted.action")[:-1], said.actions)


def test_what_does_not_fit(tmp_path):
    with RolloutRecorder(tmp_path / "set", storage="image") as recorder:
        with pytest.raises(InvalidInputError, match="without frames"):
            recorder.record_rollout(rollout(frames=False))
        with pytest.raises(InvalidInputError, match="action has 7 rows; a rollout of 9 frames takes 8"):
            recorder.record_rollout(rollout(), Truth(actions=rollout().actions[:7]))
        recorder.record_rollout(rollout())
        with pytest.raises(InvalidInputError, match="exactly the cameras"):
            recorder.record_rollout(rollout(), Truth(rollout().frames))
    with pytest.raises(InvalidInputError, match="is of domain 'pusht'; the dataset is of 'av'"):
        RolloutRecorder(tmp_path / "other", domain="av").record_rollout(rollout())
    assert len(open_episodes(tmp_path / "set")) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_refused_rollout_leaves_nothing_in_the_next(tmp_path):
    bad = rollout().actions.copy()
    bad[3] = np.nan
    with RolloutRecorder(tmp_path / "set", storage="image") as recorder:
        recorder.record_rollout(rollout(0), Truth(actions=rollout(5).actions))
        with pytest.raises(InvalidInputError, match="row 3 of column 'action' holds NaN"):
            recorder.record_rollout(rollout(1), Truth(actions=bad))
        recorder.record_rollout(rollout(2), Truth(actions=rollout(6).actions))
    with open_episodes(tmp_path / "set") as made:
        assert [(each.task, len(each)) for each in made] == [("push 0", 9), ("push 2", 9)]
        assert np.array_equal(made[1].frames(TOP), rollout(2).frames)
