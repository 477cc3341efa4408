"""One client of openpi's protocol: it sends observations one after the other, and gets a chunk of actions for each.

Each is a job of the queue like any other, so that clients share forward passes, and one that leaves takes its job back.
"""

import asyncio
import time
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from cosmos_robot.domains.domain import Domain
from cosmos_robot.errors import CosmosRobotError
from cosmos_robot.interface.openpi_wire import pack, unpack
from cosmos_robot.interface.request import ActionRequest
from cosmos_robot.serving.answer import Answer
from cosmos_robot.serving.baseten_request import Tier
from cosmos_robot.serving.local_paths import LocalPaths
from cosmos_robot.serving.openpi_form import PROMPT, form_of
from cosmos_robot.serving.problems import DATABASE_ERRORS, Kind, RequestError, problem_of
from cosmos_robot.serving.question import Question
from cosmos_robot.serving.service import Service

INTERFACE = "openpi"
_INTERNAL_ERROR = 1011
"""RFC 6455; openpi's own server closes with it after every error."""


class PolicyQuery(BaseModel):
    """What the address of a connection says about its policy; what is None is the domain's or the checkpoint's."""

    model_config = ConfigDict(extra="forbid")

    domain: str | None = None
    action_chunk_size: Annotated[int, Field(ge=4, multiple_of=4, le=10_000)] | None = None
    num_steps: Annotated[int, Field(ge=1, le=1000)] | None = None
    guidance: Annotated[float, Field(ge=1, le=100, allow_inf_nan=False)] | None = None
    shift: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] | None = None
    image_size: Tier | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0


@dataclass(frozen=True)
class AskedPolicy:
    """The policy of one connection.

    Attributes:
        domain: the robot; its actions go in robot units, as openpi's form for it has them.
        action_chunk_size: actions of an answer.
        query: the other settings.
    """

    domain: Domain
    action_chunk_size: int
    query: PolicyQuery

    def metadata(self) -> dict[str, Any]:
        """What a client is told when it connects."""
        form = form_of(self.domain)
        return {
            "domain": self.domain.name,
            "observation_keys": list(form.keys),
            "actions": form.told,
            "action_chunk_size": self.action_chunk_size,
            "fps": self.domain.published.fps,
        }

    def question(self, message: bytes) -> Question:
        """Read an observation; it copies pictures, so it belongs into a thread.

        Raises:
            RequestError: if it is none of this domain's.
            InvalidInputError: if it is no msgpack.
        """
        observation = unpack(message)
        if not isinstance(observation, dict):
            raise RequestError(Kind.BAD_VALUE, "an observation is a map of keys to arrays and texts.")
        prompt = observation.get(PROMPT, "")
        if not isinstance(prompt, str):
            raise RequestError.of_field(PROMPT, "expected a text.")
        form, query = form_of(self.domain), self.query
        request = ActionRequest(
            mode="policy",
            domain=self.domain,
            frames=form.picture(observation, self.domain)[None],
            action_chunk_size=self.action_chunk_size,
            state=form.read_state(observation),
            return_frames=False,
            prompt=prompt,
            image_size=query.image_size,
            num_steps=query.num_steps,
            guidance=query.guidance,
            shift=query.shift,
            seed=query.seed,
        )
        return Question((request,))


class OpenpiSession:
    """A connection that was let in.

    Args:
        socket: accepted already.
        service: that answers.
        policy: of the connection.
    """

    def __init__(self, socket: WebSocket, service: Service, policy: AskedPolicy) -> None:
        self._socket, self._service, self._policy = socket, service, policy
        self._receiving: asyncio.Task[Message] | None = None

    async def run(self) -> None:
        """Answer observations until the client leaves, or one cannot be answered."""
        try:
            await self._socket.send_bytes(pack(self._policy.metadata()))
            await self._answer_all()
        except WebSocketDisconnect:
            return
        finally:
            if self._receiving is not None:
                self._receiving.cancel()

    async def _answer_all(self) -> None:
        previous: float | None = None
        while True:
            message = await self._message()
            begun = time.perf_counter()
            try:
                answer = await self._infer(message)
            except (CosmosRobotError, *DATABASE_ERRORS, OSError) as error:
                await self._refuse(error)
                return
            timing = {"infer_ms": 1000 * (time.perf_counter() - begun)}
            if previous is not None:
                timing["prev_total_ms"] = 1000 * previous
            await self._socket.send_bytes(pack({**answer, "server_timing": timing}))
            previous = time.perf_counter() - begun

    async def _infer(self, message: bytes) -> dict[str, Any]:
        """Answer one observation: `actions`, which NVIDIA's clients know as `action`."""
        question = await self._service.read(partial(self._policy.question, message))
        job = await self._service.submit(
            question, interface=INTERFACE, endpoint=self._policy.domain.name, attached=True
        )
        try:
            answer = await self._while_connected(job.id)
        except asyncio.CancelledError:
            await self._service.cancel(job.id)
            raise
        shown = await run_in_threadpool(self._shown, answer)
        await self._service.forget(job.id)  # of a control loop's thousands, the failed ones alone are worth keeping
        return shown

    def _shown(self, answer: Answer) -> dict[str, Any]:
        values = answer.actions()
        if values is None:
            raise RequestError(Kind.INTERNAL, "the policy gave no actions.")
        actions = form_of(self._policy.domain).actions(values)
        return {"actions": actions, "action": actions, "policy_timing": {"infer_ms": 1000 * answer.seconds}}

    async def _while_connected(self, job_id: str) -> Answer:
        """Wait for an answer; a client that leaves takes its question back."""
        waiting = asyncio.create_task(self._service.wait(job_id))
        receiving = self._receive()
        try:
            await asyncio.wait({waiting, receiving}, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done() and receiving.result()["type"] == "websocket.disconnect":
                await self._service.cancel(job_id)
            return await self._service.result(await waiting)
        finally:
            waiting.cancel()

    def _receive(self) -> "asyncio.Task[Message]":
        """What the client sends next, on its way; what came too early waits here for its turn."""
        if self._receiving is None:
            self._receiving = asyncio.create_task(self._socket.receive())
        return self._receiving

    async def _message(self) -> bytes:
        """The next observation.

        Raises:
            WebSocketDisconnect: if the client leaves.
        """
        while True:
            message = await self._receive()
            self._receiving = None
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"])
            if message.get("bytes") is not None:
                return bytes(message["bytes"])
            await self._refuse(
                RequestError(Kind.BAD_VALUE, "an observation is a binary message of msgpack, not a text.")
            )
            raise WebSocketDisconnect(_INTERNAL_ERROR)

    async def _refuse(self, error: Exception) -> None:
        """Say what is wrong as openpi's server does, in a text where bytes are expected, and close."""
        paths: LocalPaths = self._socket.app.state.paths
        await self._socket.send_text(paths.hidden(problem_of(error)).message)
        await self._socket.close(_INTERNAL_ERROR, "the error is in the text before")
