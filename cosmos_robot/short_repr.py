"""How values that hold arrays show themselves: an array by its dtype and shape, not by its numbers."""

from dataclasses import MISSING, Field, fields
from enum import Enum
from typing import Any, cast

_LONGEST_TEXT = 120
_MOST_ITEMS = 8


class ShortRepr:
    """A base of dataclasses, to be declared with `repr=False`: what is as by default is left out.

    `Rollout(frames=uint8 [17, 96, 96, 3], actions=float32 [16, 2], action_space='robot', ...)`
    """

    __slots__ = ()

    def __repr__(self) -> str:
        given = ((field, getattr(self, field.name)) for field in fields(cast(Any, self)) if field.repr)
        shown = (f"{field.name}={_shown(value)}" for field, value in given if not _is_default(field, value))
        return f"{type(self).__name__}({', '.join(shown)})"


def _is_default(field: Field[Any], value: object) -> bool:
    return field.default is not MISSING and not _is_array(value) and value == field.default


def _is_array(value: object) -> bool:
    return hasattr(value, "dtype") and hasattr(value, "shape")


def _shown(value: Any) -> str:
    if _is_array(value):
        device = str(getattr(value, "device", "cpu"))
        form = f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
        return form if device == "cpu" else f"{form} on {device}"
    if isinstance(value, Enum):
        return repr(value.value)
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        return f"{value[:_LONGEST_TEXT]!r}... ({len(value)} characters)"
    if type(value) in (list, tuple):
        items = [_shown(item) for item in value[:_MOST_ITEMS]]
        more = [f"... ({len(value)} in all)"] if len(value) > _MOST_ITEMS else []
        inside = ", ".join(items + more)
        return f"[{inside}]" if type(value) is list else f"({inside}{',' if len(value) == 1 else ''})"
    return repr(value)
