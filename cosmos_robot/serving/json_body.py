"""Request bodies in JSON: read strictly, and checked against a model of the interface."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from cosmos_robot.serving.problems import Finding, Kind, RequestError

_SMALL = 65_536
"""Bytes that are parsed at once; more go to a thread, because the event loop would stand still."""


async def read_json(request: Request, *, depth: int) -> Any:
    """Read a request's JSON body.

    Raises:
        RequestError: if it is not JSON, nested deeper than `depth`, or holds a number that is not finite.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise RequestError(Kind.MEDIA_TYPE, f"the body must be application/json; got {kind or 'no content type'}.")
    body = await request.body()
    if len(body) <= _SMALL:
        return parse_json(body, depth=depth)
    return await run_in_threadpool(parse_json, body, depth=depth)


def parse_json(body: bytes, *, depth: int) -> Any:
    """Parse JSON strictly; see `read_json`."""
    try:
        text = body.decode("utf-8")
        parsed = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite, parse_int=_whole)
    except UnicodeDecodeError as error:
        raise RequestError(Kind.MALFORMED, "the body is not UTF-8.") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise RequestError(Kind.MALFORMED, f"the body is not JSON: {error.msg} at {where}.") from error
    except RecursionError as error:
        raise _too_deep(depth) from error
    _require_depth(parsed, depth)
    if "\\u" in text:
        _require_characters(parsed)
    return parsed


def check[Model: BaseModel](model: type[Model], data: Any, *, strict: bool | None = None) -> Model:
    """Check a body against a model.

    Args:
        model: of the body.
        data: the body.
        strict: whether types must be JSON's own, as in `3` and not `"3"`; None is as the model has it.

    Raises:
        RequestError: with every field that is wrong; an unknown field outweighs a bad value.
    """
    try:
        return model.model_validate(data, strict=strict)
    except ValidationError as error:
        raise refusal(error.errors(include_url=False, include_context=False, include_input=False)) from error


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """What an operation's description says about its body."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def body_reader[Model: BaseModel](model: type[Model], *, depth: int) -> Callable[[Request], Any]:
    """Make a dependency that reads and checks a request's body."""

    async def read(request: Request) -> Model:
        return check(model, await read_json(request, depth=depth))

    return read


def refusal(rows: Sequence[Mapping[str, Any]]) -> RequestError:
    """Refuse what pydantic found wrong.

    Args:
        rows: errors as it shows them, with `loc`, `msg` and `type`.
    """
    findings = tuple(
        Finding(tuple(row["loc"]), row["msg"].removeprefix("Value error, "), row["type"]) for row in rows[:20]
    )
    unknown = tuple(finding for finding in findings if finding.type == "extra_forbidden")
    kind = Kind.UNKNOWN_FIELD if unknown else Kind.BAD_VALUE
    return RequestError(kind, "; ".join(finding.sentence() for finding in unknown or findings), findings=findings)


def _require_depth(value: Any, limit: int) -> None:
    level = [value]
    for _ in range(limit + 1):
        level = [
            item
            for holder in level
            if isinstance(holder, dict | list)
            for item in (holder.values() if isinstance(holder, dict) else holder)
            if isinstance(item, dict | list)
        ]
        if not level:
            return
    raise _too_deep(limit)


def _require_characters(parsed: Any) -> None:
    """Refuse halves of surrogate pairs: they are no characters, and no text holds them."""
    try:
        json.dumps(parsed, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise RequestError(Kind.MALFORMED, "the body holds half of a surrogate pair, which is no character.") from error


def _too_deep(limit: int) -> RequestError:
    return RequestError(Kind.MALFORMED, f"the body is nested too deep; at most {limit} levels are read.")


def _refuse_constant(text: str) -> float:
    raise RequestError(Kind.MALFORMED, f"the body holds {text}; JSON has finite numbers alone.")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise RequestError(Kind.MALFORMED, f"the body holds {text[:40]}, which is not a finite number.")
    return number


def _whole(text: str) -> int:
    if len(text) > 40:
        raise RequestError(Kind.MALFORMED, "the body holds a whole number of more than 40 digits.")
    return int(text)
