"""Agentic generation: candidates in rounds, each judged, the prompt rewritten after the best, the best kept."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from cosmos_robot.errors import InvalidInputError, PromptWarning, UnsafeContentError
from cosmos_robot.interface.generation import AgenticRecord, Candidate, Generation
from cosmos_robot.interface.media_request import MediaRequest
from cosmos_robot.interface.reason import Reasoner
from cosmos_robot.prompting.critic import GOOD_ENOUGH, judge, rewrite
from cosmos_robot.prompting.failures import FAILURES
from cosmos_robot.safety.checker import SafetyChecker
from cosmos_robot.types import Progress


class GenerateOnce(Protocol):
    """Generates each request once."""

    def __call__(self, requests: Sequence[MediaRequest], *, progress: Progress | None = None) -> list[Generation]:
        """Answer requests, in their order."""
        ...


@dataclass(frozen=True)
class Agentic:
    """The loop. It renders at most `agentic_max_iterations * agentic_samples_per_iteration` candidates, none twice.

    Attributes:
        generate_once: renders the candidates of a round together.
        critic: scores and rewrites.
        safety: looks at rewritten prompts.
        require_fits: refuses a rewritten prompt that is too long, with `InvalidInputError`.
    """

    generate_once: GenerateOnce
    critic: Reasoner
    safety: SafetyChecker
    require_fits: Callable[[MediaRequest], None]

    def generate(self, request: MediaRequest, *, progress: Progress | None = None) -> Generation:
        """Answer one request with the best of its candidates.

        Candidate `k` of all, counted from 0, has the request's seed plus `k` (behind the largest seed comes 0). A
        candidate that could not be judged is kept without a score, and loses against every one that has one.
        """
        rounds, samples = request.agentic_max_iterations, request.agentic_samples_per_iteration
        prompt, candidates, enough = request.prompt, [], False
        for iteration in range(rounds):
            asked = [
                replace(request, prompt=prompt, seed=(request.seed + iteration * samples + k) % 2**63, agentic=False)
                for k in range(samples)
            ]
            made = self.generate_once(asked, progress=_round(progress, iteration, rounds))
            candidates += [self._judged(iteration, request.prompt, generation) for generation in made]
            best = candidates[_best(candidates)]
            enough = request.agentic_early_stop and best.score is not None and best.score >= GOOD_ENOUGH
            if enough or iteration + 1 == rounds:
                break
            prompt = self._rewritten(request, best)
        chosen = _best(candidates)
        record = AgenticRecord(tuple(candidates), chosen, stopped_early=enough and len(candidates) < rounds * samples)
        return replace(candidates[chosen].generation, prompt=request.prompt, agentic=record)

    def _judged(self, iteration: int, prompt: str, generation: Generation) -> Candidate:
        try:
            verdict = judge(self.critic, prompt, generation)
        except (*FAILURES, InvalidInputError) as error:
            warnings.warn(f"a candidate was not judged: {error}", PromptWarning, stacklevel=2)
            return Candidate(iteration, generation, None, {}, f"not judged: {error}")
        return Candidate(iteration, generation, verdict.score, verdict.scores, verdict.problems)

    def _rewritten(self, request: MediaRequest, best: Candidate) -> str:
        """The next round's prompt: the best candidate's, where it cannot be rewritten."""
        try:
            written = rewrite(self.critic, request.prompt, best)
            self.safety.check_prompt(written)
            self.require_fits(replace(request, prompt=written))
        except (*FAILURES, InvalidInputError, UnsafeContentError) as error:
            warnings.warn(f"the prompt was not rewritten: {error}", PromptWarning, stacklevel=2)
            return best.generation.prompt
        return written


def _best(candidates: Sequence[Candidate]) -> int:
    """Index of the highest score, of equal ones the first."""
    scores = [-1.0 if candidate.score is None else candidate.score for candidate in candidates]
    return scores.index(max(scores))


def _round(progress: Progress | None, iteration: int, rounds: int) -> Progress | None:
    if progress is None:
        return None
    return lambda done, total: progress(iteration * total + done, rounds * total)
