"""Fetching what a request names by URL: public addresses alone, checked after resolution and at each redirect."""

import ipaddress
import ssl
import time
from collections.abc import Collection, Iterable, Sequence
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import httpcore

from cosmos_robot.serving.name_lookup import look_up
from cosmos_robot.serving.problems import Kind, RequestError

_REDIRECTS = (301, 302, 303, 307, 308)
_OK = 200
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""What IPv6 has for public hosts (RFC 4291). Outside are forms that wrap addresses of IPv4, and what is to come."""
_PORTS = {"http": 80, "https": 443}


class Fetcher:
    """Fetches URLs.

    A name is resolved once, all its addresses are checked, and the connection goes to one of those that were checked:
    a name that resolves otherwise a moment later gains nothing.

    Args:
        allowed: whether anything is fetched at all.
        hosts: `name:port` of hosts that need not be public.
        seconds: for one fetch, redirects and all.
        redirects: that are followed.
    """

    def __init__(self, *, allowed: bool, hosts: Iterable[str], seconds: float, redirects: int) -> None:
        self.allowed = allowed
        self._hosts, self._seconds, self._redirects = frozenset(hosts), seconds, redirects

    def fetch(self, url: str, *, field: str, most: int) -> bytes:
        """Fetch one URL.

        Args:
            url: its address.
            field: of the request, for messages.
            most: bytes that are taken.

        Raises:
            RequestError: if it may not be fetched, cannot be, or is too large.
        """
        if not self.allowed:
            raise RequestError.of_field(
                field,
                "this server takes no URLs; send the media as base64 or as a data URI, or start it with --allow-urls.",
            )
        deadline = time.monotonic() + self._seconds
        with httpcore.ConnectionPool(network_backend=_CheckedBackend(self._hosts, field, deadline)) as pool:
            for _ in range(self._redirects + 1):
                parts = split_url(url, field)
                try:
                    found, next_url = self._once(pool, url, parts.netloc, field=field, most=most, deadline=deadline)
                except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as error:
                    raise _unreachable(url, field, type(error).__name__) from error
                if next_url is None:
                    return found
                url = urljoin(url, next_url)
        raise RequestError.of_field(field, f"the URL redirects more than {self._redirects} times.")

    def _once(
        self, pool: httpcore.ConnectionPool, url: str, host: str, *, field: str, most: int, deadline: float
    ) -> tuple[bytes, str | None]:
        """The body, or where a redirect leads."""
        headers: dict[bytes | str, bytes | str] = {
            "Host": host.rpartition("@")[2],
            "User-Agent": "cosmos-robot",
            "Accept-Encoding": "identity",
        }
        left = max(deadline - time.monotonic(), 0.001)
        timeout = dict.fromkeys(("connect", "read", "write", "pool"), left)
        with pool.stream("GET", url, headers=headers, extensions={"timeout": timeout}) as response:
            given = {name.lower(): value for name, value in response.headers}
            if response.status in _REDIRECTS and b"location" in given:
                return b"", given[b"location"].decode("latin-1")
            if response.status != _OK:
                raise _unreachable(url, field, f"status {response.status}")
            return _read(response, field=field, most=most), None


class _CheckedBackend(httpcore.NetworkBackend):
    """Connects to addresses that it has checked."""

    def __init__(self, hosts: frozenset[str], field: str, deadline: float) -> None:
        self._hosts, self._field, self._deadline = hosts, field, deadline
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        left = self._deadline - time.monotonic()
        address = checked_address(host, port, hosts=self._hosts, field=self._field, seconds=left)
        stream = self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
        return _TimedStream(stream, self._deadline)

    def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.NetworkStream:
        raise RequestError.of_field(self._field, "a URL names a host.")

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


class _TimedStream(httpcore.NetworkStream):
    """Ends at one time, also where something comes now and then: a timeout of its own counts each read anew."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: float) -> None:
        self._inner, self._deadline = inner, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        inner = self._inner.start_tls(ssl_context, server_hostname, self._left(timeout))
        return _TimedStream(inner, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)

    def _left(self, timeout: float | None) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the time is up")
        return left if timeout is None else min(left, timeout)


def checked_address(host: str, port: int, *, hosts: Collection[str], field: str, seconds: float) -> str:
    """Resolve a name, once, and give an address of it to connect to.

    Args:
        host: name or address.
        port: likewise.
        hosts: `name:port` of hosts that need not be public.
        field: of the request, for messages.
        seconds: that name servers have.

    Raises:
        RequestError: if it is not known, at least not in time, or one of its addresses is not public.
    """
    try:
        addresses = look_up(host, port).result(seconds)
    except (OSError, UnicodeError) as error:  # a timeout is an OSError
        raise unknown_host(host, field) from error
    return checked(addresses, host, port, hosts=hosts, field=field)


def checked(addresses: Sequence[str], host: str, port: int, *, hosts: Collection[str], field: str) -> str:
    """Check the addresses that a name resolved to, and give one to connect to; see `checked_address`."""
    if f"{host}:{port}" not in hosts and not all(map(is_public, addresses)):
        raise RequestError.of_field(
            field, f"the host {host!r} of the URL is not at a public address, so nothing is asked of it."
        )
    return addresses[0]


def unknown_host(host: str, field: str) -> RequestError:
    """Say that no name server knows a host."""
    return RequestError.of_field(field, f"the host {host!r} of the URL is not known.")


def is_public(address: str) -> bool:
    """Whether an address belongs to the public internet, also where IPv6 wraps one of IPv4."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        wrapped = found.ipv4_mapped or found.sixtofour
        if wrapped is not None:
            return is_public(str(wrapped))
        if found.teredo is not None or found not in _GLOBAL_UNICAST:
            return False
    return found.is_global and not found.is_multicast


def split_url(url: str, field: str) -> SplitResult:
    """Take a URL apart.

    Raises:
        RequestError: if it is malformed, or of a form that this server does not ask.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise RequestError.of_field(field, "the URL is malformed.") from error
    if parts.scheme not in _PORTS or not parts.hostname or port == 0:
        raise RequestError.of_field(field, "a URL begins with http:// or https:// and names a host.")
    if parts.username is not None or parts.password is not None:
        raise RequestError.of_field(field, "a URL with a user's name or password is not fetched.")
    if not url.isascii() or any(character.isspace() for character in url):
        raise RequestError.of_field(field, "a URL has ASCII characters alone; escape the others.")
    return parts


def _read(response: httpcore.Response, *, field: str, most: int) -> bytes:
    body = bytearray()
    for part in response.iter_stream():
        body += part
        if len(body) > most:
            raise RequestError.of_field(field, f"what the URL names has more than {most} bytes.", Kind.TOO_LARGE)
    return bytes(body)


def _unreachable(url: str, field: str, why: str) -> RequestError:
    return RequestError.of_field(field, f"{url[:200]} cannot be fetched ({why}).")
