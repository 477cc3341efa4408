"""The generation tower: one denoising step for a batch, given the prompts' keys and values.

The same modules as in diffusers' forward, on a batch axis and without what the step does not need: no text, no index
packing, no host reads. Everything that stays the same from step to step is put into a `GenerationContext` beforehand.

Shape letters: B items, N generation tokens, V vision tokens, S sound frames, A action rows, C latent channels, D action
channels, L prompt tokens, H hidden size.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from cosmos_robot.engine.context_parallel import SequenceShards
from cosmos_robot.engine.decoder_layer import PLAIN, Regions, decoder_layer
from cosmos_robot.engine.layout import PositionConfig, SequenceLayout
from cosmos_robot.engine.projections import UNMERGED, LayerWeights, MergedProjections, weights_signature
from cosmos_robot.engine.prompt_group import PromptGroup, fits_in_room, group_by_length
from cosmos_robot.engine.rotary import Rotary
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
class ActionHeads:
    """The action projections of the batch's domains: `[1 or B, in, out]` weights, `[1 or B, 1, out]` biases."""

    weight_in: Tensor
    bias_in: Tensor
    weight_out: Tensor
    bias_out: Tensor

    def load(self, other: "ActionHeads") -> None:
        """Take over other domains' projections, in place."""
        for name, mine in vars(self).items():
            mine.copy_(getattr(other, name))


@dataclass(frozen=True, eq=False)
class GenerationContext:
    """All that a denoising step reads and no step changes.

    Attributes:
        layout: what stands where.
        groups: the prompts' keys and values.
        rotary: cosine and sine, each `[1 or B, N, 1, head_dim]`.
        noisy: 1 at noisy tokens, 0 at clean ones: `[N, 1]`.
        heads: the action projections, or None for a mode without actions.
        weights: merged projections of each layer.
        shards: where the tokens are split among devices; None is one device.
    """

    layout: SequenceLayout
    groups: tuple[PromptGroup, ...]
    rotary: Rotary
    noisy: Tensor
    heads: ActionHeads | None
    weights: tuple[LayerWeights, ...]
    shards: SequenceShards | None = None

    @property
    def kind(self) -> Hashable:
        """Equal for contexts whose tensors have the same shapes: one can be loaded into the other."""
        groups = tuple((group.start, group.stop, group.length) for group in self.groups)
        return self.layout, groups, self.rotary[0].shape, None if self.heads is None else self.heads.weight_in.shape

    def with_room(self) -> "GenerationContext":
        """The same with memory for the steps' keys and values behind the prompts'."""
        return replace(self, groups=tuple(group.with_room(self.layout.length) for group in self.groups))

    def copied(self, *, room: bool) -> "GenerationContext":
        """The same in memory of its own, with room for the steps' keys and values or without."""
        rotary = self.rotary[0].clone(), self.rotary[1].clone()
        heads = None if self.heads is None else ActionHeads(**{k: v.clone() for k, v in vars(self.heads).items()})
        groups = tuple(group.with_room(self.layout.length if room else 0) for group in self.groups)
        return replace(self, groups=groups, rotary=rotary, noisy=self.noisy.clone(), heads=heads)

    def load(self, other: "GenerationContext") -> None:
        """Take over a context of the same kind, in place."""
        for mine, theirs in zip(self.groups, other.groups, strict=True):
            mine.load(theirs)
        for mine_angles, their_angles in zip(self.rotary, other.rotary, strict=True):
            mine_angles.copy_(their_angles)
        if self.heads is not None and other.heads is not None:
            self.heads.load(other.heads)


