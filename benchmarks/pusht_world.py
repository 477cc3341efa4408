"""Push-T as a world model imagines it: as many environments side by side as are wanted."""

from cosmos_robot.envs.protocols import Trust
from cosmos_robot.envs.registration import PUSHT_STARTS
from cosmos_robot.envs.world_model_vector_env import WorldModelVectorEnv
from cosmos_robot.interface.world_model import WorldModel


def imagined_pusht(
    world_model: WorldModel,
    count: int,
    *,
    action_chunk_size: int,
    num_steps: int | None = None,
    trust: Trust | None = None,
) -> WorldModelVectorEnv:
    """Open `count` environments that start from gym-pusht's resets; the caller closes them."""
    return WorldModelVectorEnv(
        count,
        world_model=world_model,
        domain="pusht",
        starts=PUSHT_STARTS,
        action_chunk_size=action_chunk_size,
        num_steps=num_steps,
        trust=trust,
    )
