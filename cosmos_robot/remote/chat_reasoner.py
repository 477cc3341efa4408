"""A reasoner behind any service that speaks OpenAI's chat completions: vLLM, NIM, a hosted model."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cosmos_robot.errors import AnswerError, InvalidInputError, ServiceError
from cosmos_robot.interface.reason import ReasonChunk, Reasoning, ReasonRequest
from cosmos_robot.remote.chat_words import chat_body, read_completion
from cosmos_robot.types import is_number

MOST_BYTES = 2**24
"""The longest answer that is taken into memory: a hundred times the longest caption."""


@dataclass(frozen=True)
class ChatReasoner:
    """A model at a service.

    Attributes:
        url: base of the interface, as in "http://localhost:8000/v1"; "/chat/completions" is added.
        model: name of the model there.
        api_key: sent as a bearer token; None sends none.
        timeout: seconds until an answer that is not whole is given up.
        extensions: whether `top_k` and `repetition_penalty` are sent, which vLLM and NIM take and OpenAI refuses.

    Raises:
        InvalidInputError: if the URL is none of http, the timeout is not positive, or no header can carry the key.
    """

    url: str
    model: str
    api_key: str | None = field(default=None, repr=False)
    timeout: float = 120.0
    extensions: bool = False

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")) or not _names_a_host(self.url):
            raise InvalidInputError(
                f"a reasoner's url is http:// or https:// with a host, as in http://localhost:8000; got {self.url!r}."
            )
        if not (is_number(self.timeout) and self.timeout > 0):
            raise InvalidInputError(f"a reasoner's timeout must be a positive number of seconds; got {self.timeout!r}.")
        if self.api_key is not None and not (self.api_key.isascii() and self.api_key.isprintable()):
            raise InvalidInputError("a reasoner's api_key is printable ASCII in one line; is there a line break in it?")

    def answer(self, request: ReasonRequest) -> "WholeAnswer":
        """Ask, and wait for the whole answer.

        Raises:
            ServiceError: if the service cannot be reached, takes too long, or answers with an error.
            AnswerError: if it refuses, or gives no chat completion.
        """
        body = chat_body(request, model=self.model, extensions=self.extensions)
        return WholeAnswer(read_completion(self._post(body), request, f"the reasoner {self.model}"))

    def _post(self, body: dict[str, Any]) -> Any:
        import httpx

        where = f"{self.url.rstrip('/').removesuffix('/chat/completions')}/chat/completions"
        headers = {} if self.api_key is None else {"Authorization": f"Bearer {self.api_key}"}
        late = ServiceError(f"the reasoner at {where} gave no answer within {self.timeout:g} s.")
        end, content = time.monotonic() + self.timeout, bytearray()
        try:
            with httpx.stream("POST", where, json=body, headers=headers, timeout=self.timeout) as response:
                for part in response.iter_bytes():
                    content += part
                    if len(content) > MOST_BYTES:
                        raise AnswerError(f"the reasoner at {where} gave an answer of more than {MOST_BYTES} bytes.")
                    if time.monotonic() > end:  # httpx's own limit is that of each read
                        raise late
        except httpx.TimeoutException as error:
            raise late from error
        except httpx.RequestError as error:
            raise ServiceError(f"the reasoner at {where} cannot be reached: {str(error).rstrip('.')}.") from error
        text = content.decode(errors="replace")
        if response.status_code != httpx.codes.OK:
            raise ServiceError(f"the reasoner at {where} answered {response.status_code}: {text[:200]}")
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise AnswerError(f"the reasoner at {where} gave no JSON: {text[:200]!r}.") from error


def _names_a_host(url: str) -> bool:
    import httpx

    try:
        return bool(httpx.URL(url).host.encode("idna"))
    except (httpx.InvalidURL, UnicodeError):
        return False


class WholeAnswer:
    """An answer that came at once; see `ReasonStream`."""

    def __init__(self, reasoning: Reasoning) -> None:
        self._reasoning = reasoning
        both = (ReasonChunk(reasoning.thinking, thinking=True), ReasonChunk(reasoning.text))
        self._pieces = iter([piece for piece in both if piece.text])

    def __iter__(self) -> Iterator[ReasonChunk]:
        """Give its pieces, each once."""
        return self._pieces

    def result(self) -> Reasoning:
        """Give the whole answer."""
        return self._reasoning

    def close(self) -> None:
        """Give no further piece."""
        self._pieces = iter([])
