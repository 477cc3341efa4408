"""The forward pass of `AutoencoderKLWan` over a whole clip at once, for training.

diffusers encodes and decodes one latent frame after another with caches, which is right for long videos and slow for
short ones. Here the same modules run over all frames together, channels last: the numbers are the same (a test holds
them against diffusers'), several times faster on a CPU. Only the Wan 2.2 form (`is_residual`) is covered.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def encode_moments(vae: Any, pixels_BCTHW: Tensor) -> Tensor:
    """Encode pixels `[B, 3, 4k + 1, H, W]` in -1..1 to moments `[B, 2 z_dim, k + 1, h, w]`: mean, log variance."""
    encoder = vae.encoder
    x = _fold_pixels(pixels_BCTHW, vae.config.patch_size)
    x = _conv(encoder.conv_in, x)
    for block in encoder.down_blocks:
        shortcut = block.avg_shortcut(x)
        for resnet in block.resnets:
            x = _residual(resnet, x)
        if block.downsampler is not None:
            x = _downsample(block.downsampler, x)
        x = _channels_last(x + shortcut)
    x = _middle(encoder.mid_block, x)
    x = _conv(encoder.conv_out, _norm_silu(encoder.norm_out, x))
    return _conv(vae.quant_conv, x)


def decode_latents(vae: Any, latents_BCTHW: Tensor) -> Tensor:
    """Decode latents `[B, z_dim, k + 1, h, w]` to pixels `[B, 3, 4k + 1, 16h, 16w]`, not clamped to -1..1."""
    decoder = vae.decoder
    x = _conv(vae.post_quant_conv, _channels_last(latents_BCTHW))
    x = _conv(decoder.conv_in, x)
    x = _middle(decoder.mid_block, x)
    for block in decoder.up_blocks:
        shortcut = None if block.avg_shortcut is None else block.avg_shortcut(x, first_chunk=True)
        for resnet in block.resnets:
            x = _residual(resnet, x)
        if block.upsampler is not None:
            x = _upsample(block.upsampler, x)
        if shortcut is not None:
            x = _channels_last(x + shortcut)
    x = _conv(decoder.conv_out, _norm_silu(decoder.norm_out, x))
    return _unfold_pixels(x, vae.config.patch_size)


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last_3d)


def _conv(module: Any, x: Tensor) -> Tensor:
    """A causal convolution over a whole clip; on a single frame only the kernel's last slice meets more than zeros."""
    left, _, top, _, past, _ = module._padding
    weight = module.weight
    if past and x.shape[2] == 1:
        weight = weight[:, :, -1:]
    elif past:
        x = F.pad(x, (0, 0, 0, 0, past, 0))
    return F.conv3d(x, weight, module.bias, module.stride, (0, top, left))


def _norm_silu(module: Any, x: Tensor) -> Tensor:
    return F.silu(_norm(module, x))


def _norm(module: Any, x_BCTHW: Tensor) -> Tensor:
    """`WanRMS_norm`: unit length over channels times sqrt(C) is a root-mean-square norm."""
    last = x_BCTHW.movedim(1, -1)
    scale = torch.rsqrt(last.float().square().mean(-1, keepdim=True) + 1e-12).to(last.dtype)
    normed: Tensor = last * scale * module.gamma.flatten()
    return normed.movedim(-1, 1).to(x_BCTHW.dtype)


def _residual(module: Any, x: Tensor) -> Tensor:
    shortcut = x if isinstance(module.conv_shortcut, torch.nn.Identity) else _conv(module.conv_shortcut, x)
    x = _conv(module.conv1, _norm_silu(module.norm1, x))
    x = _conv(module.conv2, _norm_silu(module.norm2, x))
    return x + shortcut


def _middle(module: Any, x: Tensor) -> Tensor:
    x = _residual(module.resnets[0], x)
    for attention, resnet in zip(module.attentions, module.resnets[1:], strict=True):
        x = _residual(resnet, _attention(attention, x))
    return x


def _attention(module: Any, x_BCTHW: Tensor) -> Tensor:
    """Single-head attention among the cells of each frame."""
    B, C, T, H, W = x_BCTHW.shape
    tokens = _norm(module.norm, x_BCTHW).permute(0, 2, 3, 4, 1).reshape(B * T, H * W, C)
    to_qkv, proj = module.to_qkv, module.proj
    q, k, v = F.linear(tokens, to_qkv.weight.flatten(1), to_qkv.bias).chunk(3, dim=-1)
    mixed = F.linear(F.scaled_dot_product_attention(q, k, v), proj.weight.flatten(1), proj.bias)
    return x_BCTHW + mixed.reshape(B, T, H, W, C).permute(0, 4, 1, 2, 3)


def _per_frame(module: Any, x_BCTHW: Tensor, stride: int) -> Tensor:
    """A 2D convolution on every frame, run as a 3D one so that the layout stays."""
    weight = module.weight.unsqueeze(2)
    return F.conv3d(x_BCTHW, weight, module.bias, (1, stride, stride), (0, *module.padding))


def _downsample(module: Any, x: Tensor) -> Tensor:
    """Halve height and width; halve time where the module does: frame 0 by itself, then strided over the clip."""
    x = _per_frame(module.resample[1], F.pad(x, (0, 1, 0, 1)), stride=2)
    if module.mode == "downsample3d" and x.shape[2] > 1:
        later = F.conv3d(x, module.time_conv.weight, module.time_conv.bias, module.time_conv.stride)
        x = torch.cat([x[:, :, :1], later], dim=2)
    return x


def _upsample(module: Any, x: Tensor) -> Tensor:
    """Double time where the module does (frame 0 stays one frame and is not seen by the others), then the sides."""
    if module.mode == "upsample3d" and x.shape[2] > 1:
        B, C, T, H, W = x.shape
        later = F.pad(x[:, :, 1:], (0, 0, 0, 0, 2, 0))
        doubled = F.conv3d(later, module.time_conv.weight, module.time_conv.bias)
        doubled = doubled.reshape(B, 2, C, T - 1, H, W).transpose(2, 3).transpose(1, 2)
        doubled = doubled.reshape(B, 2 * (T - 1), C, H, W).transpose(1, 2)
        x = torch.cat([x[:, :, :1], doubled], dim=2)
    x = x.repeat_interleave(2, dim=3).repeat_interleave(2, dim=4)
    return _per_frame(module.resample[1], _channels_last(x), stride=1)


def _fold_pixels(x_BCTHW: Tensor, patch: int) -> Tensor:
    """Patches into channels, in diffusers' order (channel, column, row)."""
    B, C, T, H, W = x_BCTHW.shape
    x = x_BCTHW.reshape(B, C, T, H // patch, patch, W // patch, patch).permute(0, 1, 6, 4, 2, 3, 5)
    return _channels_last(x.reshape(B, C * patch * patch, T, H // patch, W // patch))


def _unfold_pixels(x_BCTHW: Tensor, patch: int) -> Tensor:
    B, C, T, H, W = x_BCTHW.shape
    x = x_BCTHW.reshape(B, C // patch**2, patch, patch, T, H, W).permute(0, 1, 4, 5, 3, 6, 2)
    return x.reshape(B, C // patch**2, T, H * patch, W * patch)
