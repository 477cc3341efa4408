"""transformers' Cosmos 3 reasoner over the generator's own tensors: one copy of the understanding tower.

A checkpoint's transformer holds both towers. The reasoner is the understanding tower with a head for tokens and a
vision encoder before it; its model is built without memory, and each of its parameters becomes the generator's.
"""

import re
from pathlib import Path
from typing import Any

from torch import nn

from cosmos_robot.engine.weights import read_json
from cosmos_robot.errors import CheckpointError

CLASSES = {
    "cosmos3_omni": "Cosmos3OmniForConditionalGeneration",
    "cosmos3_edge": "Cosmos3EdgeForConditionalGeneration",
}
"""transformers' classes, by the `model_type` of a checkpoint's config.json."""

TOWER = "model.language_model."
RENAMED = {
    "cosmos3_omni": (
        (r"\.self_attn\.to_([qkv])\.", r".self_attn.\1_proj."),
        (r"\.self_attn\.to_out\.", ".self_attn.o_proj."),
        (r"\.self_attn\.norm_([qk])\.", r".self_attn.\1_norm."),
    ),
    "cosmos3_edge": (
        (r"\.self_attn\.to_([qkv])\.", r".self_attn.\1_proj."),
        (r"\.self_attn\.to_out\.", ".self_attn.o_proj."),
        (r"\.mlp\.up_proj\.", ".mlp.fc1."),
        (r"\.mlp\.down_proj\.", ".mlp.fc2."),
    ),
}
"""From diffusers' names of the understanding tower's parameters to transformers'."""

VISION_FOLDER = "vision_encoder"
INDEX = "model.safetensors.index.json"


def build_reasoner(config: Any, transformer: nn.Module, folder: Path) -> Any:
    """Build the reasoner of a loaded checkpoint.

    Args:
        config: transformers' configuration of it.
        transformer: `Cosmos3OmniTransformer`, whose device and precision it takes.
        folder: of the checkpoint; the vision encoder is read from it, where there is one.

    Returns:
        transformers' model in evaluation mode; without the folder vision_encoder/ its vision part has no weights.

    Raises:
        CheckpointError: if the parts do not fit together.
    """
    import transformers
    from accelerate import init_empty_weights

    with init_empty_weights(include_buffers=False):  # buffers are small and computed, not loaded
        model = getattr(transformers, CLASSES[config.model_type])(config)
    parameter = next(transformer.parameters())
    given = dict(_tower(transformer, config.model_type))
    given |= _vision(folder, parameter)
    _assign(model, given, folder)
    for buffer_name, buffer in list(model.named_buffers()):
        _owner(model, buffer_name)._buffers[buffer_name.rsplit(".", 1)[-1]] = buffer.to(parameter.device)
    return model.eval().requires_grad_(False)


def has_vision(model: nn.Module) -> bool:
    """Whether a reasoner's vision encoder has weights."""
    return not any(parameter.is_meta for parameter in model.parameters())


def _tower(transformer: nn.Module, form: str) -> list[tuple[str, nn.Parameter]]:
    named = []
    for name, parameter in transformer.named_parameters():
        renamed = name
        for pattern, replacement in RENAMED[form]:
            renamed = re.sub(pattern, replacement, renamed)
        named.append((renamed if name.startswith("lm_head.") else TOWER + renamed, parameter))
    return named


def _vision(folder: Path, like: nn.Parameter) -> dict[str, nn.Parameter]:
    from safetensors.torch import load_file

    shards = set((folder / VISION_FOLDER).glob("*.safetensors"))
    if (folder / INDEX).is_file():  # names every file of the two towers and of the vision encoder, wherever it lies
        named = set(read_json(folder / INDEX).get("weight_map", {}).values())
        shards |= {folder / name for name in named if not name.startswith("transformer/") and (folder / name).is_file()}
    found = {}
    for shard in sorted(shards):
        for name, tensor in load_file(shard, device=str(like.device)).items():
            full = name if name.startswith("model.") else f"model.visual.{name}"
            found[full] = nn.Parameter(tensor.to(like.dtype), requires_grad=False)
    return found


def _assign(model: nn.Module, given: dict[str, nn.Parameter], folder: Path) -> None:
    """Put the given parameters in the place of the model's, the very same objects."""
    vision = any(name.startswith("model.visual.") for name in given)
    for name, expected in list(model.named_parameters()):
        if name.startswith(("model.visual.", "model.projector.")) and not vision:
            continue
        if name not in given:
            raise CheckpointError(
                f"checkpoint {folder} has no weight for the reasoner's {name!r}; its config.json and its transformer "
                f"do not belong together, or an adapter has renamed the weights."
            )
        if given[name].shape != expected.shape:
            raise CheckpointError(
                f"checkpoint {folder}: the reasoner's {name!r} has shape {list(given[name].shape)}, its config.json "
                f"asks for {list(expected.shape)}."
            )
        _owner(model, name)._parameters[name.rsplit(".", 1)[-1]] = given[name]


def _owner(model: nn.Module, name: str) -> nn.Module:
    return model.get_submodule(name.rpartition(".")[0])
