"""LeRobot folders that several files of tests read."""

import pytest
from lerobot_folder import write_v2, write_v3


@pytest.fixture
def v2(tmp_path):
    return write_v2(tmp_path / "set")


@pytest.fixture
def v3(tmp_path):
    return write_v3(tmp_path / "set")
