"""The stages that make the embedded Push-T model, each of which goes on where it was stopped.

recordings -> autoencoder -> cached windows -> transformer -> (decoder polished on the fixed encoder) -> checkpoint
-> windows that begin with its own frames -> transformer, trained further -> checkpoint
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer

from cosmos_robot.domains.domain import Domain
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.engine.prompt import VIDEO_SYSTEM_PROMPT
from cosmos_robot.training.autoencoder import train_autoencoder
from cosmos_robot.training.imagined_starts import Imagine, cache_imagined_starts
from cosmos_robot.training.latent_sensitivity import channel_weights
from cosmos_robot.training.post_training import PostTrainer
from cosmos_robot.training.prompt_mix import TextEncoder
from cosmos_robot.training.pusht_clips import ClipSource, to_pixels
from cosmos_robot.training.pusht_prompts import all_prompts, captions
from cosmos_robot.training.pusht_recording import record
from cosmos_robot.training.pusht_settings import CANVAS, PushTFolders, PushTTraining
from cosmos_robot.training.pusht_windows import CHUNK, cache_windows
from cosmos_robot.training.run_folder import RunFolder
from cosmos_robot.training.small_checkpoint import build_transformer, save_checkpoint
from cosmos_robot.training.tokenizer import train_tokenizer
from cosmos_robot.training.weight_blend import blend
from cosmos_robot.training.windows import LatentWindows
from cosmos_robot.types import FloatArray, Frames
from cosmos_robot.world_model import load_world_model


def make_weights(
    folders: PushTFolders,
    settings: PushTTraining,
    *,
    workers: int = 1,
    check: Callable[[Any], dict[str, float]] | None = None,
) -> Path:
    """Make the checkpoint from nothing, or from where an earlier call was stopped, and return its folder.

    Args:
        folders: where everything goes.
        settings: of all stages.
        workers: processes that record.
        check: called with the averaged transformer now and then; what it returns goes into the metrics.
    """
    record_episodes(folders, settings, workers)
    if settings.start is None:
        make_autoencoder(folders, settings)
    make_windows(folders, settings)
    make_transformer(folders, settings, check)
    if settings.start is None:
        polish_decoder(folders, settings)
    make_checkpoint(folders, settings)
    return folders.checkpoint if settings.imagined_starts is None else train_further(folders, settings)


def train_further(folders: PushTFolders, settings: PushTTraining) -> Path:
    """Train a finished checkpoint further, on windows too that begin with frames of its own, and give the new one."""
    again = replace(settings, start=folders.checkpoint, transformer=settings.further)
    if settings.imagined_starts is not None:
        vae = load_autoencoder(folders.checkpoint)
        imagine = last_frames(folders.checkpoint)
        cache_imagined_starts(vae, imagine, folders.recordings, folders.windows, settings.imagined_starts)
    folders = replace(folders, further=True)
    make_transformer(folders, again)
    make_checkpoint(folders, again)
    return folders.checkpoint


def last_frames(checkpoint: Path) -> Imagine:
    """What a checkpoint says the camera sees after the last action, eight episodes at a time."""
    world_model = load_world_model(str(checkpoint), device="cpu")

    def imagine(frames: Frames, actions: FloatArray) -> Frames:
        seen: list[Frames] = []
        for first in range(0, len(frames), 8):
            items = slice(first, first + 8)
            given = list(frames[items]), list(actions[items])
            rollouts = world_model.forward_dynamics(*given, domain="pusht", seed=first)
            seen += [rollout.frames[-1] for rollout in rollouts if rollout.frames is not None]
        return np.stack(seen)

    return imagine


def record_episodes(folders: PushTFolders, settings: PushTTraining, workers: int = 1) -> None:
    """Record the training and the held-out episodes."""
    record(folders.recordings, settings.recordings, workers)
    record(folders.held_out, settings.held_out, workers)


def make_autoencoder(folders: PushTFolders, settings: PushTTraining) -> None:
    """Train the autoencoder."""
    train = ClipSource.read(folders.recordings, settings.clip_episodes)
    train_autoencoder(folders.autoencoder, train, ClipSource.read(folders.held_out, 64), settings.autoencoder)


def make_windows(folders: PushTFolders, settings: PushTTraining) -> None:
    """Cache the latents of the training windows, and what each of their channels weighs."""
    vae = load_autoencoder(settings.start or folders.autoencoder)
    cache_windows(vae, folders.recordings, folders.windows, settings.windows)
    if not folders.channel_weights.is_file():
        clips = ClipSource.read(folders.recordings, 8).draw(np.random.default_rng(0), 8, CHUNK + 1)
        folders.channel_weights.write_text(json.dumps(channel_weights(vae, to_pixels(clips))))


def make_transformer(
    folders: PushTFolders, settings: PushTTraining, check: Callable[[Any], dict[str, float]] | None = None
) -> None:
    """Train the transformer on all cached windows."""
    pusht_trainer(folders, settings, check).run()


def polish_decoder(folders: PushTFolders, settings: PushTTraining) -> None:
    """Train the decoder further on the encoder that the transformer was trained with."""
    train = ClipSource.read(folders.recordings, settings.clip_episodes)
    held_out = ClipSource.read(folders.held_out, 64)
    start = load_autoencoder(folders.autoencoder)
    train_autoencoder(folders.decoder, train, held_out, settings.decoder, start=start)


def make_checkpoint(folders: PushTFolders, settings: PushTTraining) -> None:
    """Write the finished checkpoint from the averaged transformer and the newest decoder."""
    dtype = getattr(torch, settings.dtype)
    made = [f for f in (folders.decoder, folders.autoencoder) if (f / "vae").is_dir()]
    vae = load_autoencoder(settings.start or made[0])
    trainer = pusht_trainer(folders, settings)
    with trainer.ema.applied(trainer.transformer):
        if settings.start is not None:
            blend(trainer.transformer, _transformer(settings, len(trainer.text.tokenizer)), settings.kept_share)
        save_checkpoint(
            folders.checkpoint,
            transformer=trainer.transformer.to(dtype),
            vae=vae.to(dtype),
            tokenizer=trainer.text.tokenizer,
            flow_shift=settings.facts.shift or 1.0,
            facts=settings.facts,
        )


def pusht_trainer(
    folders: PushTFolders, settings: PushTTraining, check: Callable[[Any], dict[str, float]] | None = None
) -> PostTrainer:
    """The transformer's trainer, at the state that it was saved in."""
    domain = get_domain("pusht")
    text = pusht_text(domain, settings.start)
    objective = replace(
        settings.transformer.objective, channel_weights=tuple(json.loads(folders.channel_weights.read_text()))
    )
    return PostTrainer(
        RunFolder(folders.transformer),
        _transformer(settings, len(text.tokenizer)),
        text,
        LatentWindows.load_folder(folders.windows),
        domain_id=domain.domain_id,
        fps=domain.fps,
        config=replace(settings.transformer, objective=objective),
        check=check,
    )


