"""Finding the names that a mistyped one may have meant."""

import difflib
from collections.abc import Iterable


def fold(name: str) -> str:
    """Bring a name to the form that is compared: lower case, `-` and blanks as `_`."""
    return name.strip().lower().replace("-", "_").replace(" ", "_")


def nearest(name: str, known: Iterable[str], count: int = 3) -> tuple[str, ...]:
    """Find up to `count` known names that look like `name`, the best first."""
    by_fold = {fold(other): other for other in known}
    matches = difflib.get_close_matches(fold(name), by_fold, n=count, cutoff=0.5)
    return tuple(by_fold[match] for match in matches)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Phrase the nearest names for the middle of an error message; empty where nothing is near."""
    found = nearest(name, known)
    return f" (did you mean {' or '.join(repr(other) for other in found)}?)" if found else ""
