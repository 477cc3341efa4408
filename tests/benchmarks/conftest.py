"""What several tests of the benchmarks need, made once."""

import pytest


@pytest.fixture(scope="session")
def pusht_shards(tmp_path_factory):
    """Three held-out Push-T episodes of 40 actions, as a folder of shards."""
    pytest.importorskip("gym_pusht")
    from bench_models import record_episodes

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SDL_VIDEODRIVER", "dummy")
        return record_episodes(tmp_path_factory.mktemp("pusht_shards"))
