"""How OpenAI shows what is wrong with a request."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from cosmos_robot.serving.interface_style import InterfaceStyle
from cosmos_robot.serving.problems import Finding, Kind, Problem

_CODES = {
    Kind.UNAUTHORIZED: "invalid_api_key",
    Kind.UNKNOWN_FIELD: "unknown_parameter",
    Kind.BAD_VALUE: "invalid_value",
    Kind.UNSUPPORTED: "unsupported_value",
    Kind.UNSAFE: "content_policy_violation",
    Kind.QUEUE_FULL: "rate_limit_exceeded",
}


class OpenAiErrorFacts(BaseModel):
    """What is wrong: a sentence, its type, the parameter that it is about, a code."""

    model_config = ConfigDict(extra="forbid")

    message: str
    type: str
    param: str | None
    code: str


class OpenAiError(BaseModel):
    """The body of an error."""

    model_config = ConfigDict(extra="forbid")

    error: OpenAiErrorFacts


def error_body(problem: Problem, status: int) -> dict[str, Any]:
    """The body of an error: a sentence, its type, the parameter that it is about, a code."""
    first = _first(problem)
    code = _CODES.get(problem.kind, problem.kind.label)
    if first is not None and problem.kind is Kind.NOT_FOUND:
        code = first.type
    return {
        "error": {
            "message": problem.message,
            "type": _type(status),
            "param": None if first is None or not first.field else _path(first.field),
            "code": code,
        }
    }


def _first(problem: Problem) -> Finding | None:
    """The finding that the message begins with: an unknown field outweighs other values."""
    unknown = [finding for finding in problem.findings if finding.type == "extra_forbidden"]
    return next(iter(unknown or problem.findings), None)


def _path(field: tuple[str | int, ...]) -> str:
    """The way to a field; where pydantic names the kind of a part and then the part, once is enough."""
    return ".".join(str(step) for index, step in enumerate(field) if index == 0 or step != field[index - 1])


def _type(status: int) -> str:
    if status >= 500:
        return "server_error"
    return "rate_limit_error" if status == 429 else "invalid_request_error"


STYLE = InterfaceStyle(
    name="openai",
    prefixes=("/v1/chat/", "/v1/models"),
    body=error_body,
    error=OpenAiError,
    statuses={Kind.BAD_VALUE: 400, Kind.UNKNOWN_FIELD: 400, Kind.UNSUPPORTED: 400, Kind.UNSAFE: 400},
)
"""What is wrong with a request is 400 there, not 422."""
