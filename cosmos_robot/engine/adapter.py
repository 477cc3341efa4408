"""LoRA adapters in a folder of their own, and the checkpoint that they are for.

The weights are in diffusers' own form, `transformer.load_lora_adapter(folder, prefix=None)`; a small file beside them
says which checkpoint they were trained on, so that the folder's name is all that has to be known.
"""

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosmos_robot.engine.weights import read_json
from cosmos_robot.errors import CheckpointError, MissingDependencyError

ADAPTER_FILE = "cosmos_robot_adapter.json"
ADAPTER_WEIGHTS = "pytorch_lora_weights.safetensors"


@dataclass(frozen=True)
class Adapter:
    """Adapters and what they are for.

    Attributes:
        folder: where they lie.
        checkpoint: folder or Hub id of the checkpoint that they were trained on.
    """

    folder: Path
    checkpoint: str

    @classmethod
    def find(cls, folder: Path) -> "Adapter | None":
        """The adapters in a folder, or None where it holds something else.

        Raises:
            CheckpointError: if their weights are missing, or it is not said which checkpoint they are for.
        """
        record = folder / ADAPTER_FILE
        if not record.is_file():
            return None
        if not (folder / ADAPTER_WEIGHTS).is_file():
            raise CheckpointError(f"{folder} has no {ADAPTER_WEIGHTS}; copy the folder again, whole.")
        checkpoint = read_json(record).get("checkpoint")
        if not isinstance(checkpoint, str):
            raise CheckpointError(f'{record} does not say "checkpoint", which checkpoint the adapters are for.')
        return cls(folder, checkpoint)

    def write(self) -> None:
        """Write the file that says which checkpoint they are for."""
        (self.folder / ADAPTER_FILE).write_text(json.dumps({"checkpoint": self.checkpoint}, indent=2) + "\n")

    def apply(self, transformer: Any) -> None:
        """Put them on a `Cosmos3OmniTransformer`, as diffusers does.

        Raises:
            MissingDependencyError: if peft is not installed.
            CheckpointError: if they do not fit.
        """
        if importlib.util.find_spec("peft") is None:
            raise MissingDependencyError(
                "LoRA adapters need peft, which is not installed; get it with pip install 'cosmos-robot[train]'."
            )
        try:
            transformer.load_lora_adapter(
                self.folder, prefix=None, weight_name=ADAPTER_WEIGHTS, use_safetensors=True, local_files_only=True
            )
        except (RuntimeError, ValueError, KeyError) as error:
            raise CheckpointError(
                f"the adapters in {self.folder} do not fit checkpoint {self.checkpoint}: {str(error).splitlines()[0]}"
            ) from error
