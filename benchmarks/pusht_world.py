"""Push-T as a world model imagines it: as many environments side by side as are wanted."""

from typing import Unpack

from cosmos_robot.envs.options import EnvOptions
from cosmos_robot.envs.registration import PUSHT_STARTS
from cosmos_robot.envs.world_model_vector_env import WorldModelVectorEnv


def imagined_pusht(count: int, **options: Unpack[EnvOptions]) -> WorldModelVectorEnv:
    """Open `count` environments that start from gym-pusht's resets; the caller closes them.

    Args:
        count: how many.
        options: of the environment, such as `world_model`, `action_chunk_size` and `num_steps`.
    """
    return WorldModelVectorEnv(count, **(options | {"domain": "pusht", "starts": PUSHT_STARTS}))
