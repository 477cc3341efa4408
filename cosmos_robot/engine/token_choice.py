"""Which token comes next: transformers' own processors of scores, in the order in which they are applied."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from cosmos_robot.interface.reason import ReasonSampling


class PresencePenalty(LogitsProcessor):  # type: ignore[misc]
    """Takes a penalty from the scores of tokens that stand in the answer already, as OpenAI's interface does.

    Args:
        penalty: what is taken; negative favours them.
        prompt_tokens: how many tokens before the answer do not count.
    """

    def __init__(self, penalty: float, prompt_tokens: int) -> None:
        self._penalty = penalty
        self._prompt_tokens = prompt_tokens

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Change the scores `[1, vocabulary]` after the tokens `[1, L]`."""
        said = torch.zeros_like(scores, dtype=torch.bool)
        said.scatter_(1, input_ids[:, self._prompt_tokens :], True)
        return scores - self._penalty * said


class SeededDraw(LogitsProcessor):  # type: ignore[misc]
    """Draws the token by a generator of its own, and leaves it alone with a finite score.

    transformers draws from torch's global generator, which other threads share. This draws the same tokens as it does
    right after `torch.manual_seed(seed)`.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._generator: torch.Generator | None = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Choose by the scores `[1, vocabulary]`, which are logarithms of probabilities up to a constant."""
        if self._generator is None:  # only the scores say where they are
            self._generator = torch.Generator(scores.device).manual_seed(self._seed)
        chosen = torch.multinomial(torch.softmax(scores, dim=-1), num_samples=1, generator=self._generator)
        return torch.full_like(scores, -torch.inf).scatter(1, chosen, 0.0)


def token_choice(
    sampling: ReasonSampling, *, prompt_tokens: int, grammar: Sequence[Callable[..., Any]] = ()
) -> LogitsProcessorList:
    """Put the processors together: penalties, the grammar, then the draw. Behind them the highest score wins.

    Args:
        sampling: what the caller asked for.
        prompt_tokens: length of the chat.
        grammar: processors that forbid tokens.
    """
    chain: list[Any] = []
    if sampling.repetition_penalty != 1.0:
        chain.append(RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
    if sampling.presence_penalty != 0.0:
        chain.append(PresencePenalty(sampling.presence_penalty, prompt_tokens))
    chain += grammar
    if sampling.do_sample:
        chain.append(TemperatureLogitsWarper(sampling.temperature))
        if sampling.top_k is not None:
            chain.append(TopKLogitsWarper(sampling.top_k))
        if sampling.top_p is not None:
            chain.append(TopPLogitsWarper(sampling.top_p))
        chain.append(SeededDraw(sampling.seed))
    return LogitsProcessorList(chain)
