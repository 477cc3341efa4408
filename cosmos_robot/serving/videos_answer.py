"""What `/v1/videos` shows of a video: OpenAI's object, with vLLM-Omni's actions and our notes."""

from collections.abc import Mapping
from typing import Any

from cosmos_robot.domains.registry import get_domain
from cosmos_robot.interface.request import ActionRequest
from cosmos_robot.serving.action_block import action_block
from cosmos_robot.serving.answer import Answer
from cosmos_robot.serving.job import Job, JobState, is_id
from cosmos_robot.serving.job_watch import Watch
from cosmos_robot.serving.problems import Kind, Problem, RequestError
from cosmos_robot.serving.question import Question
from cosmos_robot.serving.videos_request import VideosRequest

_PREFIX = "video_gen_"
_DASHES = (8, 12, 16, 20)
_STATUSES = {
    JobState.QUEUED: "queued",
    JobState.RUNNING: "in_progress",
    JobState.DONE: "completed",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "failed",
}
_CANCELLED = Problem(Kind.CANCELLED, "this video was cancelled.")


def video_id(job_id: str) -> str:
    """The id of a video, as vLLM-Omni writes it."""
    return _PREFIX + job_id.replace("-", "")


def job_id(shown: str) -> str:
    """The job of a video.

    Raises:
        RequestError: if the id is none.
    """
    digits = shown.removeprefix(_PREFIX)
    found = "".join(f"-{digit}" if place in _DASHES else digit for place, digit in enumerate(digits))
    if shown == digits or not is_id(found):
        raise no_video()
    return found


def no_video() -> RequestError:
    """There is no video of that id."""
    return RequestError(Kind.NOT_FOUND, "there is no such video.")


def remembered(body: VideosRequest, question: Question, model: str) -> dict[str, Any]:
    """What of a request is shown again with its video."""
    asked = question.requests[0]
    own = (
        {
            "fps": asked.fps or asked.domain.fps,
            "num_frames": asked.action_chunk_size + 1,
            "domain": asked.domain.name,
        }
        if isinstance(asked, ActionRequest)
        else {"fps": asked.fps, "num_frames": asked.num_frames, "domain": None}
    )
    return {
        "model": model,
        "prompt": body.prompt,
        "size": body.size or (None if body.width is None else f"{body.width}x{body.height}"),
        "seconds": body.seconds,
        "seed": asked.seed,
        **own,
    }


def show_video(job: Job, watch: Watch | None, answer: Answer | None, *, keep_seconds: float) -> dict[str, Any]:
    """The object of a video.

    Args:
        job: of the video.
        watch: of a running one.
        answer: of a completed one.
        keep_seconds: how long an ended one is kept.
    """
    told: Mapping[str, Any] = job.options
    shown: dict[str, Any] = {
        "id": video_id(job.id),
        "object": "video",
        "model": told["model"],
        "prompt": told["prompt"],
        "status": _STATUSES[job.state],
        "progress": _progress(job, watch),
        "size": told["size"],
        "seconds": told["seconds"],
        "quality": "default",
        "created_at": int(job.created),
        "completed_at": int(job.finished) if job.state is JobState.DONE and job.finished else None,
        "expires_at": None if job.finished is None else int(job.finished + keep_seconds),
        "remixed_from_video_id": None,
        "error": _error(job),
        "media_type": "video/mp4",
        "file_name": None,
        "fps": told["fps"],
        "num_frames": told["num_frames"],
        "inference_time_s": None,
        "action": None,
        "seed": told["seed"],
        "notes": list(job.notes),
    }
    if answer is not None:
        shown |= _answered(job, answer)
    frames, fps = shown["num_frames"], shown["fps"]
    shown["duration_s"] = frames / fps if frames and fps else None
    if shown["seconds"] is None:
        shown["seconds"] = "4" if shown["duration_s"] is None else str(max(1, round(shown["duration_s"])))
    return shown


def _answered(job: Job, answer: Answer) -> dict[str, Any]:
    """What is known of a video once it is there: it may differ from what was asked for, as the notes say."""
    item = answer.items[0]
    shown: dict[str, Any] = {
        "file_name": f"{video_id(job.id)}.mp4",
        "inference_time_s": answer.seconds,
        "fps": item.fps,
        "seed": item.seed,
    }
    if item.shape is not None:
        shown |= {"size": f"{item.shape[2]}x{item.shape[1]}", "num_frames": item.shape[0]}
    actions = answer.actions()
    if actions is not None and job.mode != "forward_dynamics":
        domain = get_domain(job.options["domain"])
        shown["action"] = action_block(actions[:, : domain.raw_action_dim], domain, job.mode)
    return shown


def _progress(job: Job, watch: Watch | None) -> int:
    if job.state is JobState.DONE:
        return 100
    return 0 if watch is None or not watch.total else min(99, 100 * watch.done // watch.total)


def _error(job: Job) -> dict[str, str] | None:
    problem = _CANCELLED if job.state is JobState.CANCELLED else job.problem
    return None if problem is None else {"code": problem.kind.label, "message": problem.message}
