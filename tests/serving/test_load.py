"""Many clients at once, mixed modes: no lost, doubled or swapped answer; and batching gives what it can."""

import pytest

from cosmos_robot.benchmarks.serving_load import run_round


@pytest.mark.parametrize("seconds", [10, pytest.param(60, marks=pytest.mark.slow)])
def test_no_job_is_lost_doubled_or_swapped(seconds):
    row = run_round(clients=64, seconds=seconds, batch_size=8)
    assert row.answered == row.asked - row.refused > 64
    assert (row.wrong, row.lost) == (0, 0)
