"""URLs of the hosted interfaces at a server of ours."""

SERVICES = ("http", "nim", "baseten", "fal", "pixazo")


def at(service, url):
    """The URL of a service at a server `http://host:port`."""
    return url if service == "http" else f"{service}://{url.removeprefix('http://')}"
