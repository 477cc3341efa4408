"""The stages that make the embedded Push-T model, each of which goes on where it was stopped.

recordings -> autoencoder -> cached windows -> transformer -> (decoder polished on the fixed encoder) -> checkpoint
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer

from cosmos_robot.domains.domain import Domain
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.engine.checkpoint import CheckpointFacts, ModeSampling
from cosmos_robot.engine.prompt import VIDEO_SYSTEM_PROMPT
from cosmos_robot.training.autoencoder import AutoencoderTraining, train_autoencoder
from cosmos_robot.training.flow_matching import FlowMatching
from cosmos_robot.training.latent_sensitivity import channel_weights
from cosmos_robot.training.post_training import PostTrainer, PostTraining
from cosmos_robot.training.prompt_mix import ModeShare, TextEncoder
from cosmos_robot.training.pusht_clips import ClipSource, to_pixels
from cosmos_robot.training.pusht_prompts import all_prompts, captions
from cosmos_robot.training.pusht_recording import FRAME_SIZE, HELD_OUT_SEED, RecordingConfig, record
from cosmos_robot.training.pusht_windows import CHUNK, WindowConfig, cache_windows
from cosmos_robot.training.run_folder import RunFolder
from cosmos_robot.training.schedule import Budget, LearningRate
from cosmos_robot.training.small_checkpoint import TransformerForm, build_transformer, save_checkpoint
from cosmos_robot.training.tokenizer import train_tokenizer
from cosmos_robot.training.windows import LatentWindows

CANVAS = (FRAME_SIZE, FRAME_SIZE)


@dataclass(frozen=True)
class PushTFolders:
    """Where the stages put what they make."""

    root: Path = Path("outputs/pusht")

    @property
    def recordings(self) -> Path:
        """Training episodes."""
        return self.root / "recordings"

    @property
    def held_out(self) -> Path:
        """Episodes for evaluation."""
        return self.root / "held_out"

    @property
    def autoencoder(self) -> Path:
        """State, metrics and weights of the autoencoder."""
        return self.root / "autoencoder"

    @property
    def windows(self) -> Path:
        """Cached latents."""
        return self.root / "windows"

    @property
    def channel_weights(self) -> Path:
        """What each latent channel weighs."""
        return self.windows / "channel_weights.json"

    @property
    def transformer(self) -> Path:
        """State and metrics of the transformer."""
        return self.root / "transformer"

    @property
    def decoder(self) -> Path:
        """State, metrics and weights of the polished decoder."""
        return self.root / "decoder"

    @property
    def checkpoint(self) -> Path:
        """The finished checkpoint."""
        return self.root / "checkpoint"


@dataclass(frozen=True)
class PushTTraining:
    """Settings of all stages.

    Attributes:
        recordings: training episodes.
        held_out: held-out episodes.
        clip_episodes: how many training episodes the autoencoder is trained on (2.8 MB of memory each).
        autoencoder: how it is trained.
        windows: which windows are cut.
        form: of the transformer.
        transformer: how it is trained.
        decoder: how the decoder is polished.
        facts: sampling defaults of the finished checkpoint.
        dtype: of the saved weights, by torch's name.
        start: checkpoint whose autoencoder, tokenizer and transformer the training goes on from; None begins from
            nothing.
    """

    recordings: RecordingConfig = field(default_factory=lambda: RecordingConfig(episodes=7_000))
    held_out: RecordingConfig = field(default_factory=lambda: RecordingConfig(episodes=128, first_seed=HELD_OUT_SEED))
    clip_episodes: int = 1_200
    autoencoder: AutoencoderTraining = field(
        default_factory=lambda: AutoencoderTraining(
            budget=Budget(seconds=2_700.0), learning_rate=LearningRate(peak=2e-3, decay_from=0.4), frames_until=0.3
        )
    )
    windows: WindowConfig = field(default_factory=lambda: WindowConfig(per_episode=8, compile=True))
    form: TransformerForm = field(default_factory=lambda: TransformerForm(latent_patch_size=2))
    transformer: PostTraining = field(
        default_factory=lambda: PostTraining(
            budget=Budget(seconds=11_400.0),
            learning_rate=LearningRate(peak=1e-3, warmup_steps=150, decay_from=0.5),
            muon_rate=0.02,
            modes=(
                ModeShare("forward_dynamics", 32, told=0.25, pure_noise_share=0.85, weight=6.0),
                ModeShare("policy", 32, every=2),
                ModeShare("image2video", 32, every=8),
                ModeShare("text2video", 32, every=8),
                ModeShare("text2image", 32, every=32, weight=0.3),
                ModeShare("inverse_dynamics", 32, every=16, told=0.2, pure_noise_share=0.8),
            ),
            prompts=1,
            objective=FlowMatching(pure_noise_share=0.25),
            ema_decay=0.998,
            compile=True,
        )
    )
    decoder: AutoencoderTraining = field(
        default_factory=lambda: AutoencoderTraining(
            budget=Budget(seconds=1_800.0),
            learning_rate=LearningRate(peak=1e-3, decay_from=0.2),
            frames_until=0.0,
            frame_share=0.1,
            decoder_only=True,
        )
    )
    facts: CheckpointFacts = field(
        default_factory=lambda: CheckpointFacts(
            native_canvas=CANVAS,
            max_action_chunk_size=CHUNK,
            domain_ids=(4,),
            num_steps=4,
            guidance=1.0,
            shift=5.0,
            fps=10.0,
            by_mode={"forward_dynamics": ModeSampling(num_steps=1), "policy": ModeSampling(guidance=6.0)},
        )
    )
    dtype: str = "bfloat16"
    start: Path | None = None


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
    return folders.checkpoint


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
