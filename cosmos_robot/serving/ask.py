"""Asking a world model the questions of a batch, in one call."""

from collections.abc import Sequence
from dataclasses import replace

from cosmos_robot.errors import UnsupportedModeError
from cosmos_robot.interface.chain import chain
from cosmos_robot.interface.generation import Generation
from cosmos_robot.interface.media_request import MediaRequest
from cosmos_robot.interface.request import ActionRequest
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.serving.question import Question
from cosmos_robot.types import Progress, Rollout

type Result = Rollout | Generation


def ask(
    world_model: WorldModel, questions: Sequence[Question], *, longest: int | None, progress: Progress
) -> list[list[Result]]:
    """Answer questions of one batch key.

    Args:
        world_model: what answers.
        questions: of one mode.
        longest: actions of the longest chunk that the model takes, or None; longer forward dynamics are chained.
        progress: told of each denoising step of the whole; it may raise to stop.

    Returns:
        The results of each question's requests.
    """
    requests = [request for question in questions for request in question.requests]
    media = [request for request in requests if isinstance(request, MediaRequest)]
    actions = [request for request in requests if isinstance(request, ActionRequest)]
    results: list[Result] = []
    if media:
        results += _generate_media(world_model, media, progress)
    elif longest is not None and actions[0].actions is not None and actions[0].action_chunk_size > longest:
        cut = [replace(request, action_chunk_size=longest) for request in actions]
        results += chain(world_model.generate, cut, progress=progress)
    else:
        results += world_model.generate(actions, progress=progress)
    answered = iter(results)
    return [[next(answered) for _ in question.requests] for question in questions]


def _generate_media(world_model: WorldModel, requests: list[MediaRequest], progress: Progress) -> list[Generation]:
    """Generate; candidates that nobody can judge are not made, and the answer says so."""
    try:
        return world_model.generate_media(requests, progress=progress)
    except UnsupportedModeError:
        if not any(request.agentic for request in requests):
            raise
    note = "agentic generation was asked for; this checkpoint has no reasoner that judges, so there is one candidate."
    single = [replace(request, agentic=False, notes=(*request.notes, note)) for request in requests]
    return world_model.generate_media(single, progress=progress)
