"""Files that a sample names by URL, as the field's published samples do."""

import http.client
import shutil
import tempfile
import urllib.error
import urllib.request
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self
from urllib.parse import SplitResult, urlsplit

from cosmos_robot.cli.samples import is_url
from cosmos_robot.errors import InvalidInputError

_TIMEOUT_SECONDS = 30.0


class Downloads:
    """Keeps downloaded files, each fetched once, until the end of a `with` block."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="cosmos-robot-")
        self._fetched: dict[str, Path] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        self._folder.cleanup()

    def local(self, location: str) -> Path:
        """Give the local file of a path or an http(s) URL.

        Raises:
            InvalidInputError: if it cannot be fetched.
        """
        if not is_url(location):
            return Path(location)
        if location not in self._fetched:
            # The name decides how the file is read, so it is kept; the number keeps equal names apart.
            name = PurePosixPath(_parts(location).path).name
            target = Path(self._folder.name) / f"{len(self._fetched)}-{name}"
            _fetch(location, target)
            self._fetched[location] = target
        return self._fetched[location]


def _parts(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:  # a bracket that is not closed, a host that no name may have
        raise InvalidInputError(f"cannot fetch {url} ({error}); expected a path or an http(s) URL.") from error


def _fetch(url: str, target: Path) -> None:
    if _parts(url).scheme not in ("http", "https"):
        raise InvalidInputError(f"cannot fetch {url}; expected a path or an http(s) URL.")
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response, target.open("wb") as file:
            shutil.copyfileobj(response, file)
            missing = response.length  # of what it promised; reading in pieces does not look
    except (OSError, ValueError, http.client.HTTPException) as error:  # URLError is an OSError
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise _not_fetched(url, reason) from error
    if missing:
        raise _not_fetched(url, f"it ended {missing} bytes early")


def _not_fetched(url: str, reason: object) -> InvalidInputError:
    return InvalidInputError(f"cannot fetch {url} ({reason}). Download it yourself and put its path in the sample.")
