"""What a denoising step costs: work that can be counted on any machine."""

import pytest
import torch
from action_case import SIZES, model_input, recording, reference
from diffusers import Cosmos3OmniTransformer
from host_reads import HostReads
from torch.utils.flop_counter import FlopCounterMode

from cosmos_robot.engine.generation import GenerationTower, Latents
from cosmos_robot.engine.layout import SequenceLayout
from cosmos_robot.engine.understanding import PromptKeys


@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("mode", ["forward_dynamics", "inverse_dynamics", "policy"])
def test_no_host_synchronisation_in_a_step(mode, guidance, engines):
    engine = engines("nano")
    request = model_input(mode, *recording(SIZES[1]), guidance=guidance)
    seen = []
    with HostReads() as reads:
        engine.denoise([request], lambda: seen.append(reads.count))
    assert len(seen) == request.num_steps
    assert seen[-1] == seen[0]  # the first step may follow set-up that reads; no later one does


def test_the_counter_sees_diffusers_reads(pipelines):
    """The control: the published loop reads back several times in each step."""
    frames, actions = recording(SIZES[1])
    with HostReads() as reads:
        reference(pipelines("nano"), "policy", frames, actions)
    assert reads.count >= 4 * 4


@pytest.fixture(scope="module")
def nano_on_meta():
    """The true Nano configuration, without memory: diffusers' defaults are Nano's."""
    with torch.device("meta"):
        model = Cosmos3OmniTransformer(action_gen=True, action_dim=64)

    def rotary(position_ids, device, dtype):  # the real one opens an autocast context, which meta tensors have not
        angles = torch.empty((*position_ids.shape[1:], 128), device=device, dtype=dtype)
        return angles, angles

    model.rotary_emb.forward = rotary
    return model


@pytest.mark.parametrize(("grid", "chunk"), [((5, 16, 16), 16), ((5, 30, 40), 16), ((16, 30, 52), 60)])
def test_flops_are_the_generation_towers(nano_on_meta, grid, chunk):
    """FLOPs of a step equal the formula: no understanding tower, no second pass, nothing else."""
    batch, prompt_length = 2, 125
    layout = SequenceLayout(latent_grid=grid, patch_size=2, clean_latent_frames=1, action_rows=chunk)
    kv = torch.empty((prompt_length, 8, 128), device="meta")
    prompt = PromptKeys(keys=(kv,) * 36, values=(kv,) * 36, length=prompt_length)
    tower = GenerationTower(nano_on_meta)
    context = tower.prepare(layout, [prompt] * batch, fps=[10.0] * batch, domain_ids=[7] * batch)
    vision = torch.empty((batch, 48, *grid), device="meta")
    action = torch.empty((batch, chunk, 64), device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        tower(context, Latents(vision, action=action), torch.empty(4096, device="meta"))

    hidden, width, kv_width, mlp, layers = 4096, 32 * 128, 8 * 128, 12288, 36
    tokens = layout.length
    linear = tokens * (2 * hidden * width + 2 * hidden * kv_width + 3 * hidden * mlp)
    attention = 2 * tokens * (tokens + prompt_length) * width
    heads = layout.vision_tokens * 2 * 192 * hidden + chunk * 2 * 64 * hidden
    assert counter.get_total_flops() == 2 * batch * (layers * (linear + attention) + heads)
