"""World models by name, shared: environments of one process that name the same one hold it together.

A world model is loaded when it is first used, and freed when the last environment that holds it is closed.
"""

import gc
import sys
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path

from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.world_model import EMBEDDED, is_service, load_world_model

type Key = tuple[str, str, str]


@dataclass
class _Shared:
    world_model: WorldModel
    holders: int


_shared: dict[Key, _Shared] = {}
_lock = threading.RLock()  # an environment that nobody closed may be collected, and let go, while another loads


class WorldModelLease:
    """One environment's hold on a world model.

    Args:
        source: a name, a path or a URL for `load_world_model`; None is the embedded one. A `WorldModel` is held as
            it is and never freed here: it is the caller's.
        device: for `load_world_model`.
        dtype: for `load_world_model`.
    """

    def __init__(
        self, source: str | Path | WorldModel | None, *, device: str | None = None, dtype: str | None = None
    ) -> None:
        if isinstance(source, WorldModel) and (device is not None or dtype is not None):
            raise InvalidInputError("device and dtype are for a world model that is named; this one is loaded already.")
        self._source, self._device, self._dtype = source, device, dtype
        self._hold: weakref.finalize[[Key], WorldModelLease] | None = None
        self._held: WorldModel | None = None

    def get(self) -> WorldModel:
        """Give the world model; the first call of the first holder loads it."""
        if isinstance(self._source, WorldModel):
            return self._source
        with _lock:
            if self._held is None:
                key = self._resolved()
                if key not in _shared:
                    loaded = load_world_model(self._source, device=self._device, dtype=self._dtype)
                    _shared[key] = _Shared(loaded, 0)
                _shared[key].holders += 1
                self._held = _shared[key].world_model
                self._hold = weakref.finalize(self, _let_go, key)  # also where nobody closes the environment
                self._hold.atexit = False
            return self._held

    def release(self) -> None:
        """Let go of it; calling it again does nothing."""
        self._held = None
        if self._hold is not None:
            self._hold()

    def _resolved(self) -> Key:
        """What makes two names the same world model: the checkpoint, the device and the dtype that they come to."""
        source = EMBEDDED if self._source is None else self._source
        name = str(source)
        if is_service(source):
            return name, str(self._device), str(self._dtype)
        from cosmos_robot.engine.device import resolve_device, resolve_dtype

        path = Path(name).expanduser()
        device = resolve_device(self._device)
        return str(path.resolve()) if path.is_dir() else name, str(device), str(resolve_dtype(self._dtype, device))


def shared_world_models() -> dict[Key, int]:
    """How many environments hold each loaded world model, by (checkpoint, device, dtype)."""
    with _lock:
        return {key: shared.holders for key, shared in _shared.items()}


def _let_go(key: Key) -> None:
    with _lock:
        _shared[key].holders -= 1
        if _shared[key].holders:
            return
        del _shared[key]
    _free_memory()


def _free_memory() -> None:
    """Give the memory back at once: models hold themselves in cycles, and CUDA's allocator keeps what is freed."""
    gc.collect()
    if "torch" not in sys.modules:
        return  # they were all services
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # does nothing where CUDA was not used
