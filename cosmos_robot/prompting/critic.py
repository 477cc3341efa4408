"""The critic: scores a candidate by sampled frames, and rewrites the prompt of the best."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from cosmos_robot.errors import AnswerError
from cosmos_robot.interface.chat import ImagePart, Message
from cosmos_robot.interface.generation import Candidate, Generation
from cosmos_robot.interface.reason import Reasoner, ReasonRequest, ReasonSampling
from cosmos_robot.types import Frames, is_number

FRAMES = 6
"""Frames of a video that the critic is shown, evenly spread."""

CRITERIA = {
    "prompt_adherence": "it shows all that the request says, and nothing against it",
    "physical_plausibility": "bodies keep their shape and number, and move as they would",
    "visual_quality": "it is sharp, and without artefacts",
    "consistency": "subjects and scene stay the same from frame to frame",
}
"""What is scored, each from 0 to 10; the score is their mean."""

GOOD_ENOUGH = 9.0
"""The score from which no further round is worth it."""

_SYSTEM = "You judge pictures and videos strictly. You answer with one JSON object and nothing else."


@dataclass(frozen=True)
class Verdict:
    """What the critic says of one candidate.

    Attributes:
        scores: from 0 to 10, by criterion.
        problems: what is wrong.
    """

    scores: dict[str, float]
    problems: str

    @property
    def score(self) -> float:
        """The mean."""
        return sum(self.scores.values()) / len(self.scores)


def judge(reasoner: Reasoner, request_prompt: str, generation: Generation) -> Verdict:
    """Score a candidate by what the caller asked for.

    Args:
        reasoner: the critic.
        request_prompt: the caller's own words.
        generation: the candidate.

    Raises:
        ServiceError: if a service cannot be reached or fails.
        AnswerError: if the answer is no verdict.
    """
    frames = sampled(generation.numpy())
    what = "an image" if len(frames) == 1 else f"a video, of which you see {len(frames)} frames in their order"
    criteria = "\n".join(f"- {name}: {meaning}" for name, meaning in CRITERIA.items())
    text = (
        f"This is {what}. It was generated for this request: {request_prompt.strip() or 'the picture goes on.'}\n\n"
        f"Give each of these an integer from 0 (not at all) to 10 (beyond doubt):\n{criteria}\n\n"
        f"and say under 'problems' in one or two sentences what is worst; '' if nothing is."
    )
    answer = reasoner.answer(_request(text, frames, _verdict_schema(), tokens=512)).result().data()
    return read_verdict(answer)


def rewrite(reasoner: Reasoner, request_prompt: str, best: Candidate) -> str:
    """Write a prompt that avoids the problems of the best candidate so far.

    Args:
        reasoner: the critic.
        request_prompt: the caller's own words.
        best: the candidate.

    Raises:
        ServiceError: if a service cannot be reached or fails.
        AnswerError: if the answer holds no prompt.
    """
    text = (
        f"A generator was asked for: {request_prompt.strip()}\n\nIt was given this prompt: {best.generation.prompt}\n\n"
        f"These frames came of it. What is wrong with them: {best.problems or 'nothing in particular'}\n\n"
        f"Write a better prompt under 'prompt', in one paragraph: all that was asked for, and such words that the "
        f"problems do not come again."
    )
    schema = {
        "type": "object",
        "properties": {"prompt": {"type": "string"}},
        "required": ["prompt"],
        "additionalProperties": False,
    }
    answer = reasoner.answer(_request(text, sampled(best.generation.numpy()), schema, tokens=1024)).result().data()
    prompt = answer.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise AnswerError("the answer holds no rewritten prompt.")
    return prompt.strip()


def read_verdict(answer: dict[str, Any]) -> Verdict:
    """Read an answer as a verdict.

    Raises:
        AnswerError: if a score is missing or outside 0 to 10.
    """
    scores = {}
    for name in CRITERIA:
        value: Any = answer.get(name)
        if not (is_number(value) and 0 <= value <= 10):
            raise AnswerError(f"the critic's {name!r} is no number from 0 to 10: {value!r:.100}.")
        scores[name] = float(value)
    return Verdict(scores, str(answer.get("problems") or ""))


def sampled(frames: Frames) -> Frames:
    """At most `FRAMES` frames, evenly spread, first and last among them."""
    count = min(FRAMES, len(frames))
    spread: Frames = frames[np.linspace(0, len(frames) - 1, count).round().astype(int)]
    return spread


def _verdict_schema() -> dict[str, Any]:
    score = {"type": "integer", "minimum": 0, "maximum": 10}
    return {
        "type": "object",
        "properties": {**dict.fromkeys(CRITERIA, score), "problems": {"type": "string"}},
        "required": [*CRITERIA, "problems"],
        "additionalProperties": False,
    }


def _request(text: str, frames: Frames, schema: dict[str, Any], *, tokens: int) -> ReasonRequest:
    return ReasonRequest(
        messages=(Message.of("system", _SYSTEM), Message.of("user", *map(ImagePart, frames), text)),
        sampling=ReasonSampling(max_new_tokens=tokens),
        json=schema,
    )
