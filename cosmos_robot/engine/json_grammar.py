"""Answers held to JSON: xgrammar forbids every token that would break it."""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from cosmos_robot.errors import InvalidInputError, MissingDependencyError

ANY_OBJECT = '{"type": "object"}'

MOST_SPACE = 64
"""Most blanks and line breaks in one place: enough to indent by, and no room to go on for ever."""

_CONTROL = frozenset(range(0x20)) - frozenset(b"\n\r")
"""What JSON allows in no string. xgrammar lets it into one that has a longest length, though no line breaks."""

_PLACE = re.compile(r"^\[[\d:]+\] \S+:\d+: ")
"""What xgrammar puts before a message: when, and where in its own source."""


class JsonGrammar:
    """Makes the processors that hold an answer to a schema.

    Args:
        tokenizer: of the checkpoint.
        vocabulary: tokens that the model has scores for; often more than the tokenizer's.
        end_tokens: that end an answer.
    """

    def __init__(self, tokenizer: Any, vocabulary: int, end_tokens: tuple[int, ...]) -> None:
        try:
            import xgrammar
        except ImportError as error:
            raise MissingDependencyError(
                "answers held to JSON need xgrammar; get it with pip install 'cosmos-robot[reason]'."
            ) from error
        info = xgrammar.TokenizerInfo.from_huggingface(
            tokenizer, vocab_size=vocabulary, stop_token_ids=list(end_tokens)
        )
        allowed = xgrammar.TokenizerInfo(
            [token if _CONTROL.isdisjoint(token) else b"" for token in info.decoded_vocab],  # empty: never chosen
            vocab_size=vocabulary,
            add_prefix_space=info.add_prefix_space,
            stop_token_ids=list(end_tokens),
        )
        self._compiler = xgrammar.GrammarCompiler(allowed, max_threads=1)
        self._compiled = lru_cache(maxsize=16)(self._compile)

    def processor(self, schema: bool | Mapping[str, Any]) -> Any:
        """Give a processor for one answer.

        Raises:
            InvalidInputError: if the schema is none.
        """
        from xgrammar.contrib.hf import LogitsProcessor

        try:
            text = ANY_OBJECT if schema is True else json.dumps(schema)
        except (TypeError, ValueError) as error:  # what json raises for what it cannot write
            raise InvalidInputError(f"the JSON schema is no JSON: {error}.") from error
        return LogitsProcessor(self._compiled(text))

    def _compile(self, schema: str) -> Any:
        try:
            return self._compiler.compile_json_schema(schema, max_whitespace_cnt=MOST_SPACE)
        except RuntimeError as error:  # what xgrammar raises for a schema that it cannot read
            why = _PLACE.sub("", str(error).strip()).rstrip(".")
            raise InvalidInputError(f"the JSON schema cannot be used: {why}.") from error
