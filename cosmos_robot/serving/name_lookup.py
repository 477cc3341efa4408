"""Asking name servers for addresses without waiting for ever, and without holding up the end of the process."""

import socket
from concurrent.futures import Future
from threading import Thread


def look_up(host: str, port: int) -> "Future[list[str]]":
    """Begin to look for the addresses of a host.

    The system's call for it cannot be ended, and a name server that hangs keeps it for as long as it likes. So it is
    made in a thread of its own, which nobody waits for when the process ends.

    Args:
        host: name or address.
        port: likewise.

    Returns:
        Of addresses, at least one; or of the OSError or UnicodeError that says that there are none.
    """
    looked: Future[list[str]] = Future()
    looked.set_running_or_notify_cancel()  # from now on nobody who stops waiting takes it back
    Thread(target=_look_up, args=(looked, host, port), name="name lookup", daemon=True).start()
    return looked


def _look_up(looked: "Future[list[str]]", host: str, port: int) -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        looked.set_exception(error)
    else:
        looked.set_result([str(row[4][0]) for row in found])
