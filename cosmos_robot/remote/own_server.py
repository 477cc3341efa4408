"""This library's own server, in the library's own words: nothing that is asked or answered is lost on the way.

A job is put under an id that is made here, so that it may be sent again when nobody knows whether it arrived, and its
answer is waited for on as many connections as it takes: the server may be started again meanwhile.
"""

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from itertools import groupby
from typing import Any, Self

from cosmos_robot.errors import AnswerError, ServiceError
from cosmos_robot.interface.generation import Generation
from cosmos_robot.interface.media_request import MediaRequest
from cosmos_robot.interface.model_space import encoded_actions, encoded_state
from cosmos_robot.interface.reason import Reasoning, ReasonRequest
from cosmos_robot.interface.request import ActionRequest
from cosmos_robot.remote.address import Address, choose_key
from cosmos_robot.remote.answers import make_generation, make_rollout, read_rows, require_carried, value_of
from cosmos_robot.remote.chat_words import chat_body, read_completion
from cosmos_robot.remote.exchange import Exchange, Interrupted, Told, ask
from cosmos_robot.remote.media_bytes import (
    Media,
    decode_base64,
    decode_media,
    lossless_video_file,
    picture_file,
    video_file,
)
from cosmos_robot.remote.options import RemoteSettings
from cosmos_robot.remote.polling import poll_waits
from cosmos_robot.remote.refusals import require_json
from cosmos_robot.remote.service import Access, Service
from cosmos_robot.types import Frames, Rollout

_FIRST_WAIT, _LONGEST_WAIT, _SLACK = 1.0, 10.0, 30.0
"""Seconds that the server is to hold a question for the answer, and more that its reply may take."""
_OK, _NOT_FOUND = 200, 404
_SAFETY = "x-cosmos-robot-safety"
"""Header that names the safety checker of the server."""
_MOST_REQUESTS, _MOST_CHARACTERS = 64, 60_000_000
"""Of one job, half of what the server takes by default."""
_ELSEWHERE = ("frames", "mode", "domain", "actions", "state", "action_space", "notes", "upsampled_prompt")
_HERE_ALONE = ("keep_on_device",)

type Asked = ActionRequest | MediaRequest


