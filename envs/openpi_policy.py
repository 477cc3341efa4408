"""A policy behind a server that speaks openpi's protocol: msgpack over a websocket, with numpy arrays in it.

The server first sends its metadata; then each question is a map of arrays and words, each answer a map that has
`actions`; an error comes as text. How arrays travel is in `cosmos_robot.interface.openpi_wire`.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from cosmos_robot.envs.policies import PolicyObservation
from cosmos_robot.errors import InvalidInputError, MissingDependencyError, ServiceError
from cosmos_robot.interface.openpi_wire import pack, require_msgpack, unpack
from cosmos_robot.types import FloatArray

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

type Question = Callable[[PolicyObservation], Mapping[str, Any]]
"""Turns what an environment shows into what the server expects."""


class OpenPIPolicy:
    """Asks an openpi server for a chunk of actions.

    It connects at the first question, and again after a failure.

    Args:
        url: of the server, as in "ws://localhost:8000".
        question: makes the server's observation; None sends `observation/image`, `observation/state` (where there is
            an `agent_pos` or a `state`) and `prompt`.
        prompt: what the robot should do.
        api_key: sent as `Authorization: Api-Key ...`.
        timeout: seconds until a question is given up.

    Raises:
        InvalidInputError: if the URL is none of ws:// or wss://.
        MissingDependencyError: if websockets or msgpack is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        question: Question | None = None,
        prompt: str = "",
        api_key: str | None = None,
        timeout: float = 60.0,
    ) -> None:
        if not url.startswith(("ws://", "wss://")):
            raise InvalidInputError(f"an openpi server's url begins with ws:// or wss://; got {url!r}.")
        self._url, self._question, self._prompt, self._timeout = url, question, prompt, timeout
        self._headers = {} if api_key is None else {"Authorization": f"Api-Key {api_key}"}
        self._connection: ClientConnection | None = None
        self._open = ExitStack()
        self.metadata: Mapping[str, Any] = {}
        require_msgpack(), _websockets()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def act(self, observation: PolicyObservation) -> FloatArray:
        """Ask for a chunk `[n, D]`.

        Raises:
            ServiceError: if the server cannot be reached, takes too long, fails, or gives no actions.
        """
        given = self._asked(observation) if self._question is None else self._question(observation)
        answer = self._exchange(pack(dict(given)))
        for key in ("actions", "action"):
            if key in answer:
                return np.asarray(answer[key], dtype=np.float32)
        raise ServiceError(f"the policy server at {self._url} gave no actions; it gave {', '.join(map(str, answer))}.")

    def close(self) -> None:
        """Close the connection; calling it again does nothing."""
        self._connection = None
        self._open.close()

    def _asked(self, observation: PolicyObservation) -> dict[str, Any]:
        asked: dict[str, Any] = {"observation/image": observation["pixels"], "prompt": self._prompt}
        for key in ("state", "agent_pos"):
            if key in observation:
                asked["observation/state"] = observation[key]
                break
        return asked

    def _exchange(self, message: bytes) -> Mapping[str, Any]:
        exceptions = _websockets().exceptions
        try:
            connection = self._connected()
            connection.send(message)
            answer = connection.recv(timeout=self._timeout)
        except TimeoutError as error:
            self.close()
            raise ServiceError(
                f"the policy server at {self._url} gave no answer within {self._timeout:g} s."
            ) from error
        except (OSError, exceptions.WebSocketException) as error:
            self.close()
            raise ServiceError(f"the policy server at {self._url} cannot be reached: {error}.") from error
        if isinstance(answer, str):
            self.close()
            raise ServiceError(f"the policy server at {self._url} failed: {answer.strip()[-300:]}")
        return _map(answer, self._url)

    def _connected(self) -> "ClientConnection":
        if self._connection is None:
            connect = _websockets().sync.client.connect
            opened: ClientConnection = self._open.enter_context(
                connect(
                    self._url,
                    additional_headers=self._headers,
                    compression=None,
                    max_size=None,
                    open_timeout=self._timeout,
                )
            )
            greeting = opened.recv(timeout=self._timeout)
            self.metadata = _map(greeting, self._url) if isinstance(greeting, bytes) else {}
            self._connection = opened
        return self._connection


def _map(message: bytes, url: str) -> Mapping[str, Any]:
    try:
        value = unpack(message)
    except InvalidInputError as error:
        raise ServiceError(f"the policy server at {url} answered with something else than msgpack.") from error
    if not isinstance(value, dict):
        raise ServiceError(f"the policy server at {url} answered with something else than a map.")
    return value


def _websockets() -> ModuleType:
    try:
        import websockets
        import websockets.exceptions
        import websockets.sync.client
    except ImportError as error:
        raise MissingDependencyError(
            "an openpi server needs websockets, which is not installed; get it with pip install 'cosmos-robot[openpi]'."
        ) from error
    module: ModuleType = websockets
    return module
