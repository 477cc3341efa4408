"""The finished prompts of the modes without actions: what the caller said, then the sentences of the training data.

Word for word those of diffusers' `Cosmos3OmniPipeline.tokenize_prompt`.
"""

import json
from functools import cache
from importlib.resources import files

SENTENCES = {
    False: (
        "The video is {duration:.1f} seconds long and is of {fps:.0f} FPS.",
        "This video is of {height}x{width} resolution.",
        "This image is of {height}x{width} resolution.",
    ),
    True: (
        "The video is not {duration:.1f} seconds long and is not of {fps:.0f} FPS.",
        "This video is not of {height}x{width} resolution.",
        "This image is not of {height}x{width} resolution.",
    ),
}
"""Length, size of a video, size of an image; and what stands behind a negative prompt in their place."""


def finish_prompt(text: str, *, num_frames: int, fps: float, size: tuple[int, int], negative: bool = False) -> str:
    """Add the sentences about length and size to a prompt.

    Args:
        text: the caller's prompt, or its upsampled form.
        num_frames: frames that are generated; 1 is an image, which has no length.
        fps: frames a second.
        size: height and width in pixels.
        negative: whether it is a negative prompt, which denies them.
    """
    length, video_size, image_size = SENTENCES[negative]
    facts = {"duration": num_frames / fps, "fps": fps, "height": size[0], "width": size[1]}
    for sentence in (image_size,) if num_frames == 1 else (length, video_size):
        text = text.rstrip(".")
        text = f"{text}. {sentence.format(**facts)}" if text else sentence.format(**facts)
    return text


@cache
def default_negative_prompt() -> str:
    """The negative prompt that NVIDIA recommends for videos: a structured caption of a bad one.

    Source: `inference/defaults/neg_prompts.json` of NVIDIA/cosmos-framework (OpenMDW-1.1), on one line as it is used
    there.
    """
    text = files("cosmos_robot.interface").joinpath("negative_prompt.json").read_text(encoding="utf-8")
    return json.dumps(json.loads(text))
