"""torch.compile for what is called in many forms: every batch, canvas and kind of layer is one."""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch._dynamo import config

FORMS = 64
"""Of one function in a process. Beyond torch's own limit of eight it raises, or computes uncompiled without a word."""


def compiled[Function: Callable[..., Any]](
    function: Function, *, fullgraph: bool = False, backend: str | Callable[..., Any] = "inductor"
) -> Function:
    """Compile a function, in up to `FORMS` forms; the limit is the process's, and is raised where it is lower."""
    config.recompile_limit = max(config.recompile_limit, FORMS)
    form: Any = torch.compile(function, fullgraph=fullgraph, backend=backend)
    return cast("Function", form)
