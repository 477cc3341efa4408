"""Actions that a dataset holds already as a domain's own: the column `<domain>.action`, in robot units.

Conversion and labelling write it. Whoever reads it needs no table of columns, and no guess whose numbers they are.
"""

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.datasets.episode import Episode, require_finite
from cosmos_robot.domains.channels import PoseConvention
from cosmos_robot.domains.domain import Domain
from cosmos_robot.domains.source import SingleColumns
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.types import Actions, ActionSpace


def recorded_name(domain: Domain) -> str:
    """Name of the column that holds a domain's actions."""
    return f"{domain.name}.action"


def recorded_actions(episode: Episode, domain: Domain, steps: NDArray[np.int64]) -> Actions | None:
    """The recorded actions that lead from each of some time steps to the next of them.

    Steps of poses between two time steps are chained, and poses told from the first time step are told from the first
    of those asked for. Other channels are those of the first of two time steps; those that a layout of the domain reads
    at the frame that the action leads to are of the step that leads to the second.

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
    anchored = any(block.convention is PoseConvention.BACKWARD_ANCHORED for block in domain.pose_blocks)
    begin = max(first - 1, 0) if anchored else first  # the action before leads to the pose at `first`
    rows = require_finite(episode.column(name, begin, last), episode.where, name, begin).astype(np.float64)
    domain.check_width(rows)
    if last == first:
        return Actions(np.empty((len(steps) - 1, domain.raw_action_dim), np.float32), ActionSpace.ROBOT, domain.name)
    values = rows[steps[:-1] - begin]
    led_to = _led_to(domain)
    values[:, led_to] = rows[np.maximum(steps[1:] - 1 - begin, 0)][:, led_to]
    as_recorded = bool((np.diff(steps) == 1).all())
    for block in domain.pose_blocks:
        from_start = block.convention is PoseConvention.BACKWARD_ANCHORED
        if as_recorded and not (from_start and first > 0):
            continue
        if not from_start and block.convention is not PoseConvention.BACKWARD_FRAMEWISE:
            raise InvalidInputError(
                f"pose {block.name!r} of {episode.where} does not add up from step to step and cannot be brought "
                f"to another frame rate: ask for fps={episode.fps:g}."
            )
        poses = block.integrate(rows[:, block.columns], np.eye(4))
        values[:, block.columns] = block.encode(poses[steps - begin])
    return Actions(values.astype(np.float32), ActionSpace.ROBOT, domain.name)


def _led_to(domain: Domain) -> list[int]:
    """The channels whose numbers are those of the frame that an action leads to."""
    parts = [part for layout in domain.recorded.layouts for part in layout.channels]
    names = {name for part in parts if isinstance(part, SingleColumns) and part.at == "next" for name in part.names}
    return [index for index, name in enumerate(domain.channel_names) if name in names]
