"""From a finished prompt to token ids, as diffusers' pipeline does it."""

from typing import Any

VIDEO_SYSTEM_PROMPT = "You are a helpful assistant who will generate videos from a give prompt."
IMAGE_SYSTEM_PROMPT = "You are a helpful assistant who will generate images from a give prompt."
"""The published wordings, their slips included: the model was trained with them."""

MAX_PROMPT_TOKENS = 4096
"""The longest prompt, as in the field's server."""


def tokenize(tokenizer: Any, prompt: str, *, use_system_prompt: bool, image: bool = False) -> tuple[int, ...]:
    """Put a prompt through the chat template and close it with end-of-sequence and vision start.

    Args:
        tokenizer: of the checkpoint, with a chat template.
        prompt: the finished text.
        use_system_prompt: whether the system prompt stands before it; the published action examples never do.
        image: whether that is the one of images, not of videos.
    """
    messages = [{"role": "user", "content": prompt}]
    if use_system_prompt:
        messages.insert(0, {"role": "system", "content": IMAGE_SYSTEM_PROMPT if image else VIDEO_SYSTEM_PROMPT})
    encoded = tokenizer.apply_chat_template(
        messages,
        tokenize=True,
        add_generation_prompt=True,
        add_vision_id=False,
        return_dict=True,
        tokenizer_kwargs={"verbose": False},  # a prompt that is too long is refused, in words of our own
    )
    start_of_generation = tokenizer.convert_tokens_to_ids("<|vision_start|>")
    return (*encoded.input_ids, tokenizer.eos_token_id, start_of_generation)
