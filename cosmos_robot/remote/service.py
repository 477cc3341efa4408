"""What every service's core is: it builds the exchanges that answer requests, and sends nothing itself."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from cosmos_robot.errors import UnsupportedModeError
from cosmos_robot.interface.generation import Generation
from cosmos_robot.interface.media_request import MediaRequest
from cosmos_robot.interface.reason import Reasoning, ReasonRequest
from cosmos_robot.interface.request import ActionRequest
from cosmos_robot.remote.address import Address
from cosmos_robot.remote.exchange import Call, Exchange, json_call
from cosmos_robot.remote.media_bytes import File
from cosmos_robot.remote.options import RemoteSettings, Upload
from cosmos_robot.types import Rollout


@dataclass(frozen=True)
class Access:
    """How a service is reached.

    Attributes:
        name: what to call it in a sentence, with its address.
        base: HTTP address, without a slash at its end.
        headers: of every call, among them the key.
        upload: see `RemoteOptions`, as is the following.
        lossless: whether every pixel is wanted as it is.
    """

    name: str
    base: str
    headers: Mapping[str, str] = field(repr=False)
    upload: Upload | None = None
    lossless: bool = True

    def get(self, path: str, *, patience: float | None = None) -> Call:
        """A question that changes nothing."""
        return Call("GET", self.base + path, True, self.headers, patience=patience)

    def post(self, path: str, body: object) -> Call:
        """A request that is carried out as often as it arrives."""
        return json_call("POST", self.base + path, self.headers, body, repeatable=False)

    def call(self, method: str, path: str, body: object = None) -> Call:
        """A call that does no more when it arrives twice."""
        if body is None:
            return Call(method, self.base + path, True, self.headers)
        return json_call(method, self.base + path, self.headers, body, repeatable=True)

    def fetch(self, url: str) -> Call:
        """A file at an address that the service named: the key goes along only to the service itself."""
        own = url.startswith(f"{self.base}/")
        return Call("GET", url, True, self.headers if own else {}, follow=not own)

    def located(self, file: File) -> str:
        """Where a file is for the service: uploaded, or in an address of its own."""
        return file.data_uri if self.upload is None else self.upload(file.content, file.media_type)


class Service(ABC):
    """One service.

    Args:
        access: how it is reached.
    """

    modes: ClassVar[tuple[str, ...]]
    """What it can do."""

    def __init__(self, access: Access) -> None:
        self.access = access

    @classmethod
    @abstractmethod
    def open(cls, address: Address, settings: RemoteSettings) -> Self:
        """Make the service at an address; nothing is sent.

        Raises:
            InvalidInputError: if the address cannot be one of this service, or a key is missing.
        """

    def answer_actions(self, requests: Sequence[ActionRequest]) -> list[Exchange[list[Rollout]]]:
        """Exchanges whose results, one after another, answer the requests.

        Raises:
            UnsupportedModeError: if the service has not the mode.
            InvalidInputError: if it has no word for a setting.
        """
        return [self._action(self._known(request)) for request in requests]

    def answer_media(self, requests: Sequence[MediaRequest]) -> list[Exchange[list[Generation]]]:
        """Exchanges whose results, one after another, answer the requests; see `answer_actions`."""
        return [self._media(self._known(request)) for request in requests]

    def answer_chat(self, request: ReasonRequest) -> Exchange[Reasoning]:
        """An exchange that answers a chat.

        Raises:
            UnsupportedModeError: if the service has no reasoner.
        """
        raise self._lacks("reason")

    def _action(self, request: ActionRequest) -> Exchange[list[Rollout]]:
        raise self._lacks(request.mode)

    def _media(self, request: MediaRequest) -> Exchange[list[Generation]]:
        raise self._lacks(request.mode)

    def _known[Asked: ActionRequest | MediaRequest](self, request: Asked) -> Asked:
        if request.mode not in self.modes:
            raise self._lacks(request.mode)
        return request

    def _lacks(self, mode: str) -> UnsupportedModeError:
        return UnsupportedModeError(f"{self.access.name} cannot do {mode}; it has {', '.join(self.modes)}.")
