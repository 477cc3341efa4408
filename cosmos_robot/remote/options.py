"""How a service is asked: its key, how long it may take, how often it is tried."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from cosmos_robot.errors import InvalidInputError
from cosmos_robot.remote.retries import Retries

type Upload = Callable[[bytes, str], str]
"""Puts a file of some media type, as "image/png", where the service can fetch it, and gives its URL."""


@dataclass(frozen=True)
class Timeouts:
    """How long is waited, in seconds.

    Attributes:
        connect: for a connection.
        read: for the next bytes of an answer; a service that answers at once, when it has generated, is silent until
            then.
        overall: for a call with all of its attempts, waits and questions how far it is.

    Raises:
        InvalidInputError: if one of them is not positive.
    """

    connect: float = 10.0
    read: float = 600.0
    overall: float = 3600.0

    def __post_init__(self) -> None:
        for name in ("connect", "read", "overall"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise InvalidInputError(f"a timeout is a positive number of seconds; {name} is {value}.")


class RemoteOptions(TypedDict, total=False):
    """Keywords for a world model behind a service.

    Keys:
        api_key: sent to the service alone; None takes the environment variable that is usual for it, when the world
            model is made: NVIDIA_API_KEY or NGC_API_KEY, BASETEN_API_KEY, FAL_KEY, PIXAZO_API_KEY, COSMIC_WRITE_KEY,
            which go to this machine or over TLS alone, and COSMOS_ROBOT_API_KEY for this library's own server.
        timeout: see `Timeouts`; a number is the overall one.
        retries: see `Retries`; a number is their count.
        concurrency: requests of a batch that are under way at once, where the service takes one at a time.
        upload: puts a picture or a video where the service can fetch it, and gives the URL; None sends it within the
            request, as a data URI. The real Baseten, Pixazo and Cosmic fetch URLs.
        lossless: whether this library's own server sends every pixel as it is (the default) or H.264.
    """

    api_key: str | None
    timeout: float | Timeouts | None
    retries: int | Retries
    concurrency: int
    upload: Upload | None
    lossless: bool


@dataclass(frozen=True)
class RemoteSettings:
    """The keywords of `RemoteOptions`, checked."""

    api_key: str | None
    timeouts: Timeouts
    retries: Retries
    concurrency: int
    upload: Upload | None
    lossless: bool

    @classmethod
    def of(cls, options: RemoteOptions) -> "RemoteSettings":
        """Check the keywords.

        Raises:
            TypeError: if one is unknown.
            InvalidInputError: if a value cannot be used.
        """
        unknown = set(options) - set(RemoteOptions.__annotations__)
        if unknown:
            raise TypeError(f"unknown keyword(s): {', '.join(sorted(unknown))}.")
        timeout, retries = options.get("timeout"), options.get("retries", Retries())
        concurrency = options.get("concurrency", 8)
        if concurrency < 1:
            raise InvalidInputError(f"concurrency must be at least 1; got {concurrency}.")
        return cls(
            api_key=options.get("api_key"),
            timeouts=_timeouts(timeout),
            retries=Retries(retries) if isinstance(retries, int) else retries,
            concurrency=concurrency,
            upload=options.get("upload"),
            lossless=options.get("lossless", True),
        )


def _timeouts(given: float | Timeouts | None) -> Timeouts:
    if given is None:
        return Timeouts()
    return given if isinstance(given, Timeouts) else Timeouts(overall=given)
