"""How Cosmic shows what is wrong with a request: its status and a sentence, with the statuses of its own table."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from cosmos_robot.serving.interface_style import InterfaceStyle
from cosmos_robot.serving.problems import Kind, Problem

PREFIX = "/v3/buckets/"

_STATUSES = (400, 401, 403, 404, 405, 429, 500, 502, 503)
"""Those of its table that there is a reason for here (402 is not: nobody pays), and 405, which is HTTP's own."""


class CosmicError(BaseModel):
    """The body of an error: its status, and a sentence."""

    model_config = ConfigDict(extra="forbid")

    status: int
    message: str


def _error_body(problem: Problem, status: int) -> dict[str, Any]:
    return {"status": status, "message": problem.message}


STYLE = InterfaceStyle(
    name="cosmic",
    prefixes=(PREFIX,),
    body=_error_body,
    error=CosmicError,
    statuses={kind: 400 if kind.status < 500 else 500 for kind in Kind if kind.status not in _STATUSES},
)
