"""A benchmark run as a program of its own, to be killed: episodes, folder, workers."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from bench_models import Copying

from cosmos_robot.benchmarks.run_config import RunConfig
from cosmos_robot.benchmarks.run_execution import Workers, execute


class Slow(Copying):
    """Leaves time to be killed in."""

    def generate(self, requests, *, progress=None):
        time.sleep(0.05)
        return super().generate(requests)


def load(config, number, workers):
    return Slow()


if __name__ == "__main__":
    episodes, folder, workers = sys.argv[1:]
    config = RunConfig(suite="policy", episodes=episodes, domain="pusht", stride=8)
    execute(config, Path(folder), load=load, digest="copying", workers=Workers(int(workers)))
