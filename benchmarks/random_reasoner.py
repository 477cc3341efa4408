"""The reasoner's part of a checkpoint with random weights, in the published layout.

Beside the generator's folders stand `config.json`, the processor's files, `vision_encoder/` and an index over the
weights of both: what transformers' own Cosmos 3 classes load.
"""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import Cosmos3OmniTransformer
from safetensors import safe_open
from safetensors.torch import save_file

CHAT_TEMPLATE = (
    "{% macro part(item) %}{% if item is string %}{{ item }}{% elif item['type'] == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% elif item['type'] == 'video' %}"
    "<|vision_start|><|video_pad|><|vision_end|>{% else %}{{ item['text'] }}{% endif %}{% endmacro %}"
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for item in message['content'] %}{{ part(item) }}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Qwen's, with pictures and videos and without tools."""

VISION_TOKENS = ("<|image_pad|>", "<|video_pad|>")
WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"
VISION_WEIGHTS = "vision_encoder/model.safetensors"
VISION_PREFIX = "model.visual."


def save_reasoner(folder: Path, *, layers: int = 2, seed: int = 0) -> None:
    """Write the reasoner's part beside a saved checkpoint, with a small vision encoder.

    Args:
        folder: of the checkpoint, whose form decides the reasoner's.
        layers: of the vision encoder.
        seed: of its weights.
    """
    from transformers import AutoTokenizer

    config = Cosmos3OmniTransformer.load_config(folder / "transformer")
    tokenizer = AutoTokenizer.from_pretrained(folder / "text_tokenizer")
    tokenizer.add_special_tokens(
        {"additional_special_tokens": [*tokenizer.additional_special_tokens, *VISION_TOKENS]}
        if hasattr(tokenizer, "additional_special_tokens")
        else {"extra_special_tokens": [*tokenizer.extra_special_tokens, *VISION_TOKENS]}
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    edge = config["hidden_act"] == "relu2"
    model_config = _edge_config(config, tokenizer, layers) if edge else _omni_config(config, tokenizer, layers)
    torch.manual_seed(seed)
    _save_weights(folder, model_config, edge=edge)
    model_config.save_pretrained(folder)
    _generation_config(tokenizer).save_pretrained(folder)
    _processor(tokenizer, edge=edge).save_pretrained(folder)


def _token_ids(tokenizer: Any) -> dict[str, int]:
    names = {"image": "image_pad", "video": "video_pad", "vision_start": "vision_start", "vision_end": "vision_end"}
    return {f"{key}_token_id": tokenizer.convert_tokens_to_ids(f"<|{name}|>") for key, name in names.items()}


def _text(config: Any, tokenizer: Any) -> dict[str, Any]:
    same = (
        "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads head_dim "
        "rms_norm_eps hidden_act attention_bias"
    )
    return {
        **{name: config[name] for name in same.split()},
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": config["rope_theta"],
            "mrope_section": list(config["rope_axes_dim"]),
            **({} if config["hidden_act"] == "relu2" else {"mrope_interleaved": True}),
        },
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": None,
        "pad_token_id": tokenizer.pad_token_id,
        "max_position_embeddings": 65536,
    }


def _omni_config(config: Any, tokenizer: Any, layers: int) -> Any:
    from transformers import Cosmos3OmniConfig

    vision = {
        "model_type": "qwen3_vl_vision",
        "depth": layers,
        "hidden_size": 32,
        "num_heads": 2,
        "intermediate_size": 48,
        "out_hidden_size": config["hidden_size"],
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": list(range(layers)),
    }
    text = {"model_type": "qwen3_vl_text", **_text(config, tokenizer)}
    return Cosmos3OmniConfig(
        text_config=text,
        vision_config=vision,
        architectures=["Cosmos3OmniForConditionalGeneration"],
        **_token_ids(tokenizer),
    )


def _edge_config(config: Any, tokenizer: Any, layers: int) -> Any:
    from transformers import Cosmos3EdgeConfig

    vision = {
        "num_hidden_layers": layers,
        "hidden_size": 32,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "num_patches": 16,
    }
    return Cosmos3EdgeConfig(
        text_config=_text(config, tokenizer),
        vision_config=vision,
        projector_hidden_size=48,
        architectures=["Cosmos3EdgeForConditionalGeneration"],
        **_token_ids(tokenizer),
    )


def _save_weights(folder: Path, config: Any, *, edge: bool) -> None:
    """Write the vision encoder as published: flat names for Nano and Super, the model's own for Edge."""
    from transformers import Cosmos3EdgeForConditionalGeneration, Cosmos3OmniForConditionalGeneration

    model = (Cosmos3EdgeForConditionalGeneration if edge else Cosmos3OmniForConditionalGeneration)(config)
    found = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("model.language_model")}
    found.pop("lm_head.weight")
    vision = {name if edge else name.removeprefix(VISION_PREFIX): _spread(tensor) for name, tensor in found.items()}
    (folder / VISION_WEIGHTS).parent.mkdir(exist_ok=True)
    save_file(vision, folder / VISION_WEIGHTS, metadata={"format": "pt"})
    (config.vision_config).save_pretrained(folder / "vision_encoder")
    with safe_open(folder / WEIGHTS, "pt") as file:
        places = dict.fromkeys(file.keys(), WEIGHTS)
    places |= dict.fromkeys(vision, VISION_WEIGHTS)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}, indent=1))


def _spread(tensor: torch.Tensor) -> torch.Tensor:
    """Move a vector away from the zeros and ones that would hide a mistake, and enlarge a matrix."""
    if tensor.ndim == 1:
        return (tensor + 0.2 * torch.randn_like(tensor)).contiguous()
    return (tensor * 4).contiguous()


def _generation_config(tokenizer: Any) -> Any:
    from transformers import GenerationConfig

    return GenerationConfig(eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)


def _processor(tokenizer: Any, *, edge: bool) -> Any:
    from transformers import (
        Cosmos3EdgeImageProcessor,
        Cosmos3EdgeProcessor,
        Cosmos3EdgeVideoProcessor,
        Qwen2VLImageProcessor,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    image_class, video_class, processor_class = (
        (Cosmos3EdgeImageProcessor, Cosmos3EdgeVideoProcessor, Cosmos3EdgeProcessor)
        if edge
        else (Qwen2VLImageProcessor, Qwen3VLVideoProcessor, Qwen3VLProcessor)
    )
    small: dict[str, Any] = {"size": {"shortest_edge": 32 * 32, "longest_edge": 64 * 64}, "patch_size": 16}
    small_videos: dict[str, Any] = {"size": {"shortest_edge": 32 * 32, "longest_edge": 8 * 64 * 64}, "patch_size": 16}
    if not edge:
        small |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
        small_videos |= {"cap_pixels_per_frame": False}
    return processor_class(
        image_processor=image_class(**small),
        tokenizer=tokenizer,
        video_processor=video_class(**small_videos),
        chat_template=CHAT_TEMPLATE,
    )
