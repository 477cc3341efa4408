"""What the world models behind services share, whichever way they send: service, retries, safety checker."""

import random
from collections.abc import Sequence
from dataclasses import replace

from cosmos_robot.domains.nearest_names import did_you_mean
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.chat import all_said
from cosmos_robot.interface.generation import Generation
from cosmos_robot.interface.media_request import MediaRequest
from cosmos_robot.interface.reason import Reasoning, ReasonRequest
from cosmos_robot.interface.request import ActionRequest
from cosmos_robot.remote.address import Address
from cosmos_robot.remote.baseten import Baseten
from cosmos_robot.remote.cosmic import Cosmic
from cosmos_robot.remote.exchange import Exchange, Sending
from cosmos_robot.remote.fal import Fal
from cosmos_robot.remote.nim import Nim
from cosmos_robot.remote.options import RemoteOptions, RemoteSettings
from cosmos_robot.remote.own_server import OwnServer
from cosmos_robot.remote.pixazo import Pixazo
from cosmos_robot.remote.retries import retrying
from cosmos_robot.remote.service import Service
from cosmos_robot.safety.checker import NoChecker, SafetyChecker, check_prompts
from cosmos_robot.types import Rollout

SERVICES: dict[str, type[Service]] = {
    "http": OwnServer,
    "nim": Nim,
    "baseten": Baseten,
    "fal": Fal,
    "pixazo": Pixazo,
    "cosmic": Cosmic,
}
"""Every service, by the scheme of its URLs."""


class RemoteCore:
    """Makes what is sent, and reads what came; sends nothing.

    Args:
        url: of the service.
        options: see `RemoteOptions`.
        safety: looks at prompts before they are sent, and at frames when they have come.

    Raises:
        InvalidInputError: if the URL is none of a service, or a key is missing.
        TypeError: if an option is unknown.
    """

    def __init__(self, url: str, options: RemoteOptions, safety: SafetyChecker | None) -> None:
        self.url = url
        self.settings = RemoteSettings.of(options)
        self.safety = safety or NoChecker()
        address = Address.parse(url)
        if address.service not in SERVICES:
            raise InvalidInputError(
                f"there is no service {address.service!r}{did_you_mean(address.service, SERVICES)}; there are "
                f"{', '.join(f'{name}://' for name in SERVICES)} and https://."
            )
        self.service = SERVICES[address.service].open(address, self.settings)
        self._draws = random.Random()

    @property
    def name(self) -> str:
        """What to call the service in a sentence."""
        return self.service.access.name

    def rollouts(self, requests: Sequence[ActionRequest]) -> list[Sending[list[Rollout]]]:
        """What is sent for requests of action modes.

        Raises:
            UnsupportedModeError: if the service has not the mode.
            InvalidInputError: if it has no word for a setting.
            UnsafeContentError: if the safety checker refuses a prompt.
        """
        for request in requests:
            check_prompts(self.safety, request.prompt, request.negative_prompt)
        return [self._patient(exchange) for exchange in self.service.answer_actions(requests)]

    def generations(self, requests: Sequence[MediaRequest]) -> list[Sending[list[Generation]]]:
        """What is sent for requests of the modes without actions; see `rollouts`."""
        for request in requests:
            check_prompts(self.safety, request.prompt, request.negative_prompt)
        return [self._patient(exchange) for exchange in self.service.answer_media(requests)]

    def reasoning(self, request: ReasonRequest) -> Sending[Reasoning]:
        """What is sent for a chat; see `rollouts`."""
        check_prompts(self.safety, *all_said(request.messages))
        return self._patient(self.service.answer_chat(replace(request, safety=self.safety.name)))

    def clip_frames(self, request: MediaRequest) -> int:
        """How many frames one generation has where the caller does not say: nobody knows that of a service.

        Raises:
            InvalidInputError: always.
        """
        raise InvalidInputError(
            f"how many frames {self.name} generates for {request.mode} is not known here; say it with num_frames=..."
        )

    def checked[Answer: Rollout | Generation](self, parts: Sequence[Sequence[Answer]]) -> list[Answer]:
        """The answers of all exchanges in one list, looked at by the safety checker.

        Raises:
            UnsafeContentError: if it refuses frames.
        """
        answers = [answer for part in parts for answer in part]
        if isinstance(self.safety, NoChecker):
            return answers
        return [self._checked(answer) for answer in answers]

    def _checked[Answer: Rollout | Generation](self, answer: Answer) -> Answer:
        if answer.frames is None:
            return replace(answer, safety=self.safety.name)
        return replace(answer, frames=self.safety.check_frames(answer.frames), safety=self.safety.name)

    def _patient[Result](self, exchange: Exchange[Result]) -> Sending[Result]:
        return retrying(exchange, self.settings.retries, service=self.name, draw=self._draws.random)
