"""Actions in an answer's JSON, as NIM and vLLM-Omni both write them."""

from typing import Any

from cosmos_robot.domains.domain import Domain
from cosmos_robot.types import FloatArray


def action_block(values: FloatArray, domain: Domain, mode: str) -> dict[str, Any]:
    """Write actions float32 `[T, D]` of a domain, in the units that the interface has, and what they are."""
    return {
        "data": values.tolist(),
        "shape": list(values.shape),
        "dtype": "float32",
        "raw_action_dim": domain.raw_action_dim,
        "action_mode": mode,
        "domain_id": domain.domain_id,
    }
