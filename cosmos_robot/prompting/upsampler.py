"""Prompt upsampling: a caller's few words become the structured caption that the model was trained on."""

import json

from cosmos_robot.interface.chat import ImagePart, Message, Part
from cosmos_robot.interface.reason import Reasoner, ReasonRequest, ReasonSampling
from cosmos_robot.prompting.caption import caption_fields, caption_schema, read_caption
from cosmos_robot.prompting.facts import CaptionFacts
from cosmos_robot.types import Frames

SAMPLING = ReasonSampling(
    max_new_tokens=4096,
    do_sample=True,
    temperature=0.7,
    top_p=0.8,
    top_k=20,
    presence_penalty=1.5,
    seed=3407,
)
"""NVIDIA's own, but for the length: the generator reads prompts of at most 4096 tokens."""

SYSTEM = "You write the captions that a video generator draws from. You answer with one JSON object and nothing else."


def upsample(reasoner: Reasoner, prompt: str, facts: CaptionFacts, *, picture: Frames | None = None) -> str:
    """Rewrite a prompt.

    Args:
        reasoner: what rewrites it.
        prompt: the caller's words; may be empty beside a picture.
        facts: size and length of what is to be generated.
        picture: uint8 `[H, W, 3]` that it starts from.

    Returns:
        The caption, one line of JSON.

    Raises:
        ServiceError: if a service cannot be reached or fails.
        AnswerError: if the answer is not a caption, for instance because it was refused.
    """
    shown: list[Part] = [] if picture is None else [ImagePart(picture)]
    request = ReasonRequest(
        messages=(Message.of("system", SYSTEM), Message.of("user", *shown, task(prompt, facts, shown=bool(shown)))),
        sampling=SAMPLING,
        json=caption_schema(facts),
    )
    return read_caption(reasoner.answer(request).result().data(), facts)


def task(prompt: str, facts: CaptionFacts, *, shown: bool) -> str:
    """Say what is wanted."""
    what = "an image" if facts.is_image else f"a video of {facts.seconds} seconds at {facts.fps:g} frames a second"
    lines = [
        f"Describe {what}, {facts.width} pixels wide and {facts.height} high, as a JSON object with exactly the keys "
        "of the form below. Keep everything that the request says, add only what fits it, and let no key contradict "
        "another. Be specific and physically plausible. What does not apply is '' or an empty list; nothing is null.",
    ]
    if not facts.is_image:
        lines.append(f"All times lie between 0:00 and {facts.seconds // 60}:{facts.seconds % 60:02d}.")
    if shown:
        lines.append("The picture is the first frame: what it shows is so. The request says what happens next.")
    lines.append(f"The request: {prompt.strip() or 'whatever would happen next.'}")
    lines.append(f"The form, with what belongs into each key:\n{json.dumps(caption_fields(facts), indent=1)}")
    return "\n\n".join(lines)
