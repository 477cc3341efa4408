"""The description of all interfaces, `/openapi.json`: what the framework finds, and what it cannot know.

Bodies are read by hand, so their models are added; so are, to every operation, the errors of its own interface.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from cosmos_robot.serving.interface_style import InterfaceStyle, style_of
from cosmos_robot.serving.problems import Kind

_EVENT = {"type": "object", "properties": {"data": {"type": "string"}}, "required": ["data"]}
EVENT_STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {"schema": _EVENT}}}}
"""For operations that answer with server-sent events; the schema is of one of them."""

_FRAMEWORKS = "HTTPValidationError"
"""The framework's own error body, which is never shown."""


def accepted(description: str) -> dict[int | str, dict[str, Any]]:
    """What an operation's description says about its answer 202."""
    return {202: {"description": description, "content": {"application/json": {"schema": {}}}}}


def query_parameters(model: type[BaseModel]) -> dict[str, Any]:
    """What an operation's description says about a query that is read by hand; all of it is optional."""
    fields = model.model_json_schema()["properties"]
    return {"parameters": [{"in": "query", "name": name, "schema": schema} for name, schema in fields.items()]}


def describe(app: FastAPI, styles: Sequence[InterfaceStyle], bodies: Sequence[type[BaseModel]]) -> dict[str, Any]:
    """Describe an application.

    Args:
        app: with all its routes.
        styles: of its interfaces.
        bodies: models of the bodies that its operations refer to.

    Returns:
        The description, as OpenAPI 3.1 has it.
    """
    schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
    errors = {style.error for style in styles}
    pairs = [(model, "validation") for model in (*bodies, *sorted(errors, key=lambda model: model.__name__))]
    _, found = models_json_schema(pairs, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    schema.setdefault("components", {}).setdefault("schemas", {}).update(found.get("$defs", {}))
    for name in (_FRAMEWORKS, "ValidationError"):
        schema["components"]["schemas"].pop(name, None)
    for path, operations in schema["paths"].items():
        answers = _error_answers(style_of(path, styles))
        for operation in operations.values():
            own = {
                status: answer for status, answer in operation["responses"].items() if _FRAMEWORKS not in str(answer)
            }
            operation["responses"] = {**answers, **own}
    return schema


def _error_answers(style: InterfaceStyle) -> dict[str, Any]:
    """Every status with which an interface shows a problem, and the body that it has then."""
    labels = defaultdict(list)
    for kind in Kind:
        labels[str(style.status(kind))].append(kind.label)
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{style.error.__name__}"}}}
    return {status: {"description": ", ".join(found), "content": content} for status, found in sorted(labels.items())}
