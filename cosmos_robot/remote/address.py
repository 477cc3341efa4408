"""The URL of a service: which one it is, where it is, and over what."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.loopback import is_loopback

_SCHEME = re.compile(r"([a-z]+)(?:\+(https?))?")


@dataclass(frozen=True)
class Address:
    """A service's URL in its parts, as in `nim://host:8000` or `nim+https://host`.

    Attributes:
        service: the scheme without its transport: "nim", "baseten", ...; "http" for this library's own server.
        transport: "http" or "https" where the URL says it, or None.
        place: host and port, or what stands there; "" for the service's own host.
        path: from the slash on, without one at its end.
    """

    service: str
    transport: str | None
    place: str
    path: str

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Take a URL apart.

        Raises:
            InvalidInputError: if it is none, or holds more than a place and a path.
        """
        try:
            parts = urlsplit(url)
            _ = parts.port  # raises where it is no number
        except ValueError as error:
            raise InvalidInputError(f"{url!r} is no URL of a service: {error}.") from error
        found = _SCHEME.fullmatch(parts.scheme)
        if found is None or not url.isascii() or not url.isprintable() or " " in url:
            raise InvalidInputError(f"{url!r} is no URL of a service; expected one as in nim://localhost:8000.")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise InvalidInputError(
                f"the URL of a service holds its place alone, no user, query or fragment; got one for "
                f"{parts.hostname or parts.scheme}. Keys are given as api_key=... or in the environment."
            )
        name, transport = found[1], found[2]
        if name in ("http", "https"):
            if transport is not None or not parts.netloc:
                raise InvalidInputError(f"{url!r} is no URL of a server; expected one as in http://localhost:8000.")
            name, transport = "http", name
        return cls(name, transport, parts.netloc, parts.path.rstrip("/"))

    def base(self, *, usual: str = "https", path: str | None = None) -> str:
        """The HTTP address, without a slash at its end.

        Args:
            usual: transport where the URL names none; to this machine it is always http.
            path: in place of the URL's own.
        """
        transport = self.transport or ("http" if self.local else usual)
        return f"{transport}://{self.place}{self.path if path is None else path}"

    @property
    def local(self) -> bool:
        """Whether the place is this machine."""
        return is_loopback(urlsplit(f"//{self.place}").hostname or "")

    def safe(self, base: str) -> bool:
        """Whether a key from the environment may go to an HTTP address: this machine's, or over TLS."""
        return self.local or base.startswith("https://")


def choose_key(given: str | None, names: Sequence[str], *, service: str, safe: bool, needed: bool) -> str | None:
    """Find the key to send.

    Args:
        given: the caller's own, or None.
        names: of environment variables, the first that is set.
        service: what to call it in a sentence.
        safe: whether a key from the environment may go there; see `Address.safe`.
        needed: whether the service is of no use without.

    Raises:
        InvalidInputError: if there is none and one is needed, or it cannot be a key.
    """
    key = given
    if key is None and safe:
        key = next((os.environ[name] for name in names if os.environ.get(name)), None)
    if key is None and needed:
        raise InvalidInputError(f"{service} needs a key: pass api_key=..., or set {names[0]} in the environment.")
    if key is not None and (not key or not key.isascii() or not key.isprintable() or " " in key):
        raise InvalidInputError("an API key is printable ASCII characters without spaces, at least one.")
    return key
