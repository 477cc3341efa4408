"""Counting what makes the host wait for the device, on any machine."""

from torch.utils._python_dispatch import TorchDispatchMode

READS_BACK = {"_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "unique", "item"}


class HostReads(TorchDispatchMode):
    """Counts operators whose result the host has to wait for on a GPU."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func.__name__.split(".")[0] in READS_BACK
        return func(*args, **(kwargs or {}))
