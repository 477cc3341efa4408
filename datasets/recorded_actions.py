"""Actions that a dataset holds already as a domain's own: the column `<domain>.action`, in robot units.

Conversion and labelling write it. Whoever reads it needs no table of columns, and no guess whose numbers they are.
"""

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.datasets.episode import Episode, require_finite
from cosmos_robot.domains.channels import PoseConvention
from cosmos_robot.domains.domain import Domain
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.types import Actions, ActionSpace


def recorded_name(domain: Domain) -> str:
    """Name of the column that holds a domain's actions."""
    return f"{domain.name}.action"


def recorded_actions(episode: Episode, domain: Domain, steps: NDArray[np.int64]) -> Actions | None:
    """The recorded actions that lead from each of some time steps to the next of them.

    Steps of poses between two time steps are chained; other channels are those of the first.

    Args:
        episode: what may have the column.
        domain: whose actions.
        steps: `[T + 1]` time steps, not falling.

    Returns:
        `[T, raw_action_dim]` in robot units, or None where the episode has no such column.

    Raises:
        InvalidInputError: if the column has another width, or its actions cannot be brought to another rate.
        EpisodeError: if it holds NaN or infinity.
    """
    name = recorded_name(domain)
    if name not in episode.columns:
        return None
    first, last = int(steps[0]), int(steps[-1])
    rows = require_finite(episode.column(name, first, last), episode.where, name, first).astype(np.float64)
    domain.check_width(rows)
    values = rows[steps[:-1] - first] if last > first else np.empty((len(steps) - 1, domain.raw_action_dim))
    if (np.diff(steps) != 1).any():
        for block in domain.pose_blocks:
            if block.convention is not PoseConvention.BACKWARD_FRAMEWISE:
                raise InvalidInputError(
                    f"pose {block.name!r} of {episode.where} does not add up from step to step and cannot be brought "
                    f"to another frame rate: ask for fps={episode.fps:g}."
                )
            poses = block.integrate(rows[:, block.columns], np.eye(4))
            values[:, block.columns] = block.encode(poses[steps - first])
    return Actions(values.astype(np.float32), ActionSpace.ROBOT, domain.name)
