"""Post-training from folders to a folder: a checkpoint and recordings go in, a checkpoint or adapters come out."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import torch

from cosmos_robot.domains.domain import Domain
from cosmos_robot.engine.checkpoint import FACTS_FILE, CheckpointFacts, check_checkpoint, find_checkpoint
from cosmos_robot.engine.device import resolve_device
from cosmos_robot.training.fine_tuning import FineTuning, fine_tune
from cosmos_robot.training.recorded_episodes import episodes_in


def train_from_folders(
    checkpoint: str | Path,
    data: str | Path,
    *,
    domain: Domain,
    out: Path,
    config: FineTuning,
    device: str | None = None,
) -> Path:
    """Post-train a checkpoint on a folder of recordings; called again, it goes on where it was stopped.

    Args:
        checkpoint: a folder in the diffusers layout, or a Hub id.
        data: recorded data; see `episodes_in`.
        domain: the robot.
        out: folder for the state, the metrics, the cached windows and the result.
        config: how.
        device: "cpu", "cuda" or "cuda:N"; None takes CUDA where there is one.

    Returns:
        The folder of the result.

    Raises:
        CheckpointError: if the checkpoint is not found or not whole.
        InvalidInputError: if the data do not fit the domain.
    """
    from diffusers import Cosmos3OmniPipeline

    where = resolve_device(device)
    folder = find_checkpoint(checkpoint)
    check_checkpoint(folder)
    facts = CheckpointFacts.read(folder)
    episodes = episodes_in(data, domain, config.chunk or domain.action_chunk_size)
    pipeline = Cosmos3OmniPipeline.from_pretrained(
        folder,
        dtype=torch.float32,  # weights that an optimiser moves by small steps
        enable_safety_checker=False,
        safety_checker=None,
        sound_tokenizer=None,
        local_files_only=True,
    ).to(where)
    result = fine_tune(pipeline, facts, episodes, domain=domain, out=out, config=config)
    if config.lora is None:
        _write_facts(result, facts, domain)
    return result


def _write_facts(folder: Path, facts: CheckpointFacts, domain: Domain) -> None:
    """Say what the new checkpoint knows: what the old one did, and the new domain where domains are listed."""
    known = facts.domain_ids
    if known is not None:
        facts = replace(facts, domain_ids=tuple(sorted({*known, domain.domain_id})))
    written = {name: value for name, value in asdict(facts).items() if value is not None}
    if written:
        (folder / FACTS_FILE).write_text(json.dumps(written, indent=2) + "\n")
