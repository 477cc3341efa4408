"""Calling a webhook's URL, once: a public address alone, no redirect, an end in time whatever the other side does."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpcore

from cosmos_robot.errors import CosmosRobotError
from cosmos_robot.serving.fetch import checked, split_url, unknown_host
from cosmos_robot.serving.name_lookup import look_up
from cosmos_robot.serving.problems import RequestError

_FIELD = "webhook"


class UndeliveredError(CosmosRobotError):
    """A webhook was not taken."""


@dataclass(frozen=True)
class WebhookSender:
    """Sends webhooks.

    Attributes:
        hosts: `name:port` of hosts that need not be public.
        seconds: for one attempt, from resolving the name to the status.
    """

    hosts: frozenset[str]
    seconds: float

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a JSON body; any status from 200 to 299 is thanks for it, and what comes with it is not read.

        Raises:
            UndeliveredError: if it may not be sent there, or is not taken in time.
        """
        try:
            async with asyncio.timeout(self.seconds):
                status = await self._status(url, body, headers)
        except TimeoutError as error:
            raise UndeliveredError(f"no answer within {self.seconds:g} s") from error
        except RequestError as error:
            raise UndeliveredError(error.problem.message) from error
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as error:
            raise UndeliveredError(f"{type(error).__name__}: {error}") from error
        if not 200 <= status < 300:
            raise UndeliveredError(f"status {status}")

    async def _status(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        sent: dict[bytes | str, bytes | str] = {
            "Host": split_url(url, _FIELD).netloc,
            "Content-Type": "application/json",
            "User-Agent": "cosmos-robot",
            **dict(headers.items()),
        }
        backend = _CheckedBackend(self.hosts)
        async with (
            httpcore.AsyncConnectionPool(network_backend=backend) as pool,
            pool.stream("POST", url, headers=sent, content=body) as response,
        ):
            return response.status


class _CheckedBackend(httpcore.AsyncNetworkBackend):
    """Connects to addresses that it has checked."""

    def __init__(self, hosts: frozenset[str]) -> None:
        self._hosts = hosts
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            addresses = await asyncio.wrap_future(look_up(host, port))
        except (OSError, UnicodeError) as error:
            raise unknown_host(host, _FIELD) from error
        address = checked(addresses, host, port, hosts=self._hosts, field=_FIELD)
        return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        raise RequestError.of_field(_FIELD, "a URL names a host.")

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)
