"""What a service's refusal is in this library's errors, and the sentence in it, whatever form its body has."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from cosmos_robot.errors import (
    AccessError,
    AnswerError,
    CosmosRobotError,
    InvalidInputError,
    ServiceError,
    UnsafeContentError,
    UnsupportedModeError,
)
from cosmos_robot.remote.exchange import Reply

_LONGEST = 500
_LABELS: dict[str, type[CosmosRobotError]] = {
    "unsafe_content": UnsafeContentError,
    "content_policy_violation": UnsafeContentError,
    "unsupported": UnsupportedModeError,
    "unsupported_value": UnsupportedModeError,
}
"""Words of this server, of fal and of OpenAI for a kind of problem."""
_NO_ACCESS = (401, 402, 403)
_NOT_FOUND = 404
_PASSING = (408, 425, 429, 499)


def require_json(reply: Reply, service: str) -> Any:
    """Read a reply's JSON.

    Args:
        reply: of any status.
        service: what to call it in a sentence.

    Raises:
        CosmosRobotError: if its status says that there is none; see `refusal`.
        AnswerError: if it is no JSON.
    """
    require_success(reply, service)
    try:
        return json.loads(reply.content)
    except (ValueError, RecursionError) as error:
        raise AnswerError(f"{service} gave no JSON: {_cut(reply.content[:200])!r}.") from error


def require_success(reply: Reply, service: str) -> None:
    """Raise what a reply's status stands for, if that is no success."""
    if not 200 <= reply.status < 300:
        raise refusal(reply, service)


def refusal(reply: Reply, service: str) -> CosmosRobotError:
    """The error that a reply stands for.

    Returns:
        AccessError: for a key that is missing, wrong, or out of credit.
        UnsafeContentError: for content that is refused.
        UnsupportedModeError: for what the service cannot do.
        InvalidInputError: for all else that is wrong with the request, its address included.
        ServiceError: for what may be otherwise in a moment.
    """
    status, (said, label) = reply.status, _told(reply)
    because = f": {said}" if said else "."
    if label in _LABELS:
        return _LABELS[label](f"{service} refuses ({status}){because}")
    if status in _NO_ACCESS:
        return AccessError(f"{service} does not let this key in ({status}){because}")
    if 300 <= status < 400:
        place = reply.headers.get("location", "elsewhere")
        return InvalidInputError(f"{service} sends on to {place[:200]}; name the service at that address.")
    if status == _NOT_FOUND:
        return InvalidInputError(f"{service} has nothing there ({status}){because} Check the address.")
    if 400 <= status < 500 and status not in _PASSING:
        return InvalidInputError(f"{service} refuses the request ({status}){because}")
    return ServiceError(f"{service} failed ({status}){because}")


def notes_of(reply: Reply) -> tuple[str, ...]:
    """What this library's server says in a header about an answer: one sentence or more, or none."""
    text = unquote(reply.headers.get("x-cosmos-robot-notes", ""))
    return (text,) if text else ()


def _told(reply: Reply) -> tuple[str, str]:
    """The sentence and the kind in a refusal's body, "" where there is none.

    Read are the forms of this library's server and of OpenAI (`error.message`, `error.type`), of FastAPI and fal
    (`detail`, `error_type`), of Baseten (`error`), of Pixazo (`message`) and of Cosmic (`message`, `error`).
    """
    try:
        body = json.loads(reply.content)
    except (ValueError, RecursionError):
        return _cut(reply.content[:_LONGEST]), ""
    if not isinstance(body, Mapping):
        return _cut(body), ""
    error = body.get("error")
    if isinstance(error, Mapping):
        label = error.get("code") if error.get("code") in _LABELS else error.get("type")
        return _cut(error.get("message") or error), str(label or "")
    label = str(body.get("error_type") or reply.headers.get("x-fal-error-type") or "")
    detail = body.get("detail")
    if isinstance(detail, list):
        label = label or next((str(row.get("type")) for row in detail if isinstance(row, Mapping)), "")
        return _cut("; ".join(_row(row) for row in detail)), label
    return _cut(body.get("message") or detail or error or ""), label


def _row(row: Any) -> str:
    """One field's finding, as FastAPI and fal show it."""
    if not isinstance(row, Mapping):
        return str(row)
    place = row.get("loc")
    where = ".".join(str(part) for part in place if part != "body") if isinstance(place, list) else ""
    return f"{where}: {row.get('msg')}" if where else str(row.get("msg"))


def _cut(told: Any) -> str:
    text = told.decode("utf-8", "replace") if isinstance(told, bytes) else str(told)
    return " ".join(text.split())[:_LONGEST]
