"""What happens around a generation: its prompt is checked and upsampled, candidates are judged, frames are checked."""

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from cosmos_robot.errors import InvalidInputError, PromptWarning, UnsafeContentError
from cosmos_robot.interface.generation import Generation
from cosmos_robot.interface.media_request import MediaRequest
from cosmos_robot.interface.reason import Reasoner
from cosmos_robot.prompting.agentic import Agentic
from cosmos_robot.prompting.facts import CaptionFacts
from cosmos_robot.prompting.failures import FAILURES
from cosmos_robot.prompting.upsampler import upsample
from cosmos_robot.safety.checker import SafetyChecker, check_prompts
from cosmos_robot.types import Progress


class Render(Protocol):
    """Generates finished requests, those that can share a forward pass together."""

    def __call__(self, requests: Sequence[MediaRequest], *, progress: Progress | None = None) -> list[Generation]:
        """Answer requests, in their order."""
        ...


@dataclass(frozen=True)
class Refinement:
    """The way of a request through everything around its generation.

    Attributes:
        render: generates.
        facts: finds the size and length of what a request asks for.
        require_fits: refuses a prompt that is too long, with `InvalidInputError`.
        reasoner: gives what rewrites and judges; raises `UnsupportedModeError` where there is none.
        safety: looks at prompts and frames.
    """

    render: Render
    facts: Callable[[MediaRequest], CaptionFacts]
    require_fits: Callable[[MediaRequest], None]
    reasoner: Callable[[], Reasoner]
    safety: SafetyChecker

    def generate(self, requests: Sequence[MediaRequest], *, progress: Progress | None = None) -> list[Generation]:
        """Answer requests, in their order; those without candidates together.

        Raises:
            UnsafeContentError: if the safety checker refuses a prompt or frames.
            UnsupportedModeError: if candidates are to be judged, and there is no reasoner.
        """
        for request in requests:
            check_prompts(self.safety, request.prompt, request.upsampled_prompt, request.negative_prompt)
        chosen = [request for request in requests if request.agentic]
        plain = [request for request in requests if not request.agentic]
        critics = [self.reasoner() for _ in chosen]  # a missing one shows before anything is rendered
        parts = _Parts(progress, len(chosen) + bool(plain))
        made = dict(zip(map(id, plain), self.once(plain, progress=parts.next()) if plain else [], strict=True))
        for request, critic in zip(chosen, critics, strict=True):
            agentic = Agentic(self.once, critic, self.safety, self.require_fits)
            made[id(request)] = agentic.generate(request, progress=parts.next())
        return [made[id(request)] for request in requests]

    def once(self, requests: Sequence[MediaRequest], *, progress: Progress | None = None) -> list[Generation]:
        """Generate each request once, its prompt upsampled where that is wanted, its frames checked."""
        finished = self._upsampled(requests)
        answers = self.render(finished, progress=progress)
        return [replace(answer, safety=self.safety.name) for answer in answers]

    def _upsampled(self, requests: Sequence[MediaRequest]) -> list[MediaRequest]:
        """Upsample prompts, each different one once."""
        known: dict[tuple[object, ...], str | None] = {}
        finished = []
        for request in requests:
            if not request.upsample or request.upsampled_prompt is not None:
                finished.append(request)
                continue
            facts = self.facts(request)
            key = (request.prompt, facts, id(request.frames))
            if key not in known:
                known[key] = self._caption(request, facts)
            caption = known[key]
            finished.append(request if caption is None else replace(request, upsampled_prompt=caption))
        return finished

    def _caption(self, request: MediaRequest, facts: CaptionFacts) -> str | None:
        """The caption of a prompt, or None, with a warning, where the prompt is to be used as it is."""
        try:
            picture = None if request.frames is None else request.frames[0]
            caption = upsample(self.reasoner(), request.prompt, facts, picture=picture)
            self.safety.check_prompt(json.dumps(json.loads(caption), ensure_ascii=False))  # letters, and not escapes
            self.require_fits(replace(request, upsampled_prompt=caption))
        except (*FAILURES, UnsafeContentError, InvalidInputError) as error:
            warnings.warn(f"the prompt was not upsampled and is used as it is: {error}", PromptWarning, stacklevel=2)
            return None
        return caption


class _Parts:
    """The progress of parts that follow one another, each taken for equally long."""

    def __init__(self, progress: Progress | None, count: int) -> None:
        self._progress = progress
        self._count = count
        self._started = -1

    def next(self) -> Progress | None:
        """The progress of the next part."""
        self._started += 1
        if self._progress is None or self._count == 1:
            return self._progress
        whole, before, count = self._progress, self._started, self._count
        return lambda done, total: whole(before * total + done, count * total)
