"""One small action request in two forms: for our engine, and for diffusers' pipeline."""

from dataclasses import replace

import numpy as np
import torch
from diffusers.pipelines.cosmos.pipeline_cosmos3_omni import CosmosActionCondition
from PIL import Image

from cosmos_robot.domains.canvas import action_canvas
from cosmos_robot.domains.caption import action_caption
from cosmos_robot.domains.view_points import VIEW_SENTENCES
from cosmos_robot.types import Canvas, ModelInput

CHUNK, STEPS, FPS, SEED, PROMPT = 8, 4, 5.0, 7, "Put the pot to the left of the purple item"
SIZES = [(96, 112), (75, 130)]


def recording(size, seed=0):
    """Nine smooth random frames and eight actions."""
    rng = np.random.default_rng(seed)
    coarse = [
        Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize(size[::-1], Image.BICUBIC)
        for _ in range(CHUNK + 1)
    ]
    return np.stack([np.asarray(image) for image in coarse]), rng.standard_normal((CHUNK, 10)).astype(np.float32)


def model_input(mode, frames, actions, *, guidance=1.0, seed=SEED, shift=None, prompt=PROMPT):
    canvas = action_canvas(*frames.shape[1:3], 256)
    padded = np.zeros((CHUNK, 64), np.float32)
    padded[:, :10] = actions
    return ModelInput(
        mode=mode,
        frames=frames if mode == "inverse_dynamics" else frames[:1],
        canvas=canvas,
        prompt=action_caption(
            prompt,
            view_sentence=VIEW_SENTENCES["ego_view"],
            action_chunk_size=CHUNK,
            fps=FPS,
            height=canvas.padded[0],
            width=canvas.padded[1],
        ),
        domain_id=7,
        raw_action_dim=10,
        action_chunk_size=CHUNK,
        fps=FPS,
        num_steps=STEPS,
        guidance=guidance,
        shift=shift,
        seed=seed,
        actions=padded if mode == "forward_dynamics" else None,
    )


def on_canvas(request, size=(32, 48)):
    """The same request on a canvas of a few latent cells, with no padding: for what does not depend on the size."""
    return replace(request, canvas=Canvas(*[size] * 5))


def reference(pipeline, mode, frames, actions, *, guidance=1.0):
    images = [Image.fromarray(frame) for frame in frames]
    condition = CosmosActionCondition(
        mode=mode,
        chunk_size=CHUNK,
        domain_name="bridge_orig_lerobot",
        resolution_tier=256,
        raw_actions=torch.from_numpy(actions) if mode == "forward_dynamics" else None,
        **({"video": images} if mode == "inverse_dynamics" else {"image": images[0]}),
    )
    return pipeline(
        PROMPT,
        action=condition,
        fps=FPS,
        num_inference_steps=STEPS,
        guidance_scale=guidance,
        generator=torch.Generator("cpu").manual_seed(SEED),
        output_type="np",
        use_system_prompt=False,
    )
