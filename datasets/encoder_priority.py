"""Keeps a video encoder from changing how its caller is scheduled."""

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def kept_priority() -> Iterator[None]:
    """Give the calling thread its scheduling back at the end.

    SVT-AV1 makes the thread that opens it a realtime one (SCHED_FIFO, 99) where it may, as root in a container. What
    that thread starts later inherits it, and one busy thread then keeps all others of its core from running.
    """
    if not hasattr(os, "sched_getscheduler"):  # Linux alone has it
        yield
        return
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if os.sched_getscheduler(0) != policy:
            os.sched_setscheduler(0, policy, priority)
