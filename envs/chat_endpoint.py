"""Asks a vision-language model behind any service that speaks OpenAI's chat completions, for `LanguageJudge`."""

import os
from dataclasses import dataclass

from cosmos_robot.errors import AnswerError, InvalidInputError, ServiceError
from cosmos_robot.interface.chat import ImagePart, Message
from cosmos_robot.interface.reason import ReasonRequest, ReasonSampling
from cosmos_robot.remote.chat_reasoner import ChatReasoner
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
        ChatReasoner(self.url, self.model, timeout=self.timeout)
        ReasonSampling(max_new_tokens=self.max_tokens)

    def __call__(self, frames: Frames, question: str) -> str:
        """Ask about frames uint8 `[N, H, W, 3]`.

        Raises:
            ServiceError: if the service cannot be reached, takes too long, refuses, or answers with something else.
            InvalidInputError: if the key's variable is not set.
        """
        reasoner = ChatReasoner(self.url, self.model, api_key=self._key(), timeout=self.timeout)
        message = Message("user", (*map(ImagePart, frames), question))
        likeliest = ReasonSampling(do_sample=False, max_new_tokens=self.max_tokens)
        try:
            return reasoner.answer(ReasonRequest((message,), likeliest)).result().text
        except AnswerError as error:  # to an environment it is a step that may be tried again
            raise ServiceError(f"the judge did not judge: {error}") from error

    def _key(self) -> str | None:
        if self.api_key_env is None:
            return None
        key = os.environ.get(self.api_key_env)
        if not key:
            raise InvalidInputError(
                f"the judge's key is to be in the environment variable {self.api_key_env}; it is not set."
            )
        return key
