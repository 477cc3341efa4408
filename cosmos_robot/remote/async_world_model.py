"""A world model behind a service, for programs on an event loop."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, Unpack

import numpy as np
from numpy.typing import NDArray

from cosmos_robot.domains.domain import Domain
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.interface.action_requests import (
    AskedActions,
    forward_dynamics_requests,
    inverse_dynamics_requests,
    policy_requests,
    rollout_requests,
)
from cosmos_robot.interface.batch import ActionsLike, ObservationLike, read_clips
from cosmos_robot.interface.chain import chain_steps
from cosmos_robot.interface.chat import MessageLike
from cosmos_robot.interface.extend import extend_steps, latents_gone_on_from
from cosmos_robot.interface.generation import Generation
from cosmos_robot.interface.media_call import media_requests, read_pictures
from cosmos_robot.interface.media_request import MediaOptions, MediaRequest
from cosmos_robot.interface.reason import Reasoning, ReasonRequest
from cosmos_robot.interface.reason_mode import chat_request
from cosmos_robot.interface.request import ActionOptions, ActionRequest
from cosmos_robot.interface.steps import run_steps_async
from cosmos_robot.remote.async_sender import AsyncSender
from cosmos_robot.remote.options import RemoteOptions
from cosmos_robot.remote.remote_core import RemoteCore
from cosmos_robot.safety.checker import SafetyChecker
from cosmos_robot.types import Frames, Progress, Rollout


class AsyncRemoteWorldModel:
    """Generates at a service; the calls are those of `WorldModel`, awaited, with the same keywords and answers.

    A call takes one item. For many, gather calls, which are then under way side by side, or hand a list of requests to
    `generate`. A task that is cancelled cancels its request at the service.

        async with cr.AsyncRemoteWorldModel("http://localhost:8000") as wm:
            futures = await asyncio.gather(*(wm.rollout(frame, plan, domain="pusht") for plan in plans))

    Args:
        url: of the service; see `load_world_model`.
        safety: looks at prompts before they are sent, and at frames when they have come; None is nothing.
        options: see `RemoteOptions`.

    Raises:
        InvalidInputError: if the URL is none of a service, or a key is missing.
    """

    def __init__(self, url: str, *, safety: SafetyChecker | None = None, **options: Unpack[RemoteOptions]) -> None:
        self._core = RemoteCore(url, options, safety)
        self.name = url
        self._sender = AsyncSender(self._core.settings.timeouts, self._core.settings.concurrency)

    async def __aenter__(self) -> Self:
        """Itself; its end closes the connections."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self.aclose()

    @property
    def modes(self) -> tuple[str, ...]:
        """The modes that the service has."""
        return self._core.service.modes

    async def aclose(self) -> None:
        """Close the connections; calling it again does nothing."""
        await self._sender.close()

    async def generate(self, requests: Sequence[ActionRequest], *, progress: Progress | None = None) -> list[Rollout]:
        """Answer requests, in their order; see `RemoteWorldModel.generate`."""
        sent = self._core.rollouts(requests)
        return self._core.checked(await self._sender.run_all(sent, self._core.name, progress))

    async def generate_media(
        self, requests: Sequence[MediaRequest], *, progress: Progress | None = None
    ) -> list[Generation]:
        """Answer requests of the modes without actions, in their order; see `RemoteWorldModel.generate`."""
        sent = self._core.generations(requests)
        return self._core.checked(await self._sender.run_all(sent, self._core.name, progress))

    async def answer(self, request: ReasonRequest) -> Reasoning:
        """Answer a chat; see `RemoteWorldModel.generate`."""
        return (await self._sender.run_all([self._core.reasoning(request)], self._core.name))[0]

    async def forward_dynamics(
        self,
        observation: ObservationLike,
        actions: ActionsLike,
        *,
        domain: str | Path | Domain,
        **options: Unpack[ActionOptions],
    ) -> Rollout:
        """Imagine what the camera sees if the robot does this; see `WorldModel.forward_dynamics`."""
        return await self._one(forward_dynamics_requests(observation, actions, domain, options))

    async def inverse_dynamics(
        self,
        frames: Frames,
        *,
        domain: str | Path | Domain,
        action_chunk_size: int | None = None,
        **options: Unpack[ActionOptions],
    ) -> Rollout:
        """Read off what the robot did in a video; see `WorldModel.inverse_dynamics`."""
        return await self._one(inverse_dynamics_requests(frames, domain, action_chunk_size, options))

    async def policy(
        self,
        observation: ObservationLike,
        *,
        domain: str | Path | Domain,
        action_chunk_size: int | None = None,
        state: NDArray[np.floating[Any]] | None = None,
        return_frames: bool | None = None,
        **options: Unpack[ActionOptions],
    ) -> Rollout:
        """Choose what the robot should do, and imagine it; see `WorldModel.policy`."""
        asked = policy_requests(
            observation, domain, action_chunk_size, options, state=state, return_frames=return_frames
        )
        return await self._one(asked)

    async def rollout(
        self,
        observation: ObservationLike,
        actions: ActionsLike,
        *,
        domain: str | Path | Domain,
        action_chunk_size: int | None = None,
        **options: Unpack[ActionOptions],
    ) -> Rollout:
        """Imagine any number of actions, chunk after chunk; see `WorldModel.rollout`."""
        asked = rollout_requests(observation, actions, domain, action_chunk_size, options)
        steps = chain_steps(_single(asked.items))
        found = await run_steps_async(
            steps, lambda chunk: self.generate(chunk.requests, progress=chunk.progress(asked.progress))
        )
        return found[0]

    async def text2image(self, prompt: str, **options: Unpack[MediaOptions]) -> Generation:
        """Draw an image; see `WorldModel.text2image`."""
        return await self._one_medium(media_requests("text2image", prompt, None, options)[0], options)

    async def text2video(self, prompt: str, **options: Unpack[MediaOptions]) -> Generation:
        """Make a video; see `WorldModel.text2video`."""
        return await self._one_medium(media_requests("text2video", prompt, None, options)[0], options)

    async def image2video(self, image: Frames, prompt: str = "", **options: Unpack[MediaOptions]) -> Generation:
        """Make a video that starts from a picture; see `WorldModel.image2video`."""
        pictures, _ = read_pictures(image)
        return await self._one_medium(media_requests("image2video", prompt, pictures, options)[0], options)

    async def video2video(
        self,
        video: Frames,
        prompt: str = "",
        *,
        condition_frame_indexes_vision: Sequence[int] = (0, 1),
        condition_video_keep: Literal["first", "last"] = "first",
        **options: Unpack[MediaOptions],
    ) -> Generation:
        """Make a video that starts with frames of another; see `WorldModel.video2video`."""
        clips, _ = read_clips(video)
        requests, _ = media_requests(
            "video2video",
            prompt,
            clips,
            options,
            condition_frame_indexes_vision=tuple(condition_frame_indexes_vision),
            condition_video_keep=condition_video_keep,
        )
        return await self._one_medium(requests, options)

    async def extend_video(
        self,
        video: Frames,
        prompt: str = "",
        *,
        extra_frames: int | None = None,
        condition_latent_frames: int = 2,
        **options: Unpack[MediaOptions],
    ) -> Generation:
        """Continue a video from its last frames; see `WorldModel.extend_video`. It takes `num_frames` here."""
        clips, _ = read_clips(video)
        requests, _ = media_requests(
            "video2video",
            prompt,
            clips,
            options,
            condition_frame_indexes_vision=latents_gone_on_from(condition_latent_frames),
            condition_video_keep="last",
        )
        steps = extend_steps(_single(requests), extra_frames=extra_frames, clip_frames=self._core.clip_frames)
        progress = options.get("progress")
        found = await run_steps_async(
            steps, lambda chunk: self.generate_media(chunk.requests, progress=chunk.progress(progress))
        )
        return found[0]

    async def reason(self, prompt: str | Sequence[MessageLike], **options: Any) -> Reasoning:
        """Answer a question about a text, pictures or a video; see `WorldModel.reason`, without `stream`."""
        return await self.answer(chat_request(prompt, **options))

    async def _one(self, asked: AskedActions) -> Rollout:
        return (await self.generate(_single(asked.items), progress=asked.progress))[0]

    async def _one_medium(self, requests: list[MediaRequest], options: MediaOptions) -> Generation:
        return (await self.generate_media(_single(requests), progress=options.get("progress")))[0]


def _single[Asked](requests: list[Asked]) -> list[Asked]:
    if len(requests) != 1:
        raise InvalidInputError(
            f"a call of an AsyncRemoteWorldModel takes one item; got {len(requests)}. Gather calls, or use generate."
        )
    return requests
