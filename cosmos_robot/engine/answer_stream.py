"""An answer on its way: tokens from a thread that generates, pieces of text for the caller."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from queue import SimpleQueue
from typing import Any

import torch
from tokenizers.decoders import DecodeStream
from torch import Tensor
from transformers import StoppingCriteria
from transformers.generation.streamers import BaseStreamer

from cosmos_robot.interface.reason import ReasonChunk, Reasoning, Usage
from cosmos_robot.interface.thinking import ThinkSplitter

type Generate = Callable[[BaseStreamer, StoppingCriteria], None]


class _Tokens(BaseStreamer, StoppingCriteria):  # type: ignore[misc]
    """What stands between the two threads: takes tokens in, and says when to stop."""

    def __init__(self) -> None:
        self.queue: SimpleQueue[int | None] = SimpleQueue()
        self.stopped = threading.Event()
        self._prompt_seen = False

    def put(self, value: Tensor) -> None:
        """Take what transformers gives: the chat first, then one token after the other."""
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        for token in value.flatten().tolist():
            self.queue.put(int(token))

    def end(self) -> None:
        """Nothing follows; the thread says so itself."""

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        """Whether to stop before the next token, for each item of the batch."""
        return torch.full((input_ids.shape[0],), self.stopped.is_set(), device=input_ids.device, dtype=torch.bool)


class AnswerStream:
    """One answer, generated in a thread while it is read; see `ReasonStream`.

    Args:
        generate: generates into a streamer, until a criterion stops it.
        tokenizer: of the checkpoint; a fast one.
        prompt_tokens: of the chat.
        end_tokens: that end an answer.
        thinking: whether the chat template has opened a `<think>` part.
        seed: of the draw.
        safety: the safety checker that let the chat through.
    """

    def __init__(
        self,
        generate: Generate,
        *,
        tokenizer: Any,
        prompt_tokens: int,
        end_tokens: tuple[int, ...],
        thinking: bool,
        seed: int,
        safety: str = "off",
    ) -> None:
        self._tokenizer = tokenizer
        self._prompt_tokens = prompt_tokens
        self._end_tokens = end_tokens
        self._seed = seed
        self._safety = safety
        self._tokens = _Tokens()
        self._splitter = ThinkSplitter(thinking=thinking)
        self._ids: list[int] = []
        self._chunks: list[ReasonChunk] = []
        self._pieces = self._read()
        executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reasoner")
        self._generation = executor.submit(generate, self._tokens, self._tokens)
        self._generation.add_done_callback(lambda _: self._tokens.queue.put(None))
        executor.shutdown(wait=False)

    def __iter__(self) -> Iterator[ReasonChunk]:
        """Give the pieces, each once, as they come."""
        return self._pieces

    def result(self) -> Reasoning:
        """Wait for the end, and give the whole answer.

        What went wrong while it was generated is raised here.
        """
        for _ in self._pieces:
            pass
        ended = bool(self._ids) and self._ids[-1] in self._end_tokens
        return Reasoning(
            text="".join(chunk.text for chunk in self._chunks if not chunk.thinking),
            thinking="".join(chunk.text for chunk in self._chunks if chunk.thinking),
            usage=Usage(self._prompt_tokens, len(self._ids)),
            finish_reason="stop" if ended else "length",
            seed=self._seed,
            safety=self._safety,
        )

    def close(self) -> None:
        """Stop before the next token, and wait until that is done."""
        self._tokens.stopped.set()
        wait([self._generation])

    def _read(self) -> Iterator[ReasonChunk]:
        decoder, written = DecodeStream(skip_special_tokens=True), ""
        try:
            while (token := self._tokens.queue.get()) is not None:
                self._ids.append(token)
                piece = decoder.step(self._tokenizer.backend_tokenizer, token) or ""
                written += piece
                yield from self._keep(self._splitter.feed(piece))
            self._generation.result()  # raises what went wrong there
            whole = str(self._tokenizer.backend_tokenizer.decode(self._ids, skip_special_tokens=True))
            yield from self._keep(self._splitter.feed(whole[len(written) :]))  # a character that was cut
            yield from self._keep(self._splitter.flush())
        finally:
            self.close()

    def _keep(self, chunks: Iterator[ReasonChunk]) -> Iterator[ReasonChunk]:
        for chunk in chunks:
            self._chunks.append(chunk)
            yield chunk
