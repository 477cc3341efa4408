"""The understanding tower: a prompt's keys and values, worked out once and kept.

Cosmos 3 is a mixture of two transformers. The understanding tower reads only text, causally, so that what it gives to
the generation tower depends on the prompt alone: not on the noise, the denoising step or the frame. diffusers runs it
again at every step; here it runs once for a prompt and stays for the model's life. The figures are bit-equal.
"""

from collections import OrderedDict
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from torch import Tensor

from cosmos_robot.engine.offload import lent, understanding_parts
from cosmos_robot.engine.rotary import Rotary, rotate

KEPT_BYTES = 2 << 30
"""The most that prompts may take together: on Nano a hundred captions of actions, or fourteen of videos."""


@dataclass(frozen=True, eq=False)
class PromptKeys:
    """What the generation tower attends to of a prompt.

    Attributes:
        keys: for each layer `[L, kv_heads, head_dim]`, normalised and rotated.
        values: for each layer `[L, kv_heads, head_dim]`.
        length: L, the prompt's number of tokens.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    length: int

    @property
    def nbytes(self) -> int:
        """Memory of the keys and values."""
        return sum(layer.nbytes for layer in (*self.keys, *self.values))


class UnderstandingTower:
    """Turns token ids into `PromptKeys`, and keeps the most recently used ones.

    Args:
        transformer: a `Cosmos3OmniTransformer`; its modules are called, so that LoRA and quantisation hold.
        capacity: number of prompts kept (Nano: 147 kB a token).
        max_bytes: that they may take together; the newest is kept whatever it takes.
        offloaded: whether its weights lie with the host and are lent to the device; see `offload`.
    """

    def __init__(
        self, transformer: Any, *, capacity: int = 64, max_bytes: int = KEPT_BYTES, offloaded: bool = False
    ) -> None:
        self._transformer = transformer
        self._offloaded = offloaded
        self._capacity, self._max_bytes = capacity, max_bytes
        self._kept: OrderedDict[tuple[int, ...], PromptKeys] = OrderedDict()

    def __call__(self, token_ids: tuple[int, ...]) -> PromptKeys:
        """Give a prompt's keys and values, from the store where they are in it."""
        if token_ids in self._kept:
            self._kept.move_to_end(token_ids)
            return self._kept[token_ids]
        with torch.no_grad():
            found = self.compute(token_ids)
        self._kept[token_ids] = found
        while len(self._kept) > 1 and (len(self._kept) > self._capacity or self.kept_bytes > self._max_bytes):
            self._kept.popitem(last=False)
        return found

    @property
    def kept_bytes(self) -> int:
        """Memory of all that is kept."""
        return sum(prompt.nbytes for prompt in self._kept.values())

    def clear(self) -> None:
        """Forget every prompt, as is needed after the weights were changed."""
        self._kept.clear()

    def compute(self, token_ids: tuple[int, ...]) -> PromptKeys:
        """Run the tower over one prompt, without the store; gradients flow where they are enabled."""
        model = self._transformer
        device = model.proj_in.weight.device
        embedding = model.embed_tokens
        ids = torch.tensor(token_ids, dtype=torch.long, device=embedding.weight.device)
        hidden = embedding(ids).to(device)  # the table itself is never lent: a row a token is all that is read
        positions = torch.arange(len(token_ids), dtype=torch.float32, device=device).expand(3, 1, -1)
        cos, sin = model.rotary_emb(position_ids=positions, device=hidden.device, dtype=hidden.dtype)
        rotary = cos[0].unsqueeze(1), sin[0].unsqueeze(1)
        keys, values = [], []
        for index, layer in enumerate(model.layers):
            with lent(understanding_parts(layer), device) if self._offloaded else nullcontext():
                normed = layer.input_layernorm(hidden)
                own_key, key, value = _keys_values(layer.self_attn, normed, rotary)
                keys.append(key)
                values.append(value)
                if index + 1 < len(model.layers):  # what follows the last layer's keys and values is read by nobody
                    hidden = hidden + _self_attention(layer.self_attn, normed, own_key, value, rotary)
                    hidden = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
        return PromptKeys(keys=tuple(keys), values=tuple(values), length=len(token_ids))


def _keys_values(attention: Any, normed: Tensor, rotary: Rotary) -> tuple[Tensor, Tensor, Tensor]:
    """Keys for the tower itself, keys for the generation tower, and values: each `[L, kv_heads, head_dim]`."""
    heads = attention.num_key_value_heads, attention.head_dim
    key = attention.norm_k(attention.to_k(normed).unflatten(-1, heads))
    value = attention.to_v(normed).unflatten(-1, heads)
    own = rotate(key, rotary)
    if attention.k_norm_und_for_gen is None:
        return own, own, value
    return own, rotate(attention.k_norm_und_for_gen(key), rotary), value


def _self_attention(attention: Any, normed: Tensor, key: Tensor, value: Tensor, rotary: Rotary) -> Tensor:
    heads = attention.num_attention_heads, attention.head_dim
    query = rotate(attention.norm_q(attention.to_q(normed).unflatten(-1, heads)), rotary)
    attended = dispatch_attention_fn(
        query.unsqueeze(0),
        key.unsqueeze(0),
        value.unsqueeze(0),
        is_causal=True,
        enable_gqa=True,
        backend=attention.processor._attention_backend,
    )
    out: Tensor = attention.to_out(attended.squeeze(0).flatten(-2, -1))
    return out
