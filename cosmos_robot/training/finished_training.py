"""Writes what a training has made: a whole checkpoint like the one that it started from, or adapters for that one.

Either stands in its place whole or not at all.
"""

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file

from cosmos_robot.engine.adapter import ADAPTER_WEIGHTS, Adapter
from cosmos_robot.engine.checkpoint import FACTS_FILE, CheckpointFacts
from cosmos_robot.training.run_folder import written

_LEFT_OUT = ("README.md", ".git*", ".cache", FACTS_FILE)
"""Of the old checkpoint: what is said of it, which is not true of the new one."""


def write_checkpoint(folder: Path, transformer: Any, *, start: Path, facts: CheckpointFacts) -> None:
    """Write a checkpoint in which the transformer is another, and all else as it was: sound, reasoner, tokenizer.

    The transformer's weights lie in the same files as before, in the same precision, so that whatever index names
    them holds.

    Args:
        folder: of the new checkpoint; one that is there is replaced.
        transformer: the trained `Cosmos3OmniTransformer`.
        start: folder of the checkpoint that it was loaded from.
        facts: what the new one was trained for.

    Raises:
        RecordingError: if there is no room for it.
    """
    weights = sorted((start / "transformer").glob("*.safetensors"))
    trained = transformer.state_dict()
    with _replaced(folder) as partial:
        names = [path.name for path in weights]
        shutil.copytree(start, partial, ignore=lambda place, found: _ignored(Path(place), found, start, names))
        for path in weights:
            with safe_open(path, "pt") as file:
                before = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no dictionary)
            after = {name: trained[name].to("cpu", was.dtype).contiguous() for name, was in before.items()}
            save_file(after, partial / "transformer" / path.name, metadata={"format": "pt"})
        write_facts(partial, facts)


def write_adapter(folder: Path, transformer: Any, *, checkpoint: str, facts: CheckpointFacts) -> None:
    """Write the LoRA adapters of a transformer.

    Args:
        folder: of the adapters; one that is there is replaced.
        transformer: with adapters on it.
        checkpoint: folder or Hub id of the checkpoint that they are for.
        facts: what it was trained for with them.

    Raises:
        RecordingError: if there is no room for them.
    """
    with _replaced(folder) as partial:
        partial.mkdir(parents=True)
        with _without_advice():
            transformer.save_lora_adapter(partial, weight_name=ADAPTER_WEIGHTS)
        Adapter(partial, checkpoint).write()
        write_facts(partial, facts)


def write_facts(folder: Path, facts: CheckpointFacts) -> None:
    """Write what a checkpoint was trained for beside it, where anything is known."""
    known = {name: value for name, value in asdict(facts).items() if value is not None}
    if known:
        (folder / FACTS_FILE).write_text(json.dumps(known, indent=2) + "\n")


def _ignored(place: Path, found: list[str], start: Path, weights: list[str]) -> set[str]:
    if place == start / "transformer":
        return {name for name in found if name in weights}
    return set(shutil.ignore_patterns(*_LEFT_OUT)(str(place), found)) if place == start else set()


@contextmanager
def _replaced(folder: Path) -> Iterator[Path]:
    """A fresh folder that takes the place of another when the block is through."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with written(folder):
            yield partial
            if folder.exists():
                shutil.rmtree(folder)
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _without_advice() -> Iterator[None]:
    """Keep diffusers from warning of a cast that it does not make: it asks itself for the precision that is there."""
    log = logging.getLogger("diffusers.models.modeling_utils")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)
