"""What is kept in memory of jobs, which come without end."""

from cosmos_robot.serving.job_watch import Watches


def test_the_watches_kept_are_those_last_looked_at():
    watches = Watches(most=3)
    kept = [watches.of(name) for name in "abc"]
    assert watches.of("a") is kept[0]
    watches.of("d")
    assert [watches.of(name) is watch for name, watch in zip("ac", kept[::2], strict=True)] == [True, True]
    assert watches.of("b") is not kept[1]
