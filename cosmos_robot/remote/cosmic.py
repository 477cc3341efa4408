"""Cosmic's AI: text, images and videos, kept in a bucket's media library. Requests have no seed and few settings."""

import re
from dataclasses import replace
from typing import Any, Self

from cosmos_robot.errors import InvalidInputError, UnsupportedModeError
from cosmos_robot.interface.chat import ImagePart, Message, VideoPart
from cosmos_robot.interface.generation import Generation
from cosmos_robot.interface.media_request import MediaRequest
from cosmos_robot.interface.reason import Reasoning, ReasonRequest, ReasonSampling, Usage
from cosmos_robot.remote.address import Address, choose_key
from cosmos_robot.remote.answers import make_generation, require_carried, value_of
from cosmos_robot.remote.exchange import Exchange, ask
from cosmos_robot.remote.fal import fetched
from cosmos_robot.remote.media_bytes import decode_media, picture_file, video_file
from cosmos_robot.remote.options import RemoteSettings
from cosmos_robot.remote.refusals import notes_of, require_json
from cosmos_robot.remote.service import Access, Service

_HOSTED, _BUCKETS = "https://workers.cosmicjs.com", "/v3/buckets"
_SLUG = re.compile(r"[0-9A-Za-z_-]+")
_FPS, _SECONDS = 24, (4, 6, 8)
_NO_SEED = "Cosmic takes no seed: the same call gives another answer each time."


class Cosmic(Service):
    """A bucket: `cosmic://BUCKET_SLUG`, or `cosmic://host:port/BUCKET_SLUG` of another server with the interface."""

    modes = ("text2image", "text2video", "image2video", "reason")

    @classmethod
    def open(cls, address: Address, settings: RemoteSettings) -> Self:
        """Make the service."""
        hosted = not address.path
        slug = address.place if hosted else address.path.removeprefix("/")
        if _SLUG.fullmatch(slug) is None:
            raise InvalidInputError(
                "cosmic:// takes a bucket's slug, as in cosmic://BUCKET_SLUG or cosmic://host/SLUG."
            )
        base = f"{_HOSTED if hosted else address.base(path='')}{_BUCKETS}/{slug}"
        safe = hosted or address.safe(base)
        key = choose_key(settings.api_key, ("COSMIC_WRITE_KEY",), service="Cosmic", safe=safe, needed=hosted)
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return cls(Access(f"Cosmic at {base}", base, headers, settings.upload))

    def _media(self, request: MediaRequest) -> Exchange[list[Generation]]:
        if request.image:
            require_carried(request, ("aspect_ratio",), self.access.name)
            body: dict[str, Any] = {"prompt": request.prompt_used}
            if request.aspect_ratio is not None:
                body["aspect_ratio"] = request.aspect_ratio.replace(",", ":")
            return self._stored(request, "/ai/image", body)
        require_carried(request, ("num_frames", "fps", "resolution", "enable_sound"), self.access.name)
        body = {"prompt": request.prompt_used, **self._length(request)}
        if request.resolution is not None:
            if str(request.resolution) != "720":
                raise InvalidInputError(f"{self.access.name} makes videos at 720; got {request.resolution!r}.")
            body["resolution"] = "720p"
        if request.frames is not None:
            body["reference_images"] = [self.access.located(picture_file(request.frames[0]))]
        return self._stored(request, "/ai/video", body)

    def _length(self, request: MediaRequest) -> dict[str, int]:
        if request.fps not in (None, _FPS):
            raise InvalidInputError(
                f"{self.access.name} makes videos of {_FPS} frames a second; got fps={request.fps}."
            )
        if request.num_frames is None:
            return {}
        seconds = {length * _FPS: length for length in _SECONDS}
        if request.num_frames not in seconds:
            counts = ", ".join(map(str, seconds))
            raise InvalidInputError(f"{self.access.name} makes videos of {counts} frames; got {request.num_frames}.")
        return {"duration": seconds[request.num_frames]}

    def _stored(self, request: MediaRequest, path: str, body: dict[str, Any]) -> Exchange[list[Generation]]:
        service = self.access.name
        reply = yield from ask(self.access.post(path, body))
        found = require_json(reply, service)
        content = yield from fetched(self.access, value_of(value_of(found, "media", service), "url", service))
        media = decode_media(content, service)
        if not request.enable_sound:
            media = replace(media, sound=None)  # its videos always have some
        notes, used = (*notes_of(reply), _NO_SEED), found.get("revised_prompt")
        return [make_generation(request, media, notes=notes, prompt_used=used)]

    def answer_chat(self, request: ReasonRequest) -> Exchange[Reasoning]:
        """A chat of the user and the assistant, with one picture or video in its last message at most.

        Raises:
            UnsupportedModeError: if an answer in JSON is wanted.
            InvalidInputError: if something would be lost.
        """
        service = self.access.name
        if request.json is not False:
            raise UnsupportedModeError(f"{service} holds no answer to JSON; leave json out.")
        if request.sampling != ReasonSampling(max_new_tokens=request.sampling.max_new_tokens):
            raise InvalidInputError(f"of how tokens are chosen {service} takes max_new_tokens alone.")
        body = {"max_tokens": request.sampling.max_new_tokens, **self._chat(request.messages)}
        return self._answered(request, body)

    def _chat(self, messages: tuple[Message, ...]) -> dict[str, Any]:
        shown = [part for message in messages for part in message.parts if not isinstance(part, str)]
        last = [part for part in messages[-1].parts if not isinstance(part, str)]
        if len(shown) > 1 or shown != last or any(message.role == "system" for message in messages):
            raise InvalidInputError(
                f"{self.access.name} takes turns of user and assistant, and one picture or video in the last of them."
            )
        body: dict[str, Any] = {"messages": [{"role": turn.role, "content": turn.text} for turn in messages]}
        if len(messages) == 1:
            body = {"prompt": messages[0].text}
        for part in shown:
            if isinstance(part, VideoPart):
                body["media_url"] = self.access.located(video_file(part.frames, part.fps))
            elif isinstance(part, ImagePart):
                body["media_url"] = self.access.located(picture_file(part.frame))
        return body

    def _answered(self, request: ReasonRequest, body: dict[str, Any]) -> Exchange[Reasoning]:
        service = self.access.name
        found = require_json((yield from ask(self.access.post("/ai/text", body))), service)
        usage = found.get("usage") or {}
        return Reasoning(
            text=str(value_of(found, "text", service)),
            thinking="",
            usage=Usage(int(usage.get("input_tokens", 0)), int(usage.get("output_tokens", 0))),
            finish_reason="length" if found.get("finish_reason") == "length" else "stop",
            seed=request.sampling.seed,
            safety=request.safety,
        )
