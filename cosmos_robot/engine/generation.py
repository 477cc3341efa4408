"""The generation tower: one denoising step for a batch, given the prompts' keys and values.

The same modules as in diffusers' forward, on a batch axis and without what the step does not need: no text, no index
packing, no host reads. Everything that stays the same from step to step is put into a `GenerationContext` beforehand.

Shape letters: B items, N generation tokens, V vision tokens, S sound frames, A action rows, C latent channels, D action
channels, L prompt tokens, H hidden size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from einops import rearrange
from torch import Tensor

from cosmos_robot.engine.layout import PositionConfig, SequenceLayout
from cosmos_robot.engine.rotary import Rotary, rotate
from cosmos_robot.engine.understanding import PromptKeys


@dataclass(frozen=True, eq=False)
class Latents:
    """One tensor for each modality of a batch: latents, or their velocities.

    Attributes:
        vision: `[B, C, T, H, W]`; as a velocity None where the mode does not generate it, as are the following.
        sound: `[B, C, S]`, or None.
        action: `[B, A, D]` in model space, zero-padded, or None.
    """

    vision: Tensor | None
    sound: Tensor | None = None
    action: Tensor | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> "Latents":
        """Change each tensor that is there."""
        return Latents(*(None if t is None else change(t) for t in (self.vision, self.sound, self.action)))


@dataclass(frozen=True, eq=False)
class PromptGroup:
    """Neighbours in the batch whose prompts are equally long: their attention is one dense call, with no mask.

    Attributes:
        start: first item.
        stop: one past the last item.
        keys: for each layer `[stop - start, L, kv_heads, head_dim]`.
        values: likewise.
    """

    start: int
    stop: int
    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class ActionHeads:
    """The action projections of the batch's domains: `[1 or B, in, out]` weights, `[1 or B, 1, out]` biases."""

    weight_in: Tensor
    bias_in: Tensor
    weight_out: Tensor
    bias_out: Tensor


@dataclass(frozen=True, eq=False)
class GenerationContext:
    """All that a denoising step reads and no step changes.

    Attributes:
        layout: what stands where.
        groups: the prompts' keys and values.
        rotary: cosine and sine, each `[1 or B, N, 1, head_dim]`.
        noisy: 1 at noisy tokens, 0 at clean ones: `[N, 1]`.
        heads: the action projections, or None for a mode without actions.
    """

    layout: SequenceLayout
    groups: tuple[PromptGroup, ...]
    rotary: Rotary
    noisy: Tensor
    heads: ActionHeads | None


