"""URLs of the hosted interfaces at a server of ours."""

SEEDED = ("http", "nim", "baseten", "fal", "pixazo")
"""Those that take a seed."""
SERVICES = (*SEEDED, "cosmic")


def at(service, url):
    """The URL of a service at a server `http://host:port`."""
    if service == "http":
        return url
    place = f"{service}://{url.removeprefix('http://')}"
    return f"{place}/robots" if service == "cosmic" else place
