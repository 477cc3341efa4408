"""The cost benchmark runs, and says what it says of all rows."""

import pytest

pytest.importorskip("gym_pusht")

from bench_models import record_episodes

from cosmos_robot.benchmarks.run_config import RunConfig
from cosmos_robot.benchmarks.run_cost import as_table, cost_of


def test_a_cost_is_of_the_rows_that_were_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    episodes = str(record_episodes(tmp_path, episodes=1))
    config = RunConfig(
        suite="forward-dynamics", episodes=episodes, domain="pusht", rows=3, stride=1, controls=False, consistency=False
    )
    cost = cost_of(config)
    assert cost.rows == 3
    assert cost.seconds > 0
    assert cost.seconds_a_row == cost.seconds / 2
    assert cost.memory > 10
    assert as_table([cost, cost]).row_count == 2
