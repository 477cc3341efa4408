"""One small request of the modes without actions in two forms: for our engine, and for diffusers' pipeline."""

import numpy as np
import torch
from PIL import Image

from cosmos_robot.engine.media import MediaInput
from cosmos_robot.interface.media_prompt import finish_prompt

SIZE, FRAMES, FPS, STEPS, SEED = (48, 80), 9, 10.0, 3, 11
"""Three by five latent cells: the last token of each row and column is padded."""
PROMPT, NEGATIVE = "A robot pours water into a glass.", "blurry"
CONDITION = {"text2image": (), "text2video": (), "image2video": (0,), "video2video": (0, 1)}


def pictures(count, size=(75, 130), seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 6, 6, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(image).resize(size[::-1], Image.BICUBIC)) for image in coarse])


def media_input(mode, *, prompt=PROMPT, negative=NEGATIVE, keep="first", source=None, **changes):
    count = 1 if mode == "text2image" else FRAMES
    clean = changes.pop("clean_frames", CONDITION[mode])
    frames = None
    if clean:
        needed = clean[-1] * 4 + 1
        source = pictures(7) if source is None else source
        frames = source[:needed] if keep == "first" else source[-needed:]
    form = {"num_frames": count, "fps": FPS, "size": SIZE}
    return MediaInput(
        mode=mode,
        prompt=finish_prompt(prompt, **form),
        negative_prompt=finish_prompt(negative, **form, negative=True),
        frames=frames,
        clean_frames=clean,
        num_steps=changes.pop("num_steps", STEPS),
        seed=changes.pop("seed", SEED),
        **form,
        **changes,
    )


def reference(pipeline, mode, *, guidance=1.0, sound=False, keep="first", clean_frames=None, source=None, **changes):
    source = [Image.fromarray(frame) for frame in (pictures(7) if source is None else source)]
    condition = {}
    if mode == "image2video":
        condition = {"image": source[0]}
    elif mode == "video2video":
        condition = {
            "video": source,
            "condition_frame_indexes_vision": clean_frames or CONDITION[mode],
            "condition_video_keep": keep,
        }
    return pipeline(
        PROMPT,
        NEGATIVE,
        **condition,
        num_frames=1 if mode == "text2image" else FRAMES,
        height=SIZE[0],
        width=SIZE[1],
        fps=FPS,
        num_inference_steps=STEPS,
        guidance_scale=guidance,
        enable_sound=sound,
        generator=torch.Generator("cpu").manual_seed(SEED),
        output_type="np",
        **changes,
    )
