"""Answers held to JSON: xgrammar forbids every token that would break it."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from cosmos_robot.errors import InvalidInputError, MissingDependencyError

ANY_OBJECT = '{"type": "object"}'


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
        self._compiler = xgrammar.GrammarCompiler(info, max_threads=1)
        self._compiled = lru_cache(maxsize=16)(self._compile)

    def processor(self, schema: bool | Mapping[str, Any]) -> Any:
        """Give a processor for one answer.

        Raises:
            InvalidInputError: if the schema is none.
        """
        from xgrammar.contrib.hf import LogitsProcessor

        text = ANY_OBJECT if schema is True else json.dumps(schema)
        return LogitsProcessor(self._compiled(text))

    def _compile(self, schema: str) -> Any:
        try:
            return self._compiler.compile_json_schema(schema)
        except RuntimeError as error:  # what xgrammar raises for a schema that it cannot read
            raise InvalidInputError(f"the JSON schema cannot be used: {error}.") from error
