"""One sample of the mode that answers in text, in the field's own JSON words.

The files are those of the published examples (`inputs/reasoner/*.json` of cosmos-framework), taken as they are.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from cosmos_robot.cli.model_choice import ModelRecord
from cosmos_robot.cli.samples import Count, Positive, folder_name
from cosmos_robot.datasets.images import IMAGE_SUFFIXES, read_image
from cosmos_robot.datasets.video import VIDEO_SUFFIXES, read_video
from cosmos_robot.errors import MediaError
from cosmos_robot.interface.reason import Reasoning, ReasonRequest, ReasonSampling
from cosmos_robot.interface.reason_mode import VIDEO_FPS, make_chat


class ReasonSample(BaseModel):
    """One question.

    Attributes:
        name: of the sample, and of its folder; where there is none, the file's name.
        model_mode: always "reasoner".
        prompt: the question.
        system_prompt: what stands before it. Ours.
        vision_path: path or URL of the image or the video that it is about.
        max_new_tokens: see `ReasonSampling`, as are the following.
        do_sample: likewise.
        temperature: likewise.
        top_p: likewise.
        top_k: likewise.
        repetition_penalty: likewise.
        presence_penalty: likewise.
        seed: likewise.
        video_fps: how many frames a second of a video are looked at.
        json_schema: what the answer is held to; {"type": "object"} is any JSON object. Ours.
        extra: anything; kept and not looked at.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: str
    model_mode: Literal["reasoner"] = "reasoner"
    prompt: str
    system_prompt: str | None = None
    vision_path: str | None = None
    max_new_tokens: Count = 1024
    do_sample: bool = False
    temperature: Positive = 1.0
    top_p: Positive | None = None
    top_k: Count | None = None
    repetition_penalty: Positive = 1.0
    presence_penalty: float = 0.0
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    video_fps: Positive = VIDEO_FPS
    json_schema: dict[str, Any] | None = None
    extra: dict[str, Any] = {}

    @field_validator("name")
    @classmethod
    def _is_a_folder_name(cls, name: str) -> str:
        return folder_name(name)


class ReasonOutputs(ModelRecord):
    """What came of a question, with what it was answered with.

    Attributes:
        name: of the sample.
        status: always "ok": a sample that failed has no folder.
        mode: always "reasoner".
        files: names of the files beside this one.
        reasoner_text: the answer, without its `<think>` parts.
        thinking: what stood in those.
        finish_reason: "stop", or "length" where `max_new_tokens` cut it.
        prompt_tokens: of the question, with what was shown.
        completion_tokens: of the answer.
        seed: of the draw.
        safety: the safety checker that looked at the question.
        seconds: that it took.
        warnings: sentences of doubt.
    """

    name: str
    status: Literal["ok"] = "ok"
    mode: str = "reasoner"
    files: list[str]
    reasoner_text: str
    thinking: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    seed: int
    safety: str
    seconds: float
    warnings: list[str]


def make_request(sample: ReasonSample, vision: Path | None) -> ReasonRequest:
    """Read and check everything that a question names.

    Args:
        sample: the question.
        vision: where its image or video lies on this machine.

    Raises:
        InvalidInputError: if something does not fit; the message says what was expected.
    """
    own = ReasonSampling.__dataclass_fields__
    sampling = ReasonSampling(**{name: value for name, value in dict(sample).items() if name in own})
    shown: dict[str, Any] = {} if vision is None else _shown(vision)
    messages = make_chat(sample.prompt, system=sample.system_prompt, **shown)
    return ReasonRequest(messages, sampling, json=sample.json_schema or False, video_fps=sample.video_fps)


def describe_reasoning(
    sample: ReasonSample,
    answer: Reasoning,
    record: ModelRecord,
    *,
    files: list[str],
    seconds: float,
    warnings: list[str],
) -> ReasonOutputs:
    """Say what came of a question; for the arguments see `ReasonOutputs`."""
    return ReasonOutputs(
        **dict(record),
        name=sample.name,
        files=files,
        reasoner_text=answer.text,
        thinking=answer.thinking,
        finish_reason=answer.finish_reason,
        prompt_tokens=answer.usage.prompt_tokens,
        completion_tokens=answer.usage.completion_tokens,
        seed=answer.seed,
        safety=answer.safety,
        seconds=round(seconds, 3),
        warnings=list(warnings),
    )


def _shown(path: Path) -> dict[str, Any]:
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return {"image": read_image(path)}
    if suffix not in VIDEO_SUFFIXES:
        raise MediaError(f"a question is about one of {', '.join((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))}; got {path}.")
    frames, fps = read_video(path)
    return {"video": frames, "fps": fps}
