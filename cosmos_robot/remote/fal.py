"""fal's queue for Cosmos 3 Super: submitted, asked how far it is, taken; text-to-image and image-to-video."""

import re
from collections.abc import Mapping
from typing import Any, Self

from cosmos_robot.errors import AnswerError, InvalidInputError
from cosmos_robot.interface.generation import Generation
from cosmos_robot.interface.media_request import MediaRequest
from cosmos_robot.remote.address import Address, choose_key
from cosmos_robot.remote.answers import make_generation, require_carried, value_of
from cosmos_robot.remote.canvas_words import SIZE_SETTINGS, size_words
from cosmos_robot.remote.exchange import Exchange, Interrupted, Pause, Reply, Told, ask
from cosmos_robot.remote.media_bytes import decode_base64, decode_media, picture_file
from cosmos_robot.remote.options import RemoteSettings
from cosmos_robot.remote.polling import poll_waits
from cosmos_robot.remote.refusals import notes_of, require_json, require_success
from cosmos_robot.remote.service import Access, Service

_APP = "/nvidia/cosmos-3-super"
_ENDPOINTS = {"text2image": f"{_APP}/text-to-image", "image2video": f"{_APP}/image-to-video"}
_HOSTED, _MOUNTED = "https://queue.fal.run", "/fal/queue"
_USUAL_TIER = {"text2image": 768, "image2video": 480}
_STEP = re.compile(r"denoising step (\d+) of (\d+)")
"""How this library's server logs a step; others' logs tell none."""

SUPER_SETTINGS = (
    *SIZE_SETTINGS,
    *("negative_prompt", "num_frames", "fps", "num_steps", "guidance", "upsample"),
    *("agentic", "agentic_max_iterations", "agentic_samples_per_iteration", "agentic_early_stop"),
)
"""Settings of requests that Cosmos 3 Super's hosts have words for."""


class Fal(Service):
    """fal: `fal://`, or `fal://host:port` of another server with the interface."""

    modes = ("text2image", "image2video")

    @classmethod
    def open(cls, address: Address, settings: RemoteSettings) -> Self:
        """Make the service; a path is where another server has mounted the queue."""
        hosted = not address.place
        base = _HOSTED if hosted else address.base(path=address.path or _MOUNTED)
        safe = hosted or address.safe(base)
        key = choose_key(settings.api_key, ("FAL_KEY",), service="fal", safe=safe, needed=hosted)
        headers = {} if key is None else {"Authorization": f"Key {key}"}
        return cls(Access(f"fal at {base}", base, headers, settings.upload))

    def _media(self, request: MediaRequest) -> Exchange[list[Generation]]:
        require_carried(request, SUPER_SETTINGS, self.access.name)
        return self._queued(request, super_body(request, self.access, fps="fps"))

    def _queued(self, request: MediaRequest, body: dict[str, Any]) -> Exchange[list[Generation]]:
        service = self.access.name
        accepted = yield from ask(self.access.post(_ENDPOINTS[request.mode], body))
        request_id = str(value_of(require_json(accepted, service), "request_id", service))
        place = f"{_APP}/requests/{require_plain(request_id, service)}"
        try:
            yield from self._completed(place)
        except Interrupted:
            yield self.access.call("PUT", f"{place}/cancel")
            raise
        reply = yield from ask(self.access.get(place))
        found = require_json(reply, service)
        if request.image:
            images = value_of(found, "images", service)
            named = images[0] if isinstance(images, list) and images else None
        else:
            named = value_of(found, "video", service)
        content = yield from fetched(self.access, value_of(named, "url", service))
        media = decode_media(content, service)
        used = found.get("prompt")
        return [make_generation(request, media, notes=notes_of(reply), seed=found.get("seed"), prompt_used=used)]

    def _completed(self, place: str) -> Exchange[None]:
        """Ask until a request has ended; how it ended, its result says."""
        for wait in poll_waits(0.2, 5.0):
            reply: Reply = yield from ask(self.access.get(f"{place}/status?logs=1"))
            found = require_json(reply, self.access.name)
            if value_of(found, "status", self.access.name) == "COMPLETED":
                return
            if (step := _last_step(found)) is not None:
                yield step
            yield Pause(wait)


def super_body(request: MediaRequest, access: Access, *, fps: str) -> dict[str, Any]:
    """The body of a request to a host of Cosmos 3 Super, fal or Pixazo.

    Args:
        request: what is asked.
        access: of the host.
        fps: its word for frames a second.
    """
    body: dict[str, Any] = {
        "prompt": request.prompt_used,
        "enable_prompt_expansion": request.upsample,
        "seed": request.seed,
        "image_size": size_words(request, usual_tier=_USUAL_TIER[request.mode]),
        "negative_prompt": request.negative_prompt,
        "num_inference_steps": request.num_steps,
        "guidance_scale": request.guidance,
    }
    if request.image:
        body["output_format"] = "png"
    else:
        body |= {"num_frames": request.num_frames, fps: _whole(request.fps, access.name)}
    if request.frames is not None:
        body["image_url"] = access.located(picture_file(request.frames[0]))
    if request.agentic:
        body["enable_agentic_generation"] = True
        rounds = ("agentic_max_iterations", "agentic_samples_per_iteration", "agentic_early_stop")
        body |= {name: getattr(request, name) for name in rounds}
    return {name: value for name, value in body.items() if value is not None}


def fetched(access: Access, url: object) -> Exchange[bytes]:
    """Fetch a file that a service named, out of a data URI or from its address."""
    if isinstance(url, str) and url.startswith("data:"):
        return decode_base64(url, access.name)
    if not isinstance(url, str) or not url.startswith(("https://", "http://")):
        raise AnswerError(f"{access.name} named no address of its media.")
    reply = yield from ask(access.fetch(url))
    require_success(reply, f"{access.name}, at the address of its media,")
    return reply.content


def require_plain(request_id: str, service: str) -> str:
    """Check that an id of a service can stand in a path.

    Raises:
        AnswerError: if it cannot.
    """
    if re.fullmatch(r"[\w.-]{1,200}", request_id, flags=re.ASCII) is None:
        raise AnswerError(f"{service} gave a request the id {request_id[:50]!r}, which cannot stand in a path.")
    return request_id


def _whole(fps: float | None, service: str) -> int | None:
    if fps is not None and fps != int(fps):
        raise InvalidInputError(f"{service} takes whole frames a second; got fps={fps}.")
    return None if fps is None else int(fps)


def _last_step(found: Mapping[str, Any]) -> Told | None:
    """The newest step in a status's log, where it tells one."""
    rows = found.get("logs")
    for row in reversed(rows if isinstance(rows, list) else []):
        step = _STEP.fullmatch(str(row.get("message"))) if isinstance(row, Mapping) else None
        if step is not None:
            return Told(int(step[1]), int(step[2]))
    return None
