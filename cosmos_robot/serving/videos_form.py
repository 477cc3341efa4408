"""Reading the body of `/v1/videos`: a form with a file in it, as vLLM-Omni and OpenAI's clients send, or JSON."""

from dataclasses import dataclass
from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from cosmos_robot.serving.json_body import check, parse_json, read_json
from cosmos_robot.serving.problems import Kind, RequestError
from cosmos_robot.serving.settings import Limits
from cosmos_robot.serving.videos_request import FILE_FIELD, JSON_FIELDS, VideosRequest

_MOST_FIELDS = 100


@dataclass(frozen=True)
class GivenVideo:
    """What was asked, and the file that came with it, or None."""

    body: VideosRequest
    upload: bytes | None = None


async def read_videos(request: Request, limits: Limits) -> GivenVideo:
    """Read and check a request's body.

    Raises:
        RequestError: if it is neither a form nor JSON, or something in it does not fit.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        body = await read_json(request, depth=limits.json_depth)
        return GivenVideo(check(VideosRequest, body))
    async with request.form(max_files=1, max_fields=_MOST_FIELDS, max_part_size=limits.request_bytes) as form:
        fields, upload = await _fields(form)
    for name in JSON_FIELDS:
        if name in fields:
            fields[name] = _parsed(fields[name], name, limits)
    return GivenVideo(check(VideosRequest, fields, strict=False), upload)


async def _fields(form: FormData) -> tuple[dict[str, Any], bytes | None]:
    """The texts of a form, each once, and its file."""
    fields: dict[str, Any] = {}
    upload = None
    for name, value in form.multi_items():
        if name in fields or (name == FILE_FIELD and upload is not None):
            raise RequestError.of_field(name, "the form has it more than once.")
        if not isinstance(value, UploadFile):
            _put(fields, name, value)
        elif name == FILE_FIELD:
            upload = await value.read()
        else:
            fields[name] = value.filename  # no field of this server's takes a file, so that it is refused by its name
    return fields, upload


def _put(fields: dict[str, Any], name: str, value: str) -> None:
    """Put a text where it belongs: `a[b]` is how OpenAI's clients write the object `a` with the key `b` in forms."""
    outer, bracket, inner = name.partition("[")
    if not bracket:
        fields[name] = value
        return
    held = fields.setdefault(outer, {})
    if not isinstance(held, dict):
        raise RequestError.of_field(outer, "the form has it both as a text and as an object.")
    held[inner.removesuffix("]")] = value


def _parsed(text: object, name: str, limits: Limits) -> Any:
    if not isinstance(text, str):
        return text
    try:
        return parse_json(text.encode(), depth=limits.json_depth)
    except RequestError as error:
        raise RequestError.of_field(name, f"a form holds it as JSON; {error}", Kind.MALFORMED) from error
