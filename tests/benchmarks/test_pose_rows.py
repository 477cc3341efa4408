"""Rows of a robot whose actions are poses: trajectories are compared, and come back out of the rows."""

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cosmos_robot.benchmarks.inverse_dynamics_suite import InverseDynamicsSuite
from cosmos_robot.benchmarks.run_config import RunConfig
from cosmos_robot.benchmarks.run_plan import PlannedRow
from cosmos_robot.benchmarks.window_suite import Case
from cosmos_robot.datasets.windows import Window
from cosmos_robot.domains.poses import pose9_from_matrix
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.types import Actions, ActionSpace, Rollout

DOMAIN, CHUNK = get_domain("umi"), 16


def _actions(shift):
    rng = np.random.default_rng(0)
    poses = np.tile(np.eye(4), (CHUNK, 1, 1))
    poses[:, :3, :3] = Rotation.from_rotvec(rng.normal(0, 0.05, (CHUNK, 3))).as_matrix()
    poses[:, :3, 3] = rng.normal(0, 0.01, (CHUNK, 3))
    poses[:, 0, 3] += shift
    return np.column_stack([pose9_from_matrix(poses), np.full(CHUNK, 0.05)]).astype(np.float32)


class Shifted(WorldModel):
    """Reads every step a millimetre too far."""

    def generate(self, requests, *, progress=None):
        return [
            Rollout(r.frames, _actions(0.001), r.action_space, r.domain.name, r.domain.fps, r.seed, r.prompt)
            for r in requests
        ]


def test_rows_of_poses():
    frames = np.zeros((CHUNK + 1, 64, 64, 3), np.uint8)
    window = Window(frames, Actions(_actions(0.0), ActionSpace.ROBOT, "umi"), "", None, 0, 0, DOMAIN.fps)
    cases = [Case(PlannedRow(i, i, i, 0, i, None), window, window if i else None) for i in range(2)]
    suite = InverseDynamicsSuite()
    config = RunConfig(suite="inverse-dynamics", episodes="none", domain="umi")
    measured = suite.measure(Shifted(), cases, config)
    rows = [
        {
            "row": i,
            "episode": i,
            "start": 0,
            "seed": i,
            "case": "",
            "figures": json.loads(json.dumps(dict(each.figures))),
        }
        for i, each in enumerate(measured)
    ]
    (block,) = DOMAIN.pose_blocks
    found = {(series.metric, series.variant): series for series in suite.series(rows, DOMAIN)}
    step = found[f"rpe_translation, {block.name}", "model"]
    assert (step.unit, step.higher_is_better) == ("m", False)
    assert list(step.values.values()) == pytest.approx([0.001, 0.001], rel=1e-3)
    assert list(found[f"rpe_rotation, {block.name}", "model"].values.values()) == pytest.approx([0, 0], abs=1e-2)
    assert 0.001 < found[f"ate, {block.name}", "model"].values[0, 0, 0, ""] < 0.016
    assert found[f"ate, {block.name}", "another episode's actions"].values == {
        (1, 0, 1, ""): pytest.approx(0, abs=1e-9)
    }
    assert measured[0].absent["zero actions"] == "zeros are no rotation."
    error = found[f"error, {DOMAIN.channel_names[0]}", "model"]
    assert list(error.values.values()) == pytest.approx([0.001, 0.001], rel=1e-3)
