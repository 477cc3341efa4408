"""`cosmos-robot serve` with `SteppingModel` in the place of a checkpoint: `python serve_stepping.py STEP_SECONDS ...`."""

import sys

from stepping_model import SteppingModel

import cosmos_robot.world_model
from cosmos_robot.cli.app import app

if __name__ == "__main__":
    model = SteppingModel(float(sys.argv[1]))
    cosmos_robot.world_model.load_world_model = lambda *_, **__: model
    app(["serve", *sys.argv[2:]], prog_name="cosmos-robot")
