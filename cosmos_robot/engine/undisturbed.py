"""Computing as the weights are, whatever the caller has switched on around the call."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def undisturbed(device: torch.device) -> Iterator[None]:
    """Shut the caller's inference mode, gradients and autocast out.

    What an engine keeps from call to call (prompts' keys, packed weights, recorded loops) would be tensors that only
    work in inference mode, were they made in it; and autocast would hold for some of the operators of a step alone.
    """
    with torch.inference_mode(False), torch.no_grad(), torch.autocast(device.type, enabled=False):
        yield
