"""Baseten's `predict` for Cosmos 3 Nano: six modes, media in base64, actions under `sample_outputs`."""

import json
import re
from typing import Any, Self

from cosmos_robot.domains.canvas import parse_tier
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.generation import Generation
from cosmos_robot.interface.media_request import MediaRequest
from cosmos_robot.interface.model_space import encoded_actions
from cosmos_robot.interface.request import ActionRequest
from cosmos_robot.remote.address import Address, choose_key
from cosmos_robot.remote.answers import make_generation, make_rollout, read_rows, require_carried, value_of
from cosmos_robot.remote.canvas_words import SIZE_SETTINGS, tier_and_ratio
from cosmos_robot.remote.exchange import Exchange, Reply, ask
from cosmos_robot.remote.media_bytes import File, Media, decode_base64, decode_media, picture_file, video_file
from cosmos_robot.remote.options import RemoteSettings
from cosmos_robot.remote.refusals import notes_of, require_json
from cosmos_robot.remote.service import Access, Service
from cosmos_robot.types import FloatArray, Rollout

_PREDICT = "/predict"
_MODEL_ID = re.compile(r"[0-9a-z]{6,32}")
_ACTION_SETTINGS = ("image_size", "fps", "view_point", "num_steps", "guidance", "shift")
_MEDIA_SETTINGS = (*SIZE_SETTINGS, "negative_prompt", "num_frames", "fps", "num_steps", "guidance", "shift")


class Baseten(Service):
    """A deployment: `baseten://MODEL_ID`, or `baseten://host:port` of another server with the interface."""

    modes = ("text2image", "text2video", "image2video", "forward_dynamics", "inverse_dynamics", "policy")

    @classmethod
    def open(cls, address: Address, settings: RemoteSettings) -> Self:
        """Make the service; a path, as in `baseten://MODEL_ID/environments/staging`, names another environment."""
        hosted = _MODEL_ID.fullmatch(address.place) is not None and not address.local
        if not address.place:
            raise InvalidInputError("baseten:// takes a model's id, or the place of a server with its interface.")
        if hosted:
            base = f"https://model-{address.place}.api.baseten.co{address.path or '/environments/production'}"
        else:
            base = address.base()
        safe = address.safe(base)
        key = choose_key(settings.api_key, ("BASETEN_API_KEY",), service="Baseten", safe=safe, needed=hosted)
        headers = {} if key is None else {"Authorization": f"Api-Key {key}"}
        return cls(Access(f"Baseten at {base}", base, headers, settings.upload))

    def _action(self, request: ActionRequest) -> Exchange[list[Rollout]]:
        require_carried(request, _ACTION_SETTINGS, self.access.name)
        domain = request.domain
        fps = domain.fps if request.fps is None else request.fps
        inverse = request.mode == "inverse_dynamics"
        file = video_file(request.frames, fps) if inverse else picture_file(request.frames[0])
        tier = domain.published.tier if request.image_size is None else parse_tier(request.image_size)
        body = {
            "model_mode": request.mode,
            "domain_name": domain.name,
            "vision_path": self.access.located(file),
            "prompt": request.prompt,
            "action_chunk_size": request.action_chunk_size,
            "raw_action_dim": domain.raw_action_dim,
            "fps": fps,
            "image_size": tier,
            "view_point": request.view_point,
            **_sampling(request),
        }
        actions = encoded_actions(request, action_dim=domain.raw_action_dim)
        if actions is not None:
            rows = File(json.dumps(actions.tolist()).encode(), "application/json")
            body["action_path"] = self.access.located(rows)
        return self._answered_actions(request, _without_none(body))

    def _answered_actions(self, request: ActionRequest, body: dict[str, Any]) -> Exchange[list[Rollout]]:
        reply = yield from ask(self.access.post(_PREDICT, body))
        found = require_json(reply, self.access.name)
        frames = None
        if request.mode != "inverse_dynamics" and request.return_frames:
            frames = self._decoded(found).frames
        actions = None if request.actions is not None else self._rows(found)
        return [make_rollout(request, self.access.name, frames=frames, actions=actions, notes=notes_of(reply))]

    def _media(self, request: MediaRequest) -> Exchange[list[Generation]]:
        require_carried(request, _MEDIA_SETTINGS, self.access.name)
        tier, ratio = tier_and_ratio(request)
        body: dict[str, Any] = {
            "model_mode": request.mode,
            "prompt": request.prompt_used,
            "negative_prompt": request.negative_prompt,
            "resolution": None if tier is None else str(tier),
            "aspect_ratio": ratio,
            "num_frames": 1 if request.image else request.num_frames,
            "fps": request.fps,
            **_sampling(request),
        }
        if request.frames is not None:
            body["vision_path"] = self.access.located(picture_file(request.frames[0]))
        return self._answered_media(request, _without_none(body))

    def _answered_media(self, request: MediaRequest, body: dict[str, Any]) -> Exchange[list[Generation]]:
        reply: Reply = yield from ask(self.access.post(_PREDICT, body))
        found = require_json(reply, self.access.name)
        return [make_generation(request, self._decoded(found), notes=notes_of(reply))]

    def _decoded(self, found: Any) -> Media:
        name = self.access.name
        return decode_media(decode_base64(value_of(found, "data", name), name), name)

    def _rows(self, found: Any) -> FloatArray:
        name = self.access.name
        outputs = value_of(value_of(found, "sample_outputs", name), "outputs", name)
        first = outputs[0] if isinstance(outputs, list) and outputs else None
        return read_rows(value_of(value_of(first, "content", name), "action", name), name)


def _sampling(request: ActionRequest | MediaRequest) -> dict[str, Any]:
    return {"seed": request.seed, "num_steps": request.num_steps, "guidance": request.guidance, "shift": request.shift}


def _without_none(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}
