"""Asks a vision-language model behind any service that speaks OpenAI's chat completions."""

import base64
import io
import os
from dataclasses import dataclass
from typing import Any

from PIL import Image

from cosmos_robot.errors import InvalidInputError, MissingDependencyError, ServiceError
from cosmos_robot.types import Frames


@dataclass(frozen=True)
class ChatEndpoint:
    """A model at a service. Called with pictures and a question it gives the answer's text.

    Attributes:
        url: base of the interface, to which `/chat/completions` is added.
        model: name of the model.
        api_key_env: environment variable that holds the key; None sends none. It is read at each question.
        timeout: seconds until a question is given up.
        max_tokens: most tokens of an answer.

    Raises:
        InvalidInputError: if the URL is none of http, or a number is not positive.
    """

    url: str
    model: str
    api_key_env: str | None = None
    timeout: float = 60.0
    max_tokens: int = 256

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise InvalidInputError(f"a judge's url begins with http:// or https://; got {self.url!r}.")
        if self.timeout <= 0 or self.max_tokens < 1:
            raise InvalidInputError("a judge's timeout and max_tokens must be positive.")

    def __call__(self, frames: Frames, question: str) -> str:
        """Ask about frames uint8 `[N, H, W, 3]`.

        Raises:
            ServiceError: if the service cannot be reached, takes too long, refuses, or answers with something else.
            InvalidInputError: if the key's variable is not set.
        """
        try:
            import httpx
        except ImportError as error:
            raise MissingDependencyError(
                "asking a service needs httpx; get it with pip install 'cosmos-robot[server]'."
            ) from error
        where = f"{self.url.rstrip('/')}/chat/completions"
        try:
            response = httpx.post(
                where, json=self._body(frames, question), headers=self._headers(), timeout=self.timeout
            )
        except httpx.TimeoutException as error:
            raise ServiceError(f"the judge at {where} gave no answer within {self.timeout:g} s.") from error
        except httpx.TransportError as error:
            raise ServiceError(f"the judge at {where} cannot be reached: {error}.") from error
        if response.status_code != httpx.codes.OK:
            raise ServiceError(f"the judge at {where} answered {response.status_code}: {response.text[:200]}")
        return self._text(response, where)

    def _body(self, frames: Frames, question: str) -> dict[str, Any]:
        pictures = [{"type": "image_url", "image_url": {"url": _data_url(frame)}} for frame in frames]
        return {
            "model": self.model,
            "messages": [{"role": "user", "content": [*pictures, {"type": "text", "text": question}]}],
            "max_tokens": self.max_tokens,
            "temperature": 0,
        }

    def _headers(self) -> dict[str, str]:
        if self.api_key_env is None:
            return {}
        key = os.environ.get(self.api_key_env)
        if not key:
            raise InvalidInputError(
                f"the judge's key is to be in the environment variable {self.api_key_env}; it is not set."
            )
        return {"Authorization": f"Bearer {key}"}

    def _text(self, response: Any, where: str) -> str:
        try:
            text = response.json()["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError) as error:
            raise ServiceError(f"the judge at {where} gave no chat completion: {response.text[:200]}") from error
        if not isinstance(text, str):
            raise ServiceError(f"the judge at {where} gave an answer without text.")
        return text


def _data_url(frame: Frames) -> str:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
