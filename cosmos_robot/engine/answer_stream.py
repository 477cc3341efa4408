"""An answer on its way: tokens from a thread that generates, pieces of text for the caller."""

import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
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

_LOOK_SECONDS = 0.05
"""How often an answer that waits for its turn looks whether it is still wanted."""


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

    What nobody can read any more is not generated: when both the stream and its iterator are dropped, it stops.

    Args:
        generate: generates into a streamer, until a criterion stops it.
        turn: held while it generates; others wait for it.
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
        turn: threading.Lock,
        tokenizer: Any,
        prompt_tokens: int,
        end_tokens: tuple[int, ...],
        thinking: bool,
        seed: int,
        safety: str = "off",
    ) -> None:
        self._prompt_tokens = prompt_tokens
        self._end_tokens = end_tokens
        self._seed = seed
        self._safety = safety
        self._tokens = tokens = _Tokens()
        executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reasoner")
        self._generation = executor.submit(_in_turn, generate, tokens, turn)
        self._generation.add_done_callback(lambda _: tokens.queue.put(None))
        executor.shutdown(wait=False)
        self._read = _Read()
        decoded = _decoded(tokens, self._generation, tokenizer.backend_tokenizer, self._read.ids)
        self._pieces = _pieces(decoded, ThinkSplitter(thinking=thinking), self._read.chunks)
        weakref.finalize(self._pieces, tokens.stopped.set)  # also where it was never begun

    def __iter__(self) -> Iterator[ReasonChunk]:
        """Give the pieces, each once, as they come."""
        return self._pieces

    def result(self) -> Reasoning:
        """Wait for the end, and give the whole answer.

        What went wrong while it was generated is raised here.
        """
        for _ in self._pieces:
            pass
        self._generation.result()  # raises it, also when it is asked for again
        ids, chunks = self._read.ids, self._read.chunks
        ended = bool(ids) and ids[-1] in self._end_tokens
        return Reasoning(
            text="".join(chunk.text for chunk in chunks if not chunk.thinking),
            thinking="".join(chunk.text for chunk in chunks if chunk.thinking),
            usage=Usage(self._prompt_tokens, len(ids)),
            finish_reason="stop" if ended else "length",
            seed=self._seed,
            safety=self._safety,
        )

    def close(self) -> None:
        """Stop before the next token, and wait until that is done."""
        self._tokens.stopped.set()
        wait([self._generation])


@dataclass(frozen=True)
class _Read:
    """What has been read of an answer: its tokens, and the pieces that they made."""

    ids: list[int] = field(default_factory=list)
    chunks: list[ReasonChunk] = field(default_factory=list)


def _in_turn(generate: Generate, tokens: _Tokens, turn: threading.Lock) -> None:
    """Generate when no other answer is being generated, unless this one is stopped before."""
    while not turn.acquire(timeout=_LOOK_SECONDS):
        if tokens.stopped.is_set():
            return
    try:
        if not tokens.stopped.is_set():
            generate(tokens, tokens)
    finally:
        turn.release()


def _decoded(tokens: _Tokens, generation: Future[None], tokenizer: Any, ids: list[int]) -> Iterator[str]:
    """Give the text of tokens as they come, characters whole, and keep the tokens."""
    decoder, written = DecodeStream(skip_special_tokens=True), ""
    try:
        while (token := tokens.queue.get()) is not None:
            ids.append(token)
            piece = decoder.step(tokenizer, token) or ""
            written += piece
            yield piece
        generation.result()  # raises what went wrong there
        yield str(tokenizer.decode(ids, skip_special_tokens=True))[len(written) :]  # a character that was cut
    finally:
        tokens.stopped.set()
        wait([generation])


def _pieces(texts: Iterator[str], splitter: ThinkSplitter, kept: list[ReasonChunk]) -> Iterator[ReasonChunk]:
    """Give the pieces of a text with `<think>` parts told apart, and keep them."""
    for text in texts:
        for chunk in splitter.feed(text):
            kept.append(chunk)
            yield chunk
    for chunk in splitter.flush():
        kept.append(chunk)
        yield chunk
