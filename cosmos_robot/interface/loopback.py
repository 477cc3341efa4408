"""Which hosts are this machine: a key is not needed there, and goes nowhere else."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether a host, by name or address, is this machine, reached by nobody else."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
