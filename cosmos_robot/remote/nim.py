"""NVIDIA NIM for Cosmos 3: `/v1/infer` in the words of its newer releases."""

from typing import Any, Self

import numpy as np

from cosmos_robot.domains.canvas import parse_tier
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.generation import Generation
from cosmos_robot.interface.media_request import MediaRequest
from cosmos_robot.interface.model_space import encoded_actions, encoded_state
from cosmos_robot.interface.request import ActionRequest
from cosmos_robot.remote.address import Address, choose_key
from cosmos_robot.remote.answers import make_generation, make_rollout, read_rows, require_carried, value_of
from cosmos_robot.remote.canvas_words import SIZE_SETTINGS, resolution_word
from cosmos_robot.remote.exchange import Exchange, ask
from cosmos_robot.remote.media_bytes import decode_base64, decode_media, picture_file, video_file
from cosmos_robot.remote.options import RemoteSettings
from cosmos_robot.remote.refusals import notes_of, require_json
from cosmos_robot.remote.service import Access, Service
from cosmos_robot.types import FloatArray, Rollout

_INFER = "/v1/infer"
_ACTION_SETTINGS = ("negative_prompt", "image_size", "fps", "num_steps", "guidance", "shift", "state")
_MEDIA_SETTINGS = (
    *SIZE_SETTINGS,
    *("condition_frame_indexes_vision", "condition_video_keep", "negative_prompt", "upsample"),
    *("num_frames", "fps", "num_steps", "guidance", "shift"),
)
_USUAL_TIER = 480
"""Of the action modes, where a request names none."""
_JOINTS = "droid_lerobot_joint"
"""The domain that NIM knows as `droid_lerobot` with an observation: its gripper counts from open to closed there."""


class Nim(Service):
    """A NIM container."""

    modes = (
        *("text2image", "text2video", "image2video", "video2video"),
        *("forward_dynamics", "inverse_dynamics", "policy"),
    )

    @classmethod
    def open(cls, address: Address, settings: RemoteSettings) -> Self:
        """Make the service; a container asks for no key, what stands in front of one may."""
        if not address.place:
            raise InvalidInputError("nim:// takes the place of a container, as in nim://localhost:8000.")
        base = address.base(usual="http")
        names = ("NVIDIA_API_KEY", "NGC_API_KEY")
        key = choose_key(settings.api_key, names, service="NIM", safe=address.safe(base), needed=False)
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return cls(Access(f"NIM at {base}", base, headers, settings.upload))

    def _action(self, request: ActionRequest) -> Exchange[list[Rollout]]:
        require_carried(request, _ACTION_SETTINGS, self.access.name)
        if request.state is not None and request.return_frames:
            raise InvalidInputError(f"{self.access.name} gives actions alone from a robot's state; no return_frames.")
        fps = request.domain.fps if request.fps is None else request.fps
        if request.mode == "inverse_dynamics":
            file = video_file(request.frames, fps)
        else:
            file = picture_file(request.frames[0])
        body = {
            "model_mode": request.mode,
            "prompt": request.prompt,
            "input_reference": self.access.located(file),
            "fps": fps,
            "action_params": _action_params(request, fps),
            **_sampling(request),
        }
        return self._answered_actions(request, body)

    def _answered_actions(self, request: ActionRequest, body: dict[str, Any]) -> Exchange[list[Rollout]]:
        service = self.access.name
        reply = yield from ask(self.access.post(_INFER, body))
        found = require_json(reply, service)
        media = None
        if request.mode != "inverse_dynamics" and request.return_frames:
            media = decode_media(decode_base64(value_of(found, "b64_video", service), service), service).frames
        actions = None
        if request.actions is None:
            actions = read_rows(value_of(value_of(found, "action", service), "data", service), service)
            if request.state is not None:
                actions = _gripper_turned(actions)
        return [make_rollout(request, service, frames=media, actions=actions, notes=notes_of(reply))]

    def _media(self, request: MediaRequest) -> Exchange[list[Generation]]:
        require_carried(request, _MEDIA_SETTINGS, self.access.name)
        body: dict[str, Any] = {"model_mode": request.mode, "prompt": request.prompt_used, **_sampling(request)}
        if request.mode == "image2video" and request.frames is not None:
            body["input_reference"] = self.access.located(picture_file(request.frames[0]))
        if request.mode == "video2video" and request.given_frames is not None:
            body["input_reference"] = self.access.located(video_file(request.given_frames, request.fps or 24.0))
            body["condition_frame_indexes_vision"] = list(request.condition_frame_indexes_vision)
            body["condition_video_keep"] = request.condition_video_keep
        wishes = {
            "resolution": resolution_word(request),
            "fps": request.fps,
            "num_frames": None if request.image else request.num_frames,
            "prompt_upsampling": request.upsample or None,
        }
        body |= {name: value for name, value in wishes.items() if value is not None}
        return self._answered_media(request, body)

    def _answered_media(self, request: MediaRequest, body: dict[str, Any]) -> Exchange[list[Generation]]:
        service = self.access.name
        reply = yield from ask(self.access.post(_INFER, body))
        found = require_json(reply, service)
        content = decode_base64(value_of(found, "b64_image" if request.image else "b64_video", service), service)
        return [
            make_generation(
                request,
                decode_media(content, service),
                notes=notes_of(reply),
                seed=found.get("seed"),
                prompt_used=found.get("upsampled_prompt"),
            )
        ]


def _action_params(request: ActionRequest, fps: float) -> dict[str, Any]:
    domain, width = request.domain, request.domain.raw_action_dim
    tier = domain.published.tier if request.image_size is None else parse_tier(request.image_size)
    params: dict[str, Any] = {
        "domain_name": domain.name,
        "action_chunk_size": request.action_chunk_size,
        "raw_action_dim": width,
        "action_fps": fps,
    }
    if tier not in (None, _USUAL_TIER):
        params["image_size"] = str(tier)
    actions, state = encoded_actions(request, action_dim=width), encoded_state(request, action_dim=width)
    if actions is not None:
        params["action"] = actions.tolist()
    if state is not None:
        if domain.name != _JOINTS:
            raise InvalidInputError(f"NIM starts from a robot's state in domain {_JOINTS} alone, not {domain.name}.")
        params |= {"domain_name": "droid_lerobot", "action_space": "joint_pos"}
        params["observation"] = {
            "observation/joint_position": state[:7].tolist(),
            "observation/gripper_position": float(1 - state[7]),
        }
    return params


def _sampling(request: ActionRequest | MediaRequest) -> dict[str, Any]:
    negative = request.negative_prompt
    given = {
        "seed": request.seed,
        "negative_prompt": None if isinstance(request, ActionRequest) and not negative else negative,
        "num_inference_steps": request.num_steps,
        "guidance_scale": request.guidance,
        "flow_shift": request.shift,
    }
    return {name: value for name, value in given.items() if value is not None}


def _gripper_turned(actions: FloatArray) -> FloatArray:
    """DROID's gripper from its own counting, 0 is open, to the domain's, 1 is open."""
    turned = actions.copy()
    turned[:, -1] = np.float32(1) - turned[:, -1]
    return turned