def _transformer(settings: PushTTraining, vocab_size: int) -> Any:
    if settings.start is None:
        return build_transformer(settings.form, vocab_size=vocab_size)
    from diffusers import Cosmos3OmniTransformer

    return Cosmos3OmniTransformer.from_pretrained(settings.start / "transformer", dtype=torch.float32)


def pusht_text(domain: Domain, start: Path | None = None) -> TextEncoder:
    """A tokenizer trained on every prompt that training uses, or a checkpoint's, and the prompt forms around it."""
    if start is not None:
        tokenizer = AutoTokenizer.from_pretrained(start / "text_tokenizer", local_files_only=True)
        return TextEncoder(tokenizer, domain, CANVAS, CHUNK, captions())
    bare = TextEncoder(None, domain, CANVAS, CHUNK, captions())
    prompts = ("", *all_prompts())
    corpus = [bare.text(mode, prompt) for mode in ("policy", "text2video") for prompt in prompts]
    tokenizer = train_tokenizer([*corpus, VIDEO_SYSTEM_PROMPT, "system\nuser\nassistant\n"])
    return TextEncoder(tokenizer, domain, CANVAS, CHUNK, captions())


def load_autoencoder(folder: Path) -> Any:
    """The averaged autoencoder that a training left in `folder`."""
    from diffusers import AutoencoderKLWan

    return AutoencoderKLWan.from_pretrained(folder / "vae", dtype=torch.float32)
