"""Asking a world model again when the service behind it fails for a moment."""

import time
from collections.abc import Sequence

from cosmos_robot.errors import ServiceError
from cosmos_robot.interface.request import ActionRequest
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.types import Rollout


def generate_with_retries(
    world_model: WorldModel, requests: Sequence[ActionRequest], *, retries: int, wait: float
) -> list[Rollout]:
    """Generate, again after a pause that doubles each time where the connection fails or times out.

    Args:
        world_model: what answers.
        requests: what it is asked.
        retries: attempts after the first.
        wait: seconds before the second attempt.

    Raises:
        ServiceError: if the last attempt fails too. Any other error is not retried and passes through.
    """
    for attempt in range(retries):
        try:
            return world_model.generate(requests)
        except (ConnectionError, TimeoutError):
            time.sleep(wait * 2**attempt)
    try:
        return world_model.generate(requests)
    except (ConnectionError, TimeoutError) as error:
        raise ServiceError(
            f"the world model failed {retries + 1} time(s) in a row: {error} The episode is as it was before this "
            f"step: step again when the service is back, or keep it with snapshot()."
        ) from error
