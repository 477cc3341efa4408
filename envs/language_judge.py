"""A reward that asks a vision-language model whether the task is done.

The model is anything that answers a question about pictures: `ChatEndpoint` asks any service that speaks OpenAI's chat
completions, `ReasonerAsk` the reasoner of a world model on this machine, and a function can ask any other.
"""

import json
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from cosmos_robot.envs.chat_endpoint import ChatEndpoint
from cosmos_robot.envs.protocols import ImaginedStep, Judgement
from cosmos_robot.envs.reasoner_ask import ReasonerAsk
from cosmos_robot.errors import InvalidInputError, ServiceError
from cosmos_robot.interface.thinking import CLOSE, OPEN, ThinkSplitter
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.types import Frames

QUESTION = (
    "The pictures show, in order of time, what a robot's camera sees. The robot was told: {task}\n"
    "Judge by the last picture how far the task is done. Answer with JSON alone, in this form: "
    '{"success": true or false, "progress": a number from 0 (nothing done) to 1 (done)}'
)


class Ask(Protocol):
    """What answers a question about pictures. One that also has `close()` is closed with its judge."""

    def __call__(self, frames: Frames, question: str, /) -> str:
        """Answer a question about frames uint8 `[N, H, W, 3]`."""
        ...


class LanguageJudge:
    """The reward is the progress that a vision-language model sees, 0 to 1; success is its verdict.

    `info` has `judge_progress`. The environments of a batch are judged at the same time.

    Args:
        ask: what answers.
        question: with `{task}` where the prompt stands; None takes `QUESTION`.
        num_frames: pictures that are shown: the episode's first, then others spread over the step up to its last.
        parallel: questions under way at once.

    Raises:
        InvalidInputError: if a number is not positive, or the question has no place for the task.
    """

    def __init__(self, ask: Ask, *, question: str | None = None, num_frames: int = 4, parallel: int = 8) -> None:
        if num_frames < 1 or parallel < 1:
            raise InvalidInputError(f"num_frames and parallel must be at least 1; got {num_frames} and {parallel}.")
        self._question = QUESTION if question is None else question
        if "{task}" not in self._question:
            raise InvalidInputError("the judge's question needs {task}, where the prompt is put in.")
        self._ask, self._num_frames, self._parallel = ask, num_frames, parallel

    @classmethod
    def at(cls, url: str, model: str, **options: Any) -> Self:
        """Make a judge that asks a service.

        Args:
            url: base of the interface, as in "https://api.openai.com/v1" or "http://localhost:8000/v1".
            model: name of the model there.
            options: `api_key_env`, `timeout`, `max_tokens` of `ChatEndpoint`, and those of the judge.
        """
        endpoint = {name: options.pop(name) for name in ("api_key_env", "timeout", "max_tokens") if name in options}
        return cls(ChatEndpoint(url, model, **endpoint), **options)

    @classmethod
    def of_reasoner(cls, world_model: str | Path | WorldModel, **options: Any) -> Self:
        """Make a judge that asks the reasoner of a world model on this machine, one question after another.

        Args:
            world_model: name or path of a checkpoint with a reasoner, or a `WorldModel`.
            options: `device`, `dtype`, `sampling` of `ReasonerAsk`, and those of the judge.
        """
        own = {name: options.pop(name) for name in ("device", "dtype", "sampling") if name in options}
        return cls(ReasonerAsk(world_model, **own), parallel=1, **options)

    def judge(self, steps: Sequence[ImaginedStep]) -> list[Judgement]:
        """Judge steps.

        Raises:
            ServiceError: if the service fails, or its answer is not what was asked for.
        """
        with ThreadPoolExecutor(max_workers=min(self._parallel, max(1, len(steps)))) as pool:
            return list(pool.map(self._judge_one, steps))

    def close(self) -> None:
        """Close what answers, where it has something to close."""
        close = getattr(self._ask, "close", None)
        if close is not None:
            close()

    def _judge_one(self, step: ImaginedStep) -> Judgement:
        last = len(step.frames) - 1
        chosen = np.unique(np.linspace(min(1, last), last, max(1, self._num_frames - 1)).round().astype(int))
        frames = step.frames[chosen]
        if self._num_frames > 1:
            frames = np.concatenate([step.start_frame[None], frames])
        answer = self._ask(frames, self._question.replace("{task}", step.prompt))
        verdict = _read(answer)
        progress = verdict["progress"]
        return Judgement(progress, verdict["success"], {"judge_progress": progress})


def _read(answer: str) -> Mapping[str, Any]:
    """Read the last verdict out of an answer that may have thoughts, words or a code fence around it."""
    for found in reversed(re.findall(r"\{[^{}]*\}", _without_thoughts(answer))):
        try:
            verdict = json.loads(found)
        except json.JSONDecodeError:
            continue
        success, progress = verdict.get("success"), verdict.get("progress")
        if isinstance(success, bool) and isinstance(progress, int | float) and 0.0 <= progress <= 1.0:
            return {"success": success, "progress": float(progress)}
    raise ServiceError(
        "the judge's answer has no JSON with success (true or false) and progress (0 to 1); it said: "
        f"{answer.strip()[:200]!r}."
    )


def _without_thoughts(answer: str) -> str:
    template_opened = CLOSE in answer.partition(OPEN)[0]
    splitter = ThinkSplitter(thinking=template_opened)
    pieces = [*splitter.feed(answer), *splitter.flush()]
    return "".join(piece.text for piece in pieces if not piece.thinking)
