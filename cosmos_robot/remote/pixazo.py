"""Pixazo's gateway for Cosmos 3 Super: accepted with 202, asked for by id; text-to-image and image-to-video."""

from typing import Any, Self

from cosmos_robot.errors import InvalidInputError, ServiceError
from cosmos_robot.interface.generation import Generation
from cosmos_robot.interface.media_request import MediaRequest
from cosmos_robot.remote.address import Address, choose_key
from cosmos_robot.remote.answers import make_generation, require_carried, value_of
from cosmos_robot.remote.exchange import Exchange, Pause, Reply, ask
from cosmos_robot.remote.fal import SUPER_SETTINGS, fetched, require_plain, super_body
from cosmos_robot.remote.media_bytes import decode_media
from cosmos_robot.remote.options import RemoteSettings
from cosmos_robot.remote.polling import poll_waits
from cosmos_robot.remote.refusals import notes_of, require_json
from cosmos_robot.remote.service import Access, Service

_HOSTED = "https://gateway.pixazo.ai"
_MODELS = {"text2image": "cosmos-3-super-text-to-image", "image2video": "cosmos-3-super-image-to-video"}


class Pixazo(Service):
    """Pixazo: `pixazo://`, or `pixazo://host:port` of another server with the interface."""

    modes = ("text2image", "image2video")

    @classmethod
    def open(cls, address: Address, settings: RemoteSettings) -> Self:
        """Make the service."""
        hosted = not address.place
        base = _HOSTED if hosted else address.base()
        safe = hosted or address.safe(base)
        key = choose_key(settings.api_key, ("PIXAZO_API_KEY",), service="Pixazo", safe=safe, needed=hosted)
        headers = {"Cache-Control": "no-cache"} | ({} if key is None else {"Ocp-Apim-Subscription-Key": key})
        return cls(Access(f"Pixazo at {base}", base, headers, settings.upload))

    def _media(self, request: MediaRequest) -> Exchange[list[Generation]]:
        require_carried(request, SUPER_SETTINGS, self.access.name)
        return self._queued(request, super_body(request, self.access, fps="frames_per_second"))

    def _queued(self, request: MediaRequest, body: dict[str, Any]) -> Exchange[list[Generation]]:
        service, model = self.access.name, _MODELS[request.mode]
        accepted = yield from ask(self.access.post(f"/{model}/v1/{model}-request", body))
        request_id = require_plain(str(value_of(require_json(accepted, service), "request_id", service)), service)
        reply, found = yield from self._ended(request_id)
        places = value_of(value_of(found, "output", service), "media_url", service)
        content = yield from fetched(self.access, places[0] if isinstance(places, list) and places else places)
        return [make_generation(request, decode_media(content, service), notes=notes_of(reply))]

    def _ended(self, request_id: str) -> Exchange[tuple[Reply, Any]]:
        """Ask until a request has ended well; Pixazo has no word to cancel one.

        Raises:
            ServiceError: if the system failed at it.
            InvalidInputError: if the request did.
        """
        service = self.access.name
        for wait in poll_waits(0.5, 8.0):
            reply = yield from ask(self.access.get(f"/v2/requests/status/{request_id}"))
            found = require_json(reply, service)
            status = value_of(found, "status", service)
            if status == "COMPLETED":
                return reply, found
            if status == "FAILED":
                raise InvalidInputError(f"{service} failed at the request: {found.get('error')}")
            if status == "ERROR":
                raise ServiceError(f"{service} failed: {found.get('error')}")
            yield Pause(wait)
        raise AssertionError("the waits have no end.")
