"""Where clients find the files of an answer: at an address of this server, or in the answer itself as data URIs."""

import base64

from starlette.requests import Request

from cosmos_robot.serving.answer import MEDIA_TYPES, Answer
from cosmos_robot.serving.middleware import FILES
from cosmos_robot.serving.settings import ServerSettings


def base_url(settings: ServerSettings, request: Request) -> str:
    """This server's own address, as clients reach it, without a slash at its end."""
    return (settings.public_url or str(request.base_url)).rstrip("/")


def media_type(answer: Answer, index: int) -> str:
    """The media type of an item's image or video."""
    return MEDIA_TYPES[f".{str(answer.items[index].media).rpartition('.')[2]}"]


def media_address(base: str, job_id: str, answer: Answer, index: int, *, inline: bool) -> str:
    """The address of an item's image or video.

    Args:
        base: this server's own address.
        job_id: of the job.
        answer: to it.
        index: of the item.
        inline: whether it is a data URI, which holds the file.
    """
    if inline:
        return f"data:{media_type(answer, index)};base64,{base64.b64encode(answer.media(index)).decode()}"
    return f"{base}{FILES}{job_id}/{answer.items[index].media}"
