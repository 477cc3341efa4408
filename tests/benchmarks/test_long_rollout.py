"""Long rollouts: known curves, and a run over a perfect world model that goes astray on purpose."""

import json

import numpy as np
import pytest

from cosmos_robot.benchmarks.long_rollout import LongRolloutConfig, curve, long_rollout_figures
from cosmos_robot.errors import InvalidInputError


def rows_of(errors, scores):
    return [
        {"episode": e, "chunk": c, "horizon": 16 * (c + 1), "pixel_error": errors[e][c], "score": scores[e][c]}
        for e in range(len(errors))
        for c in range(len(errors[0]))
    ]


def test_the_stop_leaves_out_an_episode_from_its_first_bad_score():
    errors = [[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]]
    rows = rows_of(errors, [[0.1, 0.2, 0.3], [0.1, 0.9, 0.1]])
    free = curve(rows, "pixel_error")
    np.testing.assert_array_equal(free.horizon, [16, 32, 48])
    np.testing.assert_array_equal(free.error, [5.5, 11.0, 16.5])
    np.testing.assert_array_equal(free.going, 1.0)
    stopped = curve(rows, "pixel_error", threshold=0.5)
    np.testing.assert_array_equal(stopped.error, [5.5, 2.0, 3.0])  # a good score later does not bring it back
    np.testing.assert_array_equal(stopped.going, [1.0, 0.5, 0.5])
    nothing = curve(rows, "pixel_error", threshold=0.15)
    np.testing.assert_array_equal(nothing.error, [5.5, np.nan, np.nan])


def test_starts_are_held_out_and_not_those_of_the_calibration():
    assert LongRolloutConfig().actions == 256
    for given in ({"first_start": 5}, {"calibration_start": 1_000_310}, {"actions": 250}):
        with pytest.raises(InvalidInputError):
            LongRolloutConfig(**given)


def test_all_figures_as_plain_data():
    """Of four episodes one is lost from the second chunk on, and the score knows it."""
    rows = [
        {"episode": e, "chunk": c, "horizon": 16 * (c + 1), "score": 0.1 + 0.5 * (e == 0 and c > 0)}
        | {"pixel_error": 0.01 * (c + 1), "pusher_error": 3.0, "block_error": 256.0 if e == 0 and c > 0 else 2.0 + c}
        | {"coverage_error": 0.0, "copied_pixel_error": 0.2}
        for e in range(4)
        for c in range(3)
    ]
    figures = json.loads(json.dumps(long_rollout_figures(rows, 0.3)))
    assert (figures["episodes"], figures["horizon"]) == (4, [16, 32, 48])
    assert figures["share that goes on"] == [1.0, 0.75, 0.75]
    assert figures["without the stop"]["block_error"] == pytest.approx([2.0, 66.25, 67.0])
    assert figures["with the stop"]["block_error"] == pytest.approx([2.0, 3.0, 4.0])
    assert figures["without the stop"]["copied_pixel_error"] == [0.2] * 3
    block = [found for found in figures["auroc"] if found["error"] == "block_error"]
    assert [found["worst"] for found in block] == pytest.approx([8 / 12, 5 / 12, 2 / 12])  # as many as are as wrong
    assert block[-1]["auroc"]["value"] == 1.0
    pusher = [found for found in figures["auroc"] if found["error"] == "pusher_error"]
    assert [found["worst"] for found in pusher] == [1.0]  # all are alike: one line, and nothing to tell apart
    assert all(ended is None for ended in long_rollout_figures(rows, 0.0)["with the stop"]["pixel_error"])


@pytest.mark.slow
def test_a_model_that_goes_astray_is_caught(tmp_path, monkeypatch):
    pytest.importorskip("gym_pusht")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    from perfect_pusht import PerfectPushT

    from cosmos_robot.benchmarks.long_rollout import plot_curves, run_long_rollouts
    from cosmos_robot.benchmarks.row_file import RowFile
    from cosmos_robot.benchmarks.trust import trust_figures
    from cosmos_robot.envs.inverse_dynamics_trust import InverseDynamicsScore
    from cosmos_robot.interface.world_model import WorldModel
    from cosmos_robot.types import Actions

    class Astray(WorldModel):
        """Perfect, but that it does other actions than it was asked to in one scene from the second chunk on."""

        def __init__(self, *seeds):
            self.inner, self.asked = PerfectPushT(*seeds), 0

        def generate(self, requests, *, progress=None):
            if requests[0].mode == "inverse_dynamics":
                return self.inner.generate(requests)
            self.asked += 1
            return self.inner.generate([self._wrong(i, request) for i, request in enumerate(requests)])

        def _wrong(self, index, request):
            from dataclasses import replace

            if index or self.asked < 2:
                return request
            mirrored = Actions(512 - request.actions.values, request.actions.space, request.actions.domain)
            return replace(request, actions=mirrored)

    config = LongRolloutConfig(episodes=2, actions=24, action_chunk_size=8, calibration_episodes=1)
    rows = run_long_rollouts(
        Astray(*config.starts), config, RowFile(tmp_path, {}), score=InverseDynamicsScore(), batch=2
    )
    assert len(rows) == 6
    by_place = {(row["episode"] - config.first_start, row["chunk"]): row for row in rows}
    for place, row in by_place.items():
        astray = place in {(0, 1), (0, 2)}
        assert (row["score"] > 0.02) == astray
        assert (row["pixel_error"] > 0.001) == astray
        assert (row["pusher_error"] > 8.0) == astray
    stopped = curve(rows, "pusher_error", threshold=0.02)
    np.testing.assert_allclose(stopped.going, [1.0, 0.5, 0.5])
    assert curve(rows, "pusher_error").error[-1] > 5 * stopped.error[-1]
    assert trust_figures(rows, resamples=10)[1].auroc.value == 1.0
    plot_curves(tmp_path / "curves.png", rows, 0.02)
    assert (tmp_path / "curves.png").stat().st_size > 10_000


@pytest.mark.slow
def test_an_episode_that_lost_a_row_is_imagined_again_and_counts_once(tmp_path, monkeypatch):
    pytest.importorskip("gym_pusht")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    from perfect_pusht import PerfectPushT

    from cosmos_robot.benchmarks.long_rollout import run_long_rollouts
    from cosmos_robot.benchmarks.row_file import RowFile
    from cosmos_robot.envs.inverse_dynamics_trust import InverseDynamicsScore

    config = LongRolloutConfig(episodes=2, actions=16, action_chunk_size=8, calibration_episodes=1)

    def go_on():
        told = []
        rows = run_long_rollouts(
            PerfectPushT(*config.starts),
            config,
            RowFile(tmp_path, {}),
            score=InverseDynamicsScore(),
            report=lambda *progress: told.append(progress),
        )
        return sorted((row["episode"] - config.first_start, row["chunk"]) for row in rows), told

    assert go_on() == ([(0, 0), (0, 1), (1, 0), (1, 1)], [(2, 2)])
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert go_on() == ([(0, 0), (0, 1), (1, 0), (1, 1)], [(2, 2)])
    assert go_on() == ([(0, 0), (0, 1), (1, 0), (1, 1)], [])
