"""The webhook that a request names, looked at before the request is accepted."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from cosmos_robot.serving.answer_address import base_url
from cosmos_robot.serving.fetch import checked_address, split_url
from cosmos_robot.serving.problems import RequestError
from cosmos_robot.serving.service import Service
from cosmos_robot.serving.webhook_store import Webhook

_PORTS = {"http": 80, "https": 443}
_MOST_CHARACTERS = 2_048


async def read_webhook(service: Service, request: Request, url: str | None, field: str) -> Webhook | None:
    """Take a webhook's URL; None is none.

    Args:
        service: that will call it.
        request: that names it.
        url: of the webhook.
        field: of the request, for messages.

    Raises:
        RequestError: if this server calls none, or not this one.
    """
    if url is None:
        return None
    if not service.settings.allow_urls:
        raise RequestError.of_field(
            field, "this server calls no webhooks; ask for the status, or start the server with --allow-urls."
        )
    if len(url) > _MOST_CHARACTERS:
        raise RequestError.of_field(field, f"a webhook's URL has at most {_MOST_CHARACTERS} characters.")
    parts = split_url(url, field)
    port = parts.port or _PORTS[parts.scheme]
    # The same is looked at again whenever it is called: a name may lead elsewhere by then.
    hosts, seconds = service.settings.url_hosts, service.settings.limits.fetch_seconds
    await run_in_threadpool(checked_address, parts.hostname or "", port, hosts=hosts, field=field, seconds=seconds)
    return Webhook(url, base_url(service.settings, request))
