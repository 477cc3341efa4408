"""A policy behind a server that speaks openpi's protocol: msgpack over a websocket, with numpy arrays in it.

Its own client package wants an older numpy than this library, so the few lines of its protocol are here: the server
first sends its metadata; then each question is a map of arrays and words, each answer a map that has `actions`; an
error comes as text. Arrays travel as maps with the keys `__ndarray__`, `data`, `dtype` and `shape`.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from cosmos_robot.envs.policies import PolicyObservation
from cosmos_robot.errors import InvalidInputError, MissingDependencyError, ServiceError
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
        _msgpack(), _websockets()

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
        return _map(unpack(answer), self._url)

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
            self.metadata = _map(unpack(greeting), self._url) if isinstance(greeting, bytes) else {}
            self._connection = opened
        return self._connection


def pack(value: Any) -> bytes:
    """Write plain data with numpy arrays in it as msgpack, in openpi's form."""
    packed: bytes = _msgpack().packb(value, default=_write_array)
    return packed


def unpack(data: bytes) -> Any:
    """Read what `pack`, or openpi's own code, wrote."""
    return _msgpack().unpackb(data, object_hook=_read_array)


def _write_array(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "OVc":
        raise InvalidInputError(f"an array of {value.dtype} cannot be sent to a policy server.")
    if isinstance(value, np.ndarray):
        return {b"__ndarray__": True, b"data": value.tobytes(), b"dtype": value.dtype.str, b"shape": value.shape}
    if isinstance(value, np.generic):
        return {b"__npgeneric__": True, b"data": value.item(), b"dtype": value.dtype.str}
    raise InvalidInputError(f"a {type(value).__name__} cannot be sent to a policy server.")


def _read_array(found: dict[Any, Any]) -> Any:
    """Read a map that stands for an array or a number; keys are bytes from openpi's own code, words from others."""
    given = {key.decode() if isinstance(key, bytes) else key: value for key, value in found.items()}
    if "__ndarray__" in given:
        return np.ndarray(buffer=given["data"], dtype=np.dtype(given["dtype"]), shape=tuple(given["shape"]))
    if "__npgeneric__" in given:
        return np.dtype(given["dtype"]).type(given["data"])
    return found


def _map(value: Any, url: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ServiceError(f"the policy server at {url} answered with something else than a map.")
    return value


def _msgpack() -> ModuleType:
    try:
        import msgpack
    except ImportError as error:
        raise _missing("msgpack") from error
    module: ModuleType = msgpack
    return module


def _websockets() -> ModuleType:
    try:
        import websockets
        import websockets.exceptions
        import websockets.sync.client
    except ImportError as error:
        raise _missing("websockets") from error
    module: ModuleType = websockets
    return module


def _missing(package: str) -> MissingDependencyError:
    return MissingDependencyError(
        f"an openpi server needs {package}, which is not installed; get it with pip install 'cosmos-robot[openpi]'."
    )
