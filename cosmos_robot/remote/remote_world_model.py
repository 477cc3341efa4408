"""A world model behind a service, for ordinary programs."""

import weakref
from collections.abc import Sequence
from types import TracebackType
from typing import Self, Unpack

from cosmos_robot.interface.generation import Generation
from cosmos_robot.interface.media_request import MediaRequest
from cosmos_robot.interface.reason import ReasonRequest, ReasonStream
from cosmos_robot.interface.request import ActionRequest
from cosmos_robot.interface.world_model import WorldModel
from cosmos_robot.remote.chat_reasoner import WholeAnswer
from cosmos_robot.remote.options import RemoteOptions
from cosmos_robot.remote.remote_core import RemoteCore
from cosmos_robot.remote.sync_sender import SyncSender
from cosmos_robot.safety.checker import SafetyChecker
from cosmos_robot.types import Progress, Rollout


class RemoteWorldModel(WorldModel):
    """Generates at a service; see `load_world_model` for the URLs.

    Nothing is sent before the first call. Items of a batch are asked for side by side, or together where the service
    takes them together. Whatever ends a call (an error, Ctrl-C, a `progress` that raises) cancels it at the service,
    where the service has a word for that.

    Args:
        url: of the service.
        safety: looks at prompts before they are sent, and at frames when they have come; None is nothing.
        options: see `RemoteOptions`.

    Raises:
        InvalidInputError: if the URL is none of a service, or a key is missing.
    """

    def __init__(self, url: str, *, safety: SafetyChecker | None = None, **options: Unpack[RemoteOptions]) -> None:
        self._core = RemoteCore(url, options, safety)
        self.name = url
        self._sender = SyncSender(self._core.settings.timeouts, self._core.settings.concurrency)
        self._closing = weakref.finalize(self, self._sender.close)

    def __repr__(self) -> str:
        return f"RemoteWorldModel({self.name!r})"

    def __enter__(self) -> Self:
        """Itself; its end closes the connections."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    @property
    def modes(self) -> tuple[str, ...]:
        """The modes that the service has."""
        return self._core.service.modes

    def close(self) -> None:
        """Close the connections; calling it again does nothing."""
        self._closing()

    def generate(self, requests: Sequence[ActionRequest], *, progress: Progress | None = None) -> list[Rollout]:
        """Answer requests.

        Args:
            requests: what is asked.
            progress: told the denoising steps where the service tells them, else how many answers have come.

        Raises:
            UnsupportedModeError: if the service has not the mode; nothing is sent then.
            InvalidInputError: if a request does not fit the service.
            AccessError: if it does not let the key in.
            UnsafeContentError: if it, or the safety checker, refuses content.
            ServiceError: if it cannot be reached, fails, or takes too long.
            AnswerError: if it answers otherwise than it should.
        """
        return self._core.checked(self._sender.run_all(self._core.rollouts(requests), self._core.name, progress))

    def generate_media(self, requests: Sequence[MediaRequest], *, progress: Progress | None = None) -> list[Generation]:
        """Answer requests of the modes without actions; see `generate`."""
        return self._core.checked(self._sender.run_all(self._core.generations(requests), self._core.name, progress))

    def answer(self, request: ReasonRequest) -> ReasonStream:
        """Answer a chat, all at once; see `generate`."""
        return WholeAnswer(self._sender.run_all([self._core.reasoning(request)], self._core.name)[0])

    def clip_frames(self, request: MediaRequest) -> int:
        """Nobody knows here; see `RemoteCore.clip_frames`."""
        return self._core.clip_frames(request)