class GenerationTower:
    """Runs the generation half of a `Cosmos3OmniTransformer` on a batch."""

    def __init__(self, transformer: Any) -> None:
        self._transformer = transformer
        config = transformer.config
        self._positions = PositionConfig(
            margin=config.unified_3d_mrope_temporal_modality_margin,
            base_fps=float(config.base_fps),
            fps_modulation=config.enable_fps_modulation,
            reset_spatial=config.unified_3d_mrope_reset_spatial_ids,
            sound_fps=float(config.sound_latent_fps),
        )

    @property
    def dtype(self) -> torch.dtype:
        """What the tokens are computed in."""
        dtype: torch.dtype = self._transformer.proj_in.weight.dtype
        return dtype

    def prepare(
        self, layout: SequenceLayout, prompts: list[PromptKeys], *, fps: list[float], domain_ids: list[int]
    ) -> GenerationContext:
        """Gather what the steps of one generation share.

        Args:
            layout: of every item.
            prompts: one for each item.
            fps: frames a second of each item.
            domain_ids: embodiment domain of each item.
        """
        model = self._transformer
        kinds = list(zip((prompt.length for prompt in prompts), fps, strict=True))
        wanted = kinds[:1] if len(set(kinds)) == 1 else kinds
        positions = torch.stack(
            [layout.positions(prompt_length=n, fps=f, config=self._positions) for n, f in wanted], dim=1
        )
        cos, sin = model.rotary_emb(position_ids=positions.to(model.device), device=model.device, dtype=self.dtype)
        return GenerationContext(
            layout=layout,
            groups=_group_by_length(prompts),
            rotary=(cos.unsqueeze(2), sin.unsqueeze(2)),
            noisy=layout.noisy_tokens().to(model.device, self.dtype).unsqueeze(-1),
            heads=self._action_heads(domain_ids) if layout.action_rows else None,
        )

    def time_embeddings(self, timesteps: Tensor) -> Tensor:
        """Embed the timesteps of all steps at once: `[S]` -> `[S, H]`."""
        model = self._transformer
        scaled = timesteps.to(model.device) * model.config.timestep_scale
        dtype = next(model.time_embedder.parameters()).dtype
        embedded: Tensor = model.time_embedder(model.time_proj(scaled).to(dtype))
        return embedded.to(self.dtype)

    def __call__(self, context: GenerationContext, latents: Latents, time: Tensor) -> Latents:
        """Predict the velocities of one denoising step.

        Args:
            context: from `prepare`.
            latents: clean parts included.
            time: the step's embedding: `[H]`, or `[B, 1, H]` where the items are at different times.

        Returns:
            Velocities in the latents' shapes, 0 at clean positions; None for what the mode does not generate.
        """
        model, layout = self._transformer, context.layout
        tokens = self._embed(context, latents) + time * context.noisy
        tokens = model.norm_moe_gen(self._decode(tokens, context))
        vision_tokens, sound_tokens, action_tokens = tokens.split(
            [layout.vision_tokens, layout.sound_frames, layout.action_rows], dim=1
        )
        vision = sound = action = None
        if layout.generates_vision:
            vision = self._unpatchify(model.proj_out(vision_tokens), layout)
            vision[:, :, : layout.clean_latent_frames] = 0
            for frame in layout.clean_later_frames:
                vision[:, :, frame] = 0
        if layout.sound_frames:
            sound = model.audio_proj_out(sound_tokens).transpose(1, 2)
        if layout.generates_actions and context.heads is not None:
            action = torch.matmul(action_tokens, context.heads.weight_out) + context.heads.bias_out
            action[:, : layout.clean_action_rows] = 0
        return Latents(vision, sound, action)

    def _decode(self, tokens: Tensor, context: GenerationContext) -> Tensor:
        for index, layer in enumerate(self._transformer.layers):
            tokens = decoder_layer(layer, index, tokens, context)
        return tokens

    def _embed(self, context: GenerationContext, latents: Latents) -> Tensor:
        model = self._transformer
        if latents.vision is None:
            raise ValueError("every mode has vision tokens.")
        tokens: list[Tensor] = [model.proj_in(self._patchify(latents.vision.to(self.dtype)))]
        if latents.sound is not None:
            frames = model.audio_proj_in(latents.sound.transpose(1, 2).to(self.dtype))
            tokens.append(frames + model.audio_modality_embed)
        if context.heads is not None and latents.action is not None:
            rows = torch.matmul(latents.action.to(self.dtype), context.heads.weight_in) + context.heads.bias_in
            tokens.append(rows + model.action_modality_embed)
        return tokens[0] if len(tokens) == 1 else torch.cat(tokens, dim=1)

    def _patchify(self, latents_BCTHW: Tensor) -> Tensor:
        p = self._transformer.config.latent_patch_size
        pad_h, pad_w = -latents_BCTHW.shape[-2] % p, -latents_BCTHW.shape[-1] % p
        if pad_h or pad_w:
            latents_BCTHW = torch.nn.functional.pad(latents_BCTHW, (0, pad_w, 0, pad_h))
        return rearrange(latents_BCTHW, "b c t (h p) (w q) -> b (t h w) (p q c)", p=p, q=p)

    def _unpatchify(self, tokens_BVP: Tensor, layout: SequenceLayout) -> Tensor:
        frames, rows, columns = layout.patch_grid
        p = self._transformer.config.latent_patch_size
        latents = rearrange(tokens_BVP, "b (t h w) (p q c) -> b c t (h p) (w q)", t=frames, h=rows, w=columns, p=p, q=p)
        _, height, width = layout.latent_grid
        return latents[..., :height, :width]

    def _action_heads(self, domain_ids: list[int]) -> ActionHeads:
        """Look the domains' weights up once: diffusers gathers them for every token of every step."""
        model = self._transformer
        wanted = domain_ids[:1] if len(set(domain_ids)) == 1 else domain_ids
        ids = torch.tensor(wanted, dtype=torch.long, device=model.device)

        def read(linear: Any) -> tuple[Tensor, Tensor]:
            weight = linear.fc(ids).view(len(wanted), linear.input_size, linear.output_size)
            return weight, linear.bias(ids).unsqueeze(1)

        return ActionHeads(*read(model.action_proj_in), *read(model.action_proj_out))


def _group_by_length(prompts: list[PromptKeys]) -> tuple[PromptGroup, ...]:
    groups, start = [], 0
    for _, run in groupby(prompts, key=lambda prompt: prompt.length):
        members = list(run)
        groups.append(
            PromptGroup(
                start=start,
                stop=start + len(members),
                keys=_gather([member.keys for member in members]),
                values=_gather([member.values for member in members]),
            )
        )
        start += len(members)
    return tuple(groups)


def _gather(members: list[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Put the items' tensors of each layer on a batch axis; one prompt shared by all is expanded, not copied."""
    if all(member is members[0] for member in members):
        return tuple(layer.unsqueeze(0).expand(len(members), -1, -1, -1) for layer in members[0])
    return tuple(torch.stack(layers) for layers in zip(*members, strict=True))


def decoder_layer(layer: Any, index: int, tokens: Tensor, context: GenerationContext) -> Tensor:
    """One layer of the generation tower: `[B, N, H]` -> `[B, N, H]`."""
    attention = layer.self_attn
    attended = _attention(attention, index, layer.input_layernorm_moe_gen(tokens), context)
    tokens = tokens + attention.to_add_out(attended)
    out: Tensor = tokens + layer.mlp_moe_gen(layer.post_attention_layernorm_moe_gen(tokens))
    return out


def _attention(attention: Any, index: int, normed: Tensor, context: GenerationContext) -> Tensor:
    queries = attention.num_attention_heads, attention.head_dim
    shared = attention.num_key_value_heads, attention.head_dim
    query = attention.norm_added_q(attention.add_q_proj(normed).unflatten(-1, queries))
    key = attention.norm_added_k(attention.add_k_proj(normed).unflatten(-1, shared))
    value = attention.add_v_proj(normed).unflatten(-1, shared)
    query, key = rotate(query, context.rotary), rotate(key, context.rotary)
    attended = [
        dispatch_attention_fn(
            query[group.start : group.stop],
            torch.cat([group.keys[index], key[group.start : group.stop]], dim=1),
            torch.cat([group.values[index], value[group.start : group.stop]], dim=1),
            is_causal=False,
            enable_gqa=True,
            backend=attention.processor._attention_backend,
        )
        for group in context.groups
    ]
    joined = attended[0] if len(attended) == 1 else torch.cat(attended)
    return joined.flatten(-2, -1)
