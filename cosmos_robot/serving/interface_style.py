"""How each interface shows a problem: its own statuses and its own error bodies."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict
from starlette.responses import JSONResponse

from cosmos_robot.serving.local_paths import LocalPaths
from cosmos_robot.serving.problems import Kind, Problem

type Headers = Mapping[str, str]


@dataclass(frozen=True)
class InterfaceStyle:
    """One interface, as far as problems go.

    Attributes:
        name: of the interface.
        prefixes: beginnings of its paths; the longest one that fits decides.
        body: makes an error body of a problem and its status.
        error: model of that body, for the description of the interface.
        statuses: where they differ from the usual ones.
        headers: further headers of an error.
    """

    name: str
    prefixes: tuple[str, ...]
    body: Callable[[Problem, int], Any]
    error: type[BaseModel]
    statuses: Mapping[Kind, int] = field(default_factory=dict)
    headers: Callable[[Problem], Headers] = lambda _: {}

    def status(self, kind: Kind) -> int:
        """The status of a kind of problem."""
        return self.statuses.get(kind, kind.status)

    def response(self, problem: Problem, paths: LocalPaths) -> JSONResponse:
        """Show a problem, without paths of this machine."""
        status = self.status(problem.kind)
        headers = dict(self.headers(problem))
        if problem.retry_after is not None:
            headers["Retry-After"] = str(problem.retry_after)
        if problem.kind is Kind.UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse(self.body(paths.hidden(problem), status), status_code=status, headers=headers)


class FieldRow(BaseModel):
    """A field that is wrong, as FastAPI shows it, and with it NIM and fal."""

    model_config = ConfigDict(extra="forbid")

    loc: list[str | int]
    msg: str
    type: str


def field_rows(problem: Problem) -> list[dict[str, Any]]:
    """The fields that are wrong, as `FieldRow` has them."""
    return [
        {"loc": ["body", *finding.field], "msg": finding.message, "type": finding.type} for finding in problem.findings
    ]


class OwnErrorFacts(BaseModel):
    """What is wrong: the kind of problem, and a sentence."""

    model_config = ConfigDict(extra="forbid")

    type: str
    message: str


class OwnError(BaseModel):
    """The error body of paths that belong to no hosted interface."""

    model_config = ConfigDict(extra="forbid")

    error: OwnErrorFacts


def own_body(problem: Problem, _status: int) -> dict[str, Any]:
    """Make an error body of paths that belong to no hosted interface."""
    return {"error": {"type": problem.kind.label, "message": problem.message}}


OWN_STYLE = InterfaceStyle(name="cosmos-robot", prefixes=("",), body=own_body, error=OwnError)


def style_of(path: str, styles: Sequence[InterfaceStyle]) -> InterfaceStyle:
    """Find the interface that a path belongs to."""
    fitting = [(len(prefix), style) for style in styles for prefix in style.prefixes if path.startswith(prefix)]
    return max(fitting, key=lambda pair: pair[0])[1] if fitting else OWN_STYLE
