"""The body of OpenAI's chat completions, with the fields that vLLM adds for pictures, videos and sampling."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_Words = Annotated[str, Field(min_length=1)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class TextPart(_Body):
    """Words."""

    type: Literal["text"]
    text: str


class ImageUrl(_Body):
    """Where a picture is; the checkpoint's processor decides how closely it is looked at, whatever `detail` says."""

    url: _Words
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(_Body):
    """A picture."""

    type: Literal["image_url"]
    image_url: ImageUrl


class VideoUrl(_Body):
    """Where a video is."""

    url: _Words


class VideoPart(_Body):
    """A video, as vLLM takes it."""

    type: Literal["video_url"]
    video_url: VideoUrl


type Part = Annotated[TextPart | ImagePart | VideoPart, Field(discriminator="type")]


def _as_parts(content: object) -> object:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _as_list(words: object) -> object:
    return [words] if isinstance(words, str) else words


class ChatMessage(_Body):
    """One turn. What an earlier answer of this server holds beside its words may come back, and is not looked at."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[list[Part], BeforeValidator(_as_parts), Field(min_length=1)]
    name: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: None = None
    annotations: None = None
    audio: None = None
    function_call: None = None
    tool_calls: None = None


class StreamOptions(_Body):
    """What a stream tells beside the answer."""

    include_usage: bool = False


class AnyFormat(_Body):
    """No form is asked for."""

    type: Literal["text"]


class JsonFormat(_Body):
    """A JSON object."""

    type: Literal["json_object"]


class JsonSchema(_Body):
    """A JSON schema and its name."""

    name: str
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    description: str | None = None
    strict: bool | None = None


class SchemaFormat(_Body):
    """A JSON object of a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


class MediaRate(_Body):
    """How many frames a second of a video are looked at."""

    fps: Annotated[float, Field(gt=0, le=60, allow_inf_nan=False)] | None = None


class MediaIo(_Body):
    """vLLM's settings of how media are read."""

    video: MediaRate | None = None


class ChatRequest(_Body):
    """One chat. Behind the fields that are OpenAI's come those that vLLM adds, then those that only note something."""

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    model: str | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = 1.0
    top_p: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = 1.0
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    stop: Annotated[list[_Words], BeforeValidator(_as_list), Field(max_length=4)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)] | None = 0.0
    response_format: Annotated[AnyFormat | JsonFormat | SchemaFormat, Field(discriminator="type")] | None = None

    top_k: Annotated[int, Field(ge=-1)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] | None = 1.0
    media_io_kwargs: MediaIo | None = None
    mm_processor_kwargs: MediaRate | None = None

    user: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    parallel_tool_calls: bool | None = None

    n: Any = None
    frequency_penalty: Any = None
    logprobs: Any = None
    top_logprobs: Any = None
    logit_bias: Any = None
    tools: Any = None
    tool_choice: Any = None
    functions: Any = None
    function_call: Any = None
    modalities: Any = None
    audio: Any = None
    prediction: Any = None
    web_search_options: Any = None
    reasoning_effort: Any = None
    verbosity: Any = None


MEANS_NOTHING: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "frequency_penalty": (0,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "web_search_options": (),
    "reasoning_effort": (),
    "verbosity": (),
}
"""Documented fields that this server cannot do anything about, and the values beside None that ask for nothing."""
