"""Words that several interfaces have for the same thing, brought into this library's."""

from collections.abc import Mapping
from dataclasses import replace

from cosmos_robot.interface.media_request import MediaRequest
from cosmos_robot.interface.request import ActionRequest

LEAST_GUIDANCE = 1.0


def guidance_of(scale: float | None) -> tuple[float | None, tuple[str, ...]]:
    """Read a guidance scale that may lie below 1, which stands for none, and a note where it does."""
    if scale is None or scale >= LEAST_GUIDANCE:
        return scale, ()
    return LEAST_GUIDANCE, (f"a guidance scale of {scale:g} is answered as 1, which is none.",)


def safety_notes(name: str, wished: bool | None, checker: str) -> tuple[str, ...]:
    """What is to be said of a wish about the safety checker, which the operator alone chooses.

    Args:
        name: of the request's field.
        wished: whether a check is wished for; None is no wish.
        checker: name of the one that the operator chose.
    """
    if wished and checker == "off":
        return (f"{name} was asked for; this server's safety checker is off.",)
    if wished is False and checker != "off":
        return (f"{name} was turned off; this server's checker {checker!r} looked all the same.",)
    return ()


def say_missing[Asked: MediaRequest | ActionRequest](request: Asked, wishes: Mapping[str, bool]) -> Asked:
    """Note which of a request's wishes this server was not set up for; it is answered without them.

    Args:
        request: what is asked.
        wishes: name of the request's field, and whether it is wished for.
    """
    notes = tuple(f"{name} was asked for; this server is not set up for it." for name, on in wishes.items() if on)
    return replace(request, notes=(*request.notes, *notes))
