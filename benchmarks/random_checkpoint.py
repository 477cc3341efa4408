"""Checkpoints with random weights in the published layout: for tests of agreement and for measurements of speed.

Nothing that they generate means anything; what they cost, and what two implementations make of the same weights, does.

    python -m cosmos_robot.benchmarks.random_checkpoint outputs/random
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
import typer
from diffusers import (
    AutoencoderKLWan,
    Cosmos3AVAEAudioTokenizer,
    Cosmos3OmniPipeline,
    Cosmos3OmniTransformer,
    UniPCMultistepScheduler,
)
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from cosmos_robot.domains.caption import action_caption
from cosmos_robot.domains.view_points import VIEW_SENTENCES
from cosmos_robot.training.tokenizer import with_chat_template


@dataclass(frozen=True)
class RandomCheckpoint:
    """Sizes of a random-weight checkpoint. The defaults are small enough for a test.

    Attributes:
        form: "nano" (SwiGLU, query and key norms, flow sigmas), or "edge" (squared ReLU, no norms for text but one on
            the keys that the generation tower reads, another rotary base).
        layers: decoder layers.
        hidden: hidden size.
        heads: query heads.
        kv_heads: key and value heads; fewer than `heads` is grouped-query attention.
        head_dim: of one head.
        intermediate: width of the MLPs.
        z_dim: latent channels.
        base_dim: width of the autoencoder's encoder.
        decoder_base_dim: width of its decoder; None takes the encoder's.
        dim_mult: how its width grows from level to level.
        res_blocks: its residual blocks a level.
        vocab: size of the text vocabulary.
        action_gen: whether it has action heads.
        sound: whether it has sound heads and a sound tokenizer (25 frames a second, as published; 8 kHz, not 48).
        scheduler: changes to the scheduler's configuration.
        native_flow: `use_native_flow_schedule`.
        seed: of the weights.
    """

    form: Literal["nano", "edge"] = "nano"
    layers: int = 2
    hidden: int = 64
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 16
    intermediate: int = 96
    z_dim: int = 16
    base_dim: int = 8
    decoder_base_dim: int | None = None
    dim_mult: tuple[int, ...] = (1, 2, 2, 2)
    res_blocks: int = 1
    vocab: int = 512
    action_gen: bool = True
    sound: bool = False
    scheduler: dict[str, Any] = field(default_factory=dict)
    native_flow: bool = False
    seed: int = 0

    def pipeline(self) -> Cosmos3OmniPipeline:
        """Build diffusers' pipeline with these weights, float32 on the CPU."""
        torch.manual_seed(self.seed)
        transformer = self.transformer().eval()
        _spread(transformer)
        return Cosmos3OmniPipeline(
            transformer=transformer,
            text_tokenizer=caption_tokenizer(),
            vae=self.autoencoder().eval(),
            scheduler=UniPCMultistepScheduler(
                prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0, **self.scheduler
            ),
            sound_tokenizer=self.sound_tokenizer().eval() if self.sound else None,
            enable_safety_checker=False,
            use_native_flow_schedule=self.native_flow,
        )

    def save(self, folder: Path) -> Path:
        """Write it to a folder as published checkpoints are and return the folder."""
        self.pipeline().save_pretrained(folder)
        return folder

    def transformer(self) -> Cosmos3OmniTransformer:
        """Build the transformer alone."""
        half = self.head_dim // 2
        edge = self.form == "edge"
        height = half * 20 // 64
        return Cosmos3OmniTransformer(
            head_dim=self.head_dim,
            hidden_size=self.hidden,
            intermediate_size=self.intermediate,
            latent_channel=self.z_dim,
            latent_patch_size=2,
            patch_latent_dim=4 * self.z_dim,
            num_attention_heads=self.heads,
            num_hidden_layers=self.layers,
            num_key_value_heads=self.kv_heads,
            rope_axes_dim=(half - 2 * height, height, height),
            vocab_size=self.vocab,
            action_gen=self.action_gen,
            action_dim=64 if self.action_gen else None,
            num_embodiment_domains=32,
            sound_gen=self.sound,
            sound_dim=8 if self.sound else None,
            hidden_act="relu2" if edge else "silu",
            qk_norm_for_text=not edge,
            use_und_k_norm_for_gen=edge,
            rope_theta=1e8 if edge else 5e6,
            rms_norm_eps=1e-5 if edge else 1e-6,
        )

    def autoencoder(self) -> AutoencoderKLWan:
        """Build the autoencoder alone, in its Wan 2.2 form: 16x in space, 4x in time."""
        return AutoencoderKLWan(
            base_dim=self.base_dim,
            decoder_base_dim=self.decoder_base_dim or self.base_dim,
            z_dim=self.z_dim,
            dim_mult=list(self.dim_mult),
            num_res_blocks=self.res_blocks,
            temperal_downsample=[False, True, True],
            is_residual=True,
            in_channels=12,
            out_channels=12,
            patch_size=2,
            scale_factor_spatial=16,
            scale_factor_temporal=4,
            latents_mean=[0.05 * (i - self.z_dim / 2) for i in range(self.z_dim)],
            latents_std=[0.5 + 0.05 * i for i in range(self.z_dim)],
        )

    def sound_tokenizer(self) -> Cosmos3AVAEAudioTokenizer:
        """Build the sound tokenizer alone: stereo, 320 samples a frame."""
        return Cosmos3AVAEAudioTokenizer(
            sampling_rate=8000,
            vocoder_input_dim=8,
            dec_dim=4,
            dec_c_mults=(1, 2, 2, 2),
            dec_strides=(2, 4, 5, 8),
            enc_dim=4,
            enc_num_blocks=1,
            enc_n_fft=8,
            enc_hop_length=2,
            enc_latent_dim=16,
            enc_c_mults=(1,),
            enc_strides=(2,),
        )


def caption_tokenizer() -> Any:
    """Build a tokenizer that cuts an action caption into about as many tokens as Qwen's does (three bytes a token).

    What the understanding tower costs goes by that number. Any other text is cut into bytes.
    """
    captions = [
        action_caption("Pick it up", view_sentence=sentence, action_chunk_size=16, fps=5.0, height=192, width=320)
        for sentence in VIEW_SENTENCES.values()
    ]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=380, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(captions, trainer)
    return with_chat_template(tokenizer)


@torch.no_grad()
def _spread(transformer: Cosmos3OmniTransformer) -> None:
    """Move every parameter away from the zeros and ones that would hide a mistake."""
    for name, parameter in transformer.named_parameters():
        if parameter.ndim == 1:
            centre = 1.0 if "norm" in name else 0.0
            parameter.copy_(centre + 0.2 * torch.randn_like(parameter))
        elif "action_proj" in name:
            parameter.mul_(0.5 if "action_proj_in" in name else 0.1)


def main(folder: Path) -> None:
    """Write a small checkpoint with random weights to a folder."""
    typer.echo(f"wrote {RandomCheckpoint().save(folder)}")


if __name__ == "__main__":
    typer.run(main)