class GenerationTower:
    """Runs the generation half of a `Cosmos3OmniTransformer` on a batch.

    Args:
        transformer: whose modules are called, so that LoRA and quantisation hold.
        merged: whether projections that read the same tokens are merged; see `projections`.
        rooms: whether keys and values are written behind the prompts'; see `prompt_group`.
        regions: of a layer, plain or compiled.
    """

    def __init__(
        self, transformer: Any, *, merged: bool = False, rooms: bool = False, regions: Regions = PLAIN
    ) -> None:
        self.rooms = rooms
        self._transformer = transformer
        self._merged = MergedProjections(transformer.layers) if merged else None
        self._regions = regions
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

    @property
    def hidden(self) -> int:
        """Width of a token."""
        return int(self._transformer.config.hidden_size)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        device: torch.device = self._transformer.proj_in.weight.device
        return device

    def signature(self) -> Hashable | None:
        """Equal as long as recorded steps read the right weights; None where that cannot be known."""
        model = self._transformer
        outside = (model.proj_in, model.proj_out, model.norm_moe_gen)
        sound = (model.audio_proj_in, model.audio_proj_out) if model.config.sound_gen else ()
        inside = chain.from_iterable(_generation_modules(layer) for layer in model.layers)
        weights = weights_signature([*outside, *sound, *inside])
        if model._parallel_config is not None:  # processes talk to each other within a step
            return None
        embeds = (getattr(model, name, None) for name in ("action_modality_embed", "audio_modality_embed"))
        return None if weights is None else (*weights, *(e.data_ptr() for e in embeds if e is not None))

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
        cos, sin = model.rotary_emb(position_ids=positions.to(self.device), device=self.device, dtype=self.dtype)
        groups, rotary = group_by_length(prompts), (cos.unsqueeze(2), sin.unsqueeze(2))
        shards = SequenceShards.of(model)
        if shards is not None:
            groups = tuple(shards.of_prompts(group) for group in groups)
            rotary = shards.mine(rotary[0]), shards.mine(rotary[1])
        return GenerationContext(
            layout=layout,
            groups=groups,
            rotary=rotary,
            noisy=layout.noisy_tokens().to(self.device, self.dtype).unsqueeze(-1),
            heads=self._action_heads(domain_ids) if layout.action_rows else None,
            weights=self._merged.weights() if self._merged else (UNMERGED,) * len(model.layers),
            shards=shards,
        )

    def ready(self, context: GenerationContext) -> GenerationContext:
        """Give a context rooms for keys and values where they are wanted, no gradient needs them, and they fit."""
        alone = self.rooms and context.shards is None and not torch.is_grad_enabled()
        if not alone or not fits_in_room(context.groups, context.layout.length):
            return context
        return context.with_room()

    def time_embeddings(self, timesteps: Tensor) -> Tensor:
        """Embed the timesteps of all steps at once: `[S]` -> `[S, H]`."""
        model = self._transformer
        scaled = timesteps.to(self.device) * model.config.timestep_scale
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
        if context.shards is None:
            tokens = model.norm_moe_gen(self._decode(tokens, context))
        else:
            part = model.norm_moe_gen(self._decode(context.shards.mine(tokens), context))
            tokens = context.shards.whole(part, layout.length)
        lengths = [layout.vision_tokens, layout.sound_frames, layout.action_rows]
        vision_tokens, sound_tokens, action_tokens = torch.split(tokens, lengths, dim=1)
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
            tokens = decoder_layer(layer, index, tokens, context, self._regions)
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
        ids = torch.tensor(wanted, dtype=torch.long, device=self.device)

        def read(linear: Any) -> tuple[Tensor, Tensor]:
            weight = linear.fc(ids).view(len(wanted), linear.input_size, linear.output_size)
            return weight, linear.bias(ids).unsqueeze(1)

        return ActionHeads(*read(model.action_proj_in), *read(model.action_proj_out))


def _generation_modules(layer: Any) -> list[torch.nn.Module]:
    """The modules of a layer that a denoising step runs, every level of them."""
    attention = layer.self_attn
    names = ("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out", "norm_added_q", "norm_added_k")
    parts = [getattr(attention, name) for name in names]
    parts += [layer.input_layernorm_moe_gen, layer.post_attention_layernorm_moe_gen, layer.mlp_moe_gen]
    return [module for part in parts for module in part.modules()]
