"""What a component's folder holds, read from the headers of its files: nothing is loaded."""

import json
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cosmos_robot.errors import CheckpointError

WEIGHTS = "diffusion_pytorch_model.safetensors"
INDEX = "diffusion_pytorch_model.safetensors.index.json"
MAX_HEADER_BYTES = 100_000_000


@dataclass(frozen=True)
class ComponentHeader:
    """A component as its files describe it.

    Attributes:
        name: of the component, for messages.
        config: its configuration.
        shapes: the shape of each tensor.
    """

    name: str
    config: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]

    @classmethod
    def read(cls, folder: Path, name: str) -> "ComponentHeader":
        """Read a component's configuration and the headers of its shards.

        Raises:
            CheckpointError: if the folder, its configuration or a shard is missing or unreadable.
        """
        component = folder / name
        if not component.is_dir():
            raise CheckpointError(
                f"checkpoint {folder} has no component {name!r}: the folder {name}/ is missing. "
                f"Download the checkpoint again, whole."
            )
        shapes: dict[str, tuple[int, ...]] = {}
        for shard in _shards(component):
            shapes.update(_read_shapes(shard))
        return cls(name=name, config=read_json(component / "config.json"), shapes=shapes)

    def bytes_at(self, dtype: torch.dtype, *, wanted: Callable[[str], bool] = lambda name: True) -> int:
        """Memory, in a precision, of the weights whose names are wanted."""
        return sum(math.prod(shape) for name, shape in self.shapes.items() if wanted(name)) * dtype.itemsize

    def require_tensors(self, model_class: Any, *, optional: str | None = None) -> None:
        """Check that every parameter of the configured model is there, in its shape.

        A quantised component is left to its own loader: its tensors have other names.

        Args:
            model_class: of the component.
            optional: prefix of the tensors of a part that may be missing as a whole.

        Raises:
            CheckpointError: if a tensor is missing or has another shape.
        """
        if "quantization_config" in self.config:
            return
        with torch.device("meta"):
            expected = model_class.from_config(self.config).state_dict()
        if optional is not None and not any(key.startswith(optional) for key in self.shapes):
            expected = {key: tensor for key, tensor in expected.items() if not key.startswith(optional)}
        missing = sorted(set(expected) - set(self.shapes))
        if missing:
            raise CheckpointError(
                f"component {self.name!r} lacks {len(missing)} tensor(s), the first is {missing[0]!r}; "
                f"the files do not belong to its config.json or are not whole."
            )
        for key, tensor in expected.items():
            if tuple(tensor.shape) != self.shapes[key]:
                raise CheckpointError(
                    f"component {self.name!r}: tensor {key!r} has shape {list(self.shapes[key])}, its config.json "
                    f"asks for {list(tensor.shape)}."
                )


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        CheckpointError: if the file is missing or is not one.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"checkpoint file {path} is missing.") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"checkpoint file {path} is not JSON: {error}.") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"checkpoint file {path} holds no JSON object.")
    return content


def _shards(component: Path) -> list[Path]:
    if (component / INDEX).is_file():
        names = sorted(set(read_json(component / INDEX).get("weight_map", {}).values()))
        shards = [component / name for name in names]
    else:
        shards = [component / WEIGHTS]
    for shard in shards:
        if not shard.is_file():
            raise CheckpointError(f"checkpoint file {shard} is missing; download the checkpoint again, whole.")
    return shards


def _read_shapes(shard: Path) -> dict[str, tuple[int, ...]]:
    """Read the header of a safetensors file: 8 bytes of length, then JSON (the format's specification)."""
    with shard.open("rb") as file:
        prefix = file.read(8)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
        raw = file.read(length) if 0 < length <= MAX_HEADER_BYTES else b""
    try:
        header = json.loads(raw)
        tensors = {key: entry for key, entry in header.items() if key != "__metadata__"}
        end = max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
        shapes = {key: tuple(entry["shape"]) for key, entry in tensors.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"checkpoint file {shard} is not a whole safetensors file.") from error
    if shard.stat().st_size < 8 + length + end:
        raise CheckpointError(f"checkpoint file {shard} is cut short; download it again.")
    return shapes
