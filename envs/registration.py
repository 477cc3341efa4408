"""Tells Gymnasium the ids of our environments. Nothing heavy is imported: the classes are, when one is made."""

from typing import Any

PUSHT = "cosmos_robot/PushT-v0"
WORLD_MODEL = "cosmos_robot/WorldModel-v0"

_ENV = "cosmos_robot.envs.world_model_env:WorldModelEnv"
_VECTOR_ENV = "cosmos_robot.envs.world_model_vector_env:WorldModelVectorEnv"

HELD_OUT_SEEDS = (1_000_000, 2_000_000)
"""Seeds of the simulator's scenes that Push-T episodes start from: none of them is trained on."""

PUSHT_STARTS = {
    "env": "gym_pusht:gym_pusht/PushT-v0",
    "kwargs": {"obs_type": "pixels", "render_mode": "rgb_array"},
    "seeds": list(HELD_OUT_SEEDS),
}


def register_envs() -> None:
    """Register the environments; those that are registered already stay as they are.

    `import cosmos_robot` and `gymnasium.make("cosmos_robot:cosmos_robot/PushT-v0")` do it, and so does whatever loads
    the entry points of the group `gymnasium.envs` (Gymnasium itself until 0.29; since 1.0 it reads none).
    """
    import gymnasium

    kwargs: dict[str, dict[str, Any]] = {
        PUSHT: {
            "domain": "pusht",
            "starts": PUSHT_STARTS,
            "reward": "pusht_coverage",
            "max_episode_actions": 300,
        },
        WORLD_MODEL: {},
    }
    for name, defaults in kwargs.items():
        if name not in gymnasium.registry:
            gymnasium.register(name, entry_point=_ENV, vector_entry_point=_VECTOR_ENV, kwargs=dict(defaults))
