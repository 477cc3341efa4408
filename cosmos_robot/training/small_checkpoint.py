"""A small checkpoint of Cosmos 3's form: a fresh transformer, and the folder that diffusers and the engine load."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from cosmos_robot.engine.checkpoint import FACTS_FILE, CheckpointFacts
from cosmos_robot.training.portable_config import forget_origin


@dataclass(frozen=True)
class TransformerForm:
    """The size of a `Cosmos3OmniTransformer`; names as diffusers has them.

    Attributes:
        hidden_size: width of both towers.
        num_hidden_layers: depth.
        num_attention_heads: query heads.
        num_key_value_heads: key and value heads.
        head_dim: of one head.
        intermediate_size: of the gated feed-forward layers.
        latent_channel: of the autoencoder.
        latent_patch_size: latent cells along each side of a token.
        rope_theta: base of the rotary embedding; small, because the grids are.
        rope_axes_dim: rotary frequencies of time, height and width; their sum is half of `head_dim`.
    """

    hidden_size: int = 256
    num_hidden_layers: int = 6
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    head_dim: int = 64
    intermediate_size: int = 768
    latent_channel: int = 32
    latent_patch_size: int = 1
    rope_theta: float = 1_000.0
    rope_axes_dim: tuple[int, int, int] = (12, 10, 10)


def build_transformer(form: TransformerForm, *, vocab_size: int, seed: int = 0) -> Any:
    """A fresh transformer; its output projections start at zero, so that the first prediction is no motion at all."""
    from diffusers import Cosmos3OmniTransformer

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Cosmos3OmniTransformer(
            **{**asdict(form), "rope_axes_dim": list(form.rope_axes_dim)},
            patch_latent_dim=form.latent_patch_size**2 * form.latent_channel,
            action_gen=True,
            action_dim=64,
            num_embodiment_domains=32,
            vocab_size=vocab_size,
        )
        _initialise(model)
    return model


def _initialise(model: Any) -> None:
    """Normal weights of variance 1 / fan-in; branches' last layers smaller with depth; domain weights alike."""
    depth = float(2 * len(model.layers)) ** -0.5
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            scale = module.in_features**-0.5
            last = name.endswith(("to_out", "to_add_out", "down_proj"))
            torch.nn.init.normal_(module.weight, std=scale * depth if last else scale)
            if module.bias is not None:
                torch.nn.init.zeros_(module.bias)
    torch.nn.init.normal_(model.embed_tokens.weight, std=1.0)
    torch.nn.init.zeros_(model.proj_out.weight)
    for linear in (model.action_proj_in, model.action_proj_out):
        torch.nn.init.zeros_(linear.fc.weight)
        torch.nn.init.zeros_(linear.bias.weight)
    # An action's few numbers are positions that must be told apart finely: large weights and offsets spread the kinks
    # of the first layers over their range.
    torch.nn.init.normal_(model.action_proj_in.fc.weight, std=1.5)
    torch.nn.init.normal_(model.action_proj_in.bias.weight, std=1.0)


def save_checkpoint(
    folder: Path, *, transformer: Any, vae: Any, tokenizer: Any, flow_shift: float, facts: CheckpointFacts
) -> None:
    """Write a checkpoint folder that `Cosmos3OmniPipeline.from_pretrained` and the engine load.

    Args:
        folder: where to.
        transformer: `Cosmos3OmniTransformer`; saved in its own dtype, in shards under 16 MB.
        vae: `AutoencoderKLWan`, likewise.
        tokenizer: with a chat template.
        flow_shift: of the scheduler's noise schedule.
        facts: what the checkpoint was trained for.
    """
    from diffusers import Cosmos3OmniPipeline, UniPCMultistepScheduler

    scheduler = UniPCMultistepScheduler(
        prediction_type="flow_prediction",
        use_flow_sigmas=True,
        flow_shift=flow_shift,
        num_train_timesteps=1000,
        solver_order=2,
        final_sigmas_type="zero",
    )
    pipeline = Cosmos3OmniPipeline(
        transformer=transformer,
        text_tokenizer=tokenizer,
        vae=vae,
        scheduler=scheduler,
        sound_tokenizer=None,
        enable_safety_checker=False,
    )
    pipeline.save_pretrained(folder, max_shard_size="15MB")
    forget_origin(folder)
    written = {name: value for name, value in asdict(facts).items() if value is not None}
    (folder / FACTS_FILE).write_text(json.dumps(written, indent=2) + "\n")
