"""Which release this is."""

from importlib.metadata import PackageNotFoundError, version


def package_version() -> str:
    """The version of this library."""
    try:
        return version("cosmos-robot")
    except PackageNotFoundError:
        return "0"
