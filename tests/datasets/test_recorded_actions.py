"""Actions that a dataset holds as a domain's own, read at its rate and at a lower one."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from recorded_episode import RecordedEpisode
from scipy.spatial.transform import Rotation

from cosmos_robot.datasets.source_actions import actions_at, needed_columns
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.errors import EpisodeError, InvalidInputError

LENGTH = 9
DOMAINS = Path(__file__).resolve().parents[2] / "domains"


def trajectory():
    poses = np.broadcast_to(np.eye(4), (LENGTH, 4, 4)).copy()
    for index in range(1, LENGTH):
        step = np.eye(4)
        step[:3, :3] = Rotation.from_rotvec(np.array([0.3, -0.2, 0.1]) * index).as_matrix()
        step[:3, 3] = (index, 0.5, -index / 2)
        poses[index] = poses[index - 1] @ step
    return poses


def between(poses, steps):
    rows = []
    for here, there in itertools.pairwise(steps):
        delta = np.linalg.inv(poses[here]) @ poses[there]
        rows.append(np.concatenate([delta[:3, 3], delta[:3, 0], delta[:3, 1]]))
    return np.array(rows)


def episode():
    poses = trajectory()
    rows = between(poses, range(LENGTH))
    gripper = np.arange(LENGTH - 1)[:, None] / 10
    rows = np.concatenate([rows, gripper], axis=1)
    rows = np.concatenate([rows, rows[-1:]]).astype(np.float32)
    return RecordedEpisode({"bridge_orig_lerobot.action": rows, "action": np.full((LENGTH, 7), 5.0)})


@pytest.mark.parametrize("steps", [range(LENGTH), [2, 3, 4], [0, 2, 4, 6, 8], [1, 2, 4, 7]])
def test_steps_are_chained(steps):
    found = actions_at(episode(), get_domain("bridge"), np.array(steps)).actions.values
    assert np.allclose(found[:, :9], between(trajectory(), list(steps)), atol=1e-4)
    assert np.allclose(found[:, 9], np.array(steps[:-1]) / 10)


def test_the_own_column_goes_first():
    assert needed_columns(episode(), get_domain("bridge")) == ("bridge_orig_lerobot.action",)
    assert episode().actions("bridge").values.shape == (LENGTH - 1, 10)


def test_bad_columns():
    bad = episode()
    bad._columns["bridge_orig_lerobot.action"][3, 2] = np.nan
    with pytest.raises(EpisodeError, match=r"frame 3: column 'bridge_orig_lerobot\.action' holds NaN"):
        bad.actions("bridge")
    narrow = RecordedEpisode({"pusht.action": np.zeros((4, 3))})
    with pytest.raises(InvalidInputError, match="have 2 channels"):
        narrow.actions("pusht")


def test_commands_to_a_controller_keep_their_rate():
    rows = np.zeros((6, get_domain("libero").raw_action_dim), np.float32)
    rows[:, [3, 7]] = 1
    recorded = RecordedEpisode({"libero.action": rows})
    assert recorded.actions("libero").values.shape == (5, rows.shape[1])
    with pytest.raises(InvalidInputError, match="cannot be brought to another frame rate"):
        actions_at(recorded, get_domain("libero"), np.array([0, 2, 4]))


def umi(poses):
    """An episode with UMI's own columns; the gripper opens by a hundredth each step."""
    gripper = np.arange(LENGTH)[:, None] / 100.0
    vectors = Rotation.from_matrix(poses[:, :3, :3]).as_rotvec()
    columns = {
        "robot0_eef_pos": poses[:, :3, 3],
        "robot0_eef_rot_axis_angle": vectors,
        "robot0_gripper_width": gripper,
    }
    return RecordedEpisode(columns)


def as_recorded(episode, domain):
    actions = episode.actions(domain).values
    return RecordedEpisode({f"{domain.name}.action": np.concatenate([actions, actions[-1:]])})


@pytest.mark.parametrize("convention", ["backward_framewise", "backward_anchored"])
@pytest.mark.parametrize("steps", [range(LENGTH), [0, 1, 2], [3, 4, 5], [0, 2, 4, 6, 8], [1, 2, 4, 7], [4, 7]])
def test_a_recorded_column_says_what_the_columns_say_that_it_is_made_of(tmp_path, convention, steps):
    text = (DOMAINS / "umi.toml").read_text().replace("backward_framewise", convention)
    path = tmp_path / "umi.toml"
    path.write_text(text)
    domain, source = get_domain(path), umi(trajectory())
    there = actions_at(source, domain, np.array(steps)).actions.values
    here = actions_at(as_recorded(source, domain), domain, np.array(steps)).actions.values
    assert np.allclose(here, there, atol=1e-4)
    assert np.allclose(here[:, 9], np.array(steps[1:]) / 100)
