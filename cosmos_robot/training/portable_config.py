"""Makes a saved checkpoint forget the folders of the machine that made it."""

import json
from pathlib import Path

_ORIGIN = "_name_or_path"
"""What diffusers and transformers write into a model's configuration: where its weights were read from."""


def forget_origin(folder: Path) -> None:
    """Take the origin of its weights out of every configuration of a checkpoint."""
    for path in sorted([*folder.rglob("*config.json"), *folder.rglob("model_index.json")]):
        config = json.loads(path.read_text())
        if config.pop(_ORIGIN, None) is not None:
            path.write_text(json.dumps(config, indent=2) + "\n")