class OwnServer(Service):
    """A server of this library: `http://host:port`."""

    modes = (
        *("forward_dynamics", "inverse_dynamics", "policy"),
        *("text2image", "text2video", "image2video", "video2video", "reason"),
    )

    @classmethod
    def open(cls, address: Address, settings: RemoteSettings) -> Self:
        """Make the service."""
        base = address.base()
        names = ("COSMOS_ROBOT_API_KEY",)  # which is meant for such servers, wherever they are
        key = choose_key(settings.api_key, names, service="the server", safe=True, needed=False)
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return cls(Access(f"the server at {base}", base, headers, lossless=settings.lossless))

    def answer_actions(self, requests: Sequence[ActionRequest]) -> list[Exchange[list[Rollout]]]:
        """Requests of one mode are answered together, as they are by a model on this machine."""
        return [self._rollouts(part, rows) for part, rows in self._jobs(requests)]

    def answer_media(self, requests: Sequence[MediaRequest]) -> list[Exchange[list[Generation]]]:
        """Requests of one mode are answered together, as they are by a model on this machine."""
        return [self._generations(part, rows) for part, rows in self._jobs(requests)]

    def answer_chat(self, request: ReasonRequest) -> Exchange[Reasoning]:
        """Answered by the server's chat completions; its model's name is left to it."""
        body = chat_body(request, model=None, extensions=True, lossless=True)
        reply = yield from ask(self.access.post("/v1/chat/completions", body))
        answered = read_completion(require_json(reply, self.access.name), request, self.access.name)
        if request.safety != "off":  # looked at here, as is said of everything else
            return answered
        return replace(answered, safety=reply.headers.get(_SAFETY, "off"))

    def _rollouts(self, requests: Sequence[ActionRequest], rows: list[Any]) -> Exchange[list[Rollout]]:
        service = self.access.name
        items, notes = yield from self._job(rows)
        return [
            make_rollout(
                request,
                service,
                frames=None if item.get("media") is None else self._decoded(item).frames,
                actions=None if request.actions is not None else read_rows(item.get("actions"), service),
                notes=(*_notes(item), *notes),
                safety=str(item.get("safety", "off")),
            )
            for request, item in zip(requests, items, strict=True)
        ]

    def _generations(self, requests: Sequence[MediaRequest], rows: list[Any]) -> Exchange[list[Generation]]:
        items, notes = yield from self._job(rows)
        return [
            make_generation(
                request,
                self._decoded(item),
                fps=item.get("fps"),
                notes=(*_notes(item), *notes),
                seed=item.get("seed"),
                prompt_used=item.get("prompt_used"),
                safety=str(item.get("safety", "off")),
            )
            for request, item in zip(requests, items, strict=True)
        ]

    def _job(self, rows: list[Any]) -> Exchange[tuple[list[Any], tuple[str, ...]]]:
        """Put a job, wait for its answer, and take it: its items, and its notes."""
        access, service, place = self.access, self.access.name, f"/jobs/{uuid.uuid4()}"
        try:
            accepted = yield from ask(access.call("PUT", place, {"requests": rows, "lossless": access.lossless}))
            require_json(accepted, service)
            found = yield from self._answer(place)
        except Interrupted:
            yield access.call("DELETE", place)
            raise
        with contextlib.suppress(ServiceError):  # the answer is there; the server forgets it by itself in the end
            yield from ask(replace(access.call("DELETE", f"{place}/answer"), once=True))
        items = value_of(found, "items", service)
        if not isinstance(items, list) or len(items) != len(rows) or not all(isinstance(row, dict) for row in items):
            raise AnswerError(f"{service} gave answers that are not one for each of {len(rows)} requests.")
        return items, _of_all(found, items)

    def _answer(self, place: str) -> Exchange[Any]:
        """Wait for a job's answer, and tell how far it is meanwhile."""
        for wait in poll_waits(_FIRST_WAIT, _LONGEST_WAIT):
            waiting = self.access.get(f"{place}/answer?wait={wait:.3g}", patience=wait + _SLACK)
            reply = yield from ask(waiting)
            if reply.status == _NOT_FOUND:
                raise ServiceError(f"{self.access.name} knows nothing of this job any more; ask again.")
            found = require_json(reply, self.access.name)
            if reply.status == _OK:
                return found
            if found.get("steps"):
                yield Told(int(found["steps_done"]), int(found["steps"]))
        raise AssertionError("the waits have no end.")

    def _jobs[Own: Asked](self, requests: Sequence[Own]) -> Iterator[tuple[list[Own], list[Any]]]:
        """Parts of a batch that are of one mode and not too large for a job, in their order, with their JSON."""
        for _, group in groupby(map(self._known, requests), key=lambda request: request.mode):
            part: list[Own] = []
            rows: list[Any] = []
            size = 0
            for request in group:
                row = self._row(request)
                length = len(row.get("frames", ""))
                if part and (len(part) == _MOST_REQUESTS or size + length > _MOST_CHARACTERS):
                    yield part, rows
                    part, rows, size = [], [], 0
                part.append(request)
                rows.append(row)
                size += length
            yield part, rows

    def _row(self, request: Asked) -> dict[str, Any]:
        """A request as JSON: what is the default's stays out of it."""
        names = {item.name for item in fields(request)} - set(_HERE_ALONE)
        require_carried(request, names, self.access.name)
        row: dict[str, Any] = {"mode": request.mode}
        for item in fields(request):
            value = getattr(request, item.name)
            if item.name not in _ELSEWHERE and value is not None and value != item.default:
                row[item.name] = value
        if isinstance(request, MediaRequest):
            row["prompt"] = request.prompt_used
            frames = request.given_frames
        else:
            width = request.domain.raw_action_dim
            actions, state = encoded_actions(request, action_dim=width), encoded_state(request, action_dim=width)
            row |= {"domain": request.domain.name, "fps": _fps(request)}
            row |= {} if actions is None else {"actions": actions.tolist()}
            row |= {} if state is None else {"state": state.tolist()}
            if request.mode == "inverse_dynamics":
                row["return_frames"] = False  # they are those that are sent
            frames = request.frames
        if frames is not None:
            row["frames"] = self._encoded(frames, _fps(request))
        return row

    def _encoded(self, frames: Frames, fps: float) -> str:
        if len(frames) == 1:
            return picture_file(frames[0]).base64
        return (lossless_video_file if self.access.lossless else video_file)(frames, fps).base64

    def _decoded(self, item: dict[str, Any]) -> Media:
        service = self.access.name
        return decode_media(decode_base64(item.get("media"), service), service)


def _fps(request: Asked) -> float:
    if request.fps is not None:
        return request.fps
    return request.domain.fps if isinstance(request, ActionRequest) else 24.0


def _notes(item: dict[str, Any]) -> tuple[str, ...]:
    return tuple(map(str, item.get("notes", ())))


def _of_all(found: dict[str, Any], items: list[Any]) -> tuple[str, ...]:
    """Notes of a job that are none item's own: warnings that came up while it was answered."""
    own = {note for item in items for note in _notes(item)}
    return tuple(note for note in _notes(found) if note not in own)
