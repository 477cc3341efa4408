"""The domains by name: those that come with the library, and those that a user registers.

A built-in domain is read when it is first asked for. Nothing is registered by importing something.
"""

import os
from functools import cache
from pathlib import Path

from cosmos_robot.domains.domain import Domain
from cosmos_robot.domains.domain_file import load_domain_file
from cosmos_robot.domains.nearest_names import did_you_mean, fold
from cosmos_robot.errors import InvalidInputError, UnknownDomainError

FOLDER = Path(__file__).resolve().parent

_registered: dict[str, Domain] = {}


def get_domain(domain: str | os.PathLike[str] | Domain) -> Domain:
    """Find a domain.

    Args:
        domain: a name or an alias (case, `-` and `_` do not matter), the path of a TOML file, or a domain.

    Raises:
        UnknownDomainError: if there is none of that name; the message carries the nearest names.
        InvalidInputError: if the file cannot be read as a domain.
    """
    if isinstance(domain, Domain):
        return domain
    name = os.fspath(domain)
    if not isinstance(domain, str) or name.endswith(".toml"):
        return load_domain_file(Path(name).expanduser())
    known = _names_and_aliases()
    if (found := known.get(fold(name))) is not None:
        return found
    if Path(name).is_file():
        return load_domain_file(Path(name))
    raise UnknownDomainError(
        f"unknown domain {name!r}{did_you_mean(name, _spellings())}; known are "
        f"{', '.join(domain_names())}. A robot of your own is the path of its TOML file."
    )


def register_domain(path: str | os.PathLike[str]) -> Domain:
    """Make a domain file known by its name and aliases for the rest of the process.

    Registering the same domain again does nothing.

    Raises:
        InvalidInputError: if the file cannot be read as a domain, or another domain has one of its names.
    """
    domain = load_domain_file(Path(path).expanduser())
    known = _names_and_aliases()
    for name in (domain.name, *domain.aliases):
        other = known.get(fold(name))
        if other is not None and other != domain:
            raise InvalidInputError(
                f"{path}: the name {name!r} is taken by the domain {other.name!r} ({other.robot}). "
                f"Choose another name, or use the file by its path without registering it."
            )
    _registered[fold(domain.name)] = domain
    return domain


def list_domains() -> tuple[Domain, ...]:
    """All domains by domain id and name, the built-in ones before those that were registered."""
    return *_built_in(), *_registered.values()


def domain_names() -> tuple[str, ...]:
    """Canonical names of all domains, in the order of `list_domains`."""
    return tuple(domain.name for domain in list_domains())


def _spellings() -> tuple[str, ...]:
    return tuple(name for domain in list_domains() for name in (domain.name, *domain.aliases))


@cache
def _built_in() -> tuple[Domain, ...]:
    domains = (load_domain_file(path) for path in FOLDER.glob("*.toml"))
    return tuple(sorted(domains, key=lambda domain: (domain.domain_id, domain.name)))


def _names_and_aliases() -> dict[str, Domain]:
    return {fold(name): d for d in list_domains() for name in (d.name, *d.aliases)}
