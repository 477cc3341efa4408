"""A small byte-level BPE tokenizer with a chat template, in the form that Cosmos 3 checkpoints carry.

What is the same in every prompt (the JSON around a description, the sentences about length and size) may become single
tokens, so that a prompt is some 20 tokens and not 100: a small model on a CPU attends to all of them in every step.
"""

from collections.abc import Iterable
from typing import Any

SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>")

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Qwen's, without tools."""

_FIXED_TEXT = (
    r'\{"cinematography": .*?"description": "',
    r'\.?"\}\], "duration": .*\}',
    r"\.? ?The video is [^<]* resolution\.",
    r"You are a helpful assistant [^<]*\.",
)
_OTHER_TEXT = (r" ?[A-Za-z]+", r" ?[0-9]", r" ?[^\sA-Za-z0-9]+", r"\s+")


def train_tokenizer(texts: Iterable[str], *, vocab_size: int = 1_400) -> Any:
    """Train a tokenizer on `texts`; every byte has a token, so that any other text can be written with it too.

    Returns:
        A `transformers.PreTrainedTokenizerFast` whose end of sequence is `<|im_end|>`.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex("|".join((*_FIXED_TEXT, *_OTHER_TEXT))), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(list(texts), trainer)
    return with_chat_template(tokenizer)


def with_chat_template(tokenizer: Any) -> Any:
    """Wrap a `tokenizers.Tokenizer` as the `PreTrainedTokenizerFast` that Cosmos 3 checkpoints carry.

    Its special tokens and chat template are Qwen's; `<|im_end|>` ends the sequence.
    """
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>", "<|vision_start|>", "<|vision_end|>"],
        chat_template=CHAT_TEMPLATE,
        model_max_length=4096,
    )
