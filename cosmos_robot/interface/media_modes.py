"""The modes without actions as public calls: images, videos, and videos that go on; batches of all. No torch."""

from collections.abc import Sequence
from typing import Any, Literal, Unpack, overload

from cosmos_robot.errors import UnsupportedModeError
from cosmos_robot.interface.batch import read_clips
from cosmos_robot.interface.extend import extend
from cosmos_robot.interface.generation import Generation
from cosmos_robot.interface.media_call import first_latent_frames, media_requests, read_pictures
from cosmos_robot.interface.media_request import MediaOptions, MediaRequest
from cosmos_robot.types import Frames, Progress


class MediaModes:
    """What a world model generates besides its action modes.

    Each call takes one item, or a batch (a list of prompts, of pictures, or of videos) and then gives a list. Items of
    a batch share a forward pass and come out as they do alone, within floating-point tolerance.
    """

    def generate_media(self, requests: Sequence[MediaRequest], *, progress: Progress | None = None) -> list[Generation]:
        """Answer requests, in their order.

        Raises:
            UnsupportedModeError: if this world model has no modes without actions.
        """
        raise UnsupportedModeError(f"{type(self).__name__} cannot do {requests[0].mode}: it has action modes alone.")

    def clip_frames(self, request: MediaRequest) -> int:
        """How many frames one generation for a video request has where the caller does not say."""
        raise UnsupportedModeError(f"{type(self).__name__} cannot do {request.mode}: it has action modes alone.")

    @overload
    def text2image(self, prompt: str, **options: Unpack[MediaOptions]) -> Generation: ...
    @overload
    def text2image(self, prompt: list[str], **options: Unpack[MediaOptions]) -> list[Generation]: ...
    def text2image(self, prompt: str | list[str], **options: Unpack[MediaOptions]) -> Generation | list[Generation]:
        """Draw an image.

        Args:
            prompt: what it shows; a list is a batch.
            options: see `MediaOptions`.

        Returns:
            A generation of one frame.

        Raises:
            InvalidInputError: if an argument does not fit; the message says what was expected.
        """
        return self._answer(media_requests("text2image", prompt, None, options), options)

    @overload
    def text2video(self, prompt: str, **options: Unpack[MediaOptions]) -> Generation: ...
    @overload
    def text2video(self, prompt: list[str], **options: Unpack[MediaOptions]) -> list[Generation]: ...
    def text2video(self, prompt: str | list[str], **options: Unpack[MediaOptions]) -> Generation | list[Generation]:
        """Make a video, with sound where `enable_sound` is set.

        Args:
            prompt: what happens; a list is a batch.
            options: see `MediaOptions`.

        Raises:
            InvalidInputError: if an argument does not fit; the message says what was expected.
            UnsupportedModeError: if sound is asked of a checkpoint that has none.
        """
        return self._answer(media_requests("text2video", prompt, None, options), options)

    @overload
    def image2video(self, image: Frames, prompt: str = "", **options: Unpack[MediaOptions]) -> Generation: ...
    @overload
    def image2video(
        self, image: list[Frames], prompt: str | list[str] = "", **options: Unpack[MediaOptions]
    ) -> list[Generation]: ...
    @overload
    def image2video(self, image: Frames, prompt: list[str], **options: Unpack[MediaOptions]) -> list[Generation]: ...
    def image2video(
        self, image: Any, prompt: str | list[str] = "", **options: Unpack[MediaOptions]
    ) -> Generation | list[Generation]:
        """Make a video that starts from a picture.

        Args:
            image: uint8 `[H, W, 3]`; a list, or `[B, H, W, 3]`, is a batch. It is scaled until it covers the canvas,
                and its middle is cut out; without a size of the caller's the canvas is the one shaped most like it.
            prompt: what happens; a list is a batch, of the one picture or of as many.
            options: see `MediaOptions`.

        Raises:
            MediaError: if a picture is not uint8 RGB.
            InvalidInputError: if another argument does not fit.
            UnsupportedModeError: if sound is asked of a checkpoint that has none.
        """
        pictures, batched = read_pictures(image)
        return self._answer(media_requests("image2video", prompt, pictures, options, batched=batched), options)

    @overload
    def video2video(
        self,
        video: Frames,
        prompt: str = "",
        *,
        condition_frame_indexes_vision: Sequence[int] = ...,
        condition_video_keep: Literal["first", "last"] = ...,
        **options: Unpack[MediaOptions],
    ) -> Generation: ...
    @overload
    def video2video(
        self,
        video: list[Frames],
        prompt: str | list[str] = "",
        *,
        condition_frame_indexes_vision: Sequence[int] = ...,
        condition_video_keep: Literal["first", "last"] = ...,
        **options: Unpack[MediaOptions],
    ) -> list[Generation]: ...
    @overload
    def video2video(
        self,
        video: Frames,
        prompt: list[str],
        *,
        condition_frame_indexes_vision: Sequence[int] = ...,
        condition_video_keep: Literal["first", "last"] = ...,
        **options: Unpack[MediaOptions],
    ) -> list[Generation]: ...
    def video2video(
        self,
        video: Any,
        prompt: str | list[str] = "",
        *,
        condition_frame_indexes_vision: Sequence[int] = (0, 1),
        condition_video_keep: Literal["first", "last"] = "first",
        **options: Unpack[MediaOptions],
    ) -> Generation | list[Generation]:
        """Make a video that starts with frames of another.

        Args:
            video: uint8 `[N, H, W, 3]`; a list of clips is a batch. Frames are stretched to the canvas; without a
                size of the caller's that is the one shaped most like them.
            prompt: what happens; a list is a batch.
            condition_frame_indexes_vision: latent frames that are given: (0, 1) are the first five frames.
            condition_video_keep: which end of the video gives them.
            options: see `MediaOptions`.

        Returns:
            A generation, or a list of them for a batch. Its first frames are the decoded conditioning frames.

        Raises:
            MediaError: if a video is shorter than its conditioning frames.
            InvalidInputError: if another argument does not fit.
            UnsupportedModeError: if sound is asked of a checkpoint that has none.
        """
        clips, batched = read_clips(video)
        requests = media_requests(
            "video2video",
            prompt,
            clips,
            options,
            batched=batched,
            condition_frame_indexes_vision=tuple(condition_frame_indexes_vision),
            condition_video_keep=condition_video_keep,
        )
        return self._answer(requests, options)

    @overload
    def extend_video(
        self,
        video: Frames,
        prompt: str = "",
        *,
        extra_frames: int | None = ...,
        condition_latent_frames: int = ...,
        **options: Unpack[MediaOptions],
    ) -> Generation: ...
    @overload
    def extend_video(
        self,
        video: list[Frames],
        prompt: str | list[str] = "",
        *,
        extra_frames: int | None = ...,
        condition_latent_frames: int = ...,
        **options: Unpack[MediaOptions],
    ) -> list[Generation]: ...
    @overload
    def extend_video(
        self,
        video: Frames,
        prompt: list[str],
        *,
        extra_frames: int | None = ...,
        condition_latent_frames: int = ...,
        **options: Unpack[MediaOptions],
    ) -> list[Generation]: ...
    def extend_video(
        self,
        video: Any,
        prompt: str | list[str] = "",
        *,
        extra_frames: int | None = None,
        condition_latent_frames: int = 2,
        **options: Unpack[MediaOptions],
    ) -> Generation | list[Generation]:
        """Continue a video from its last frames, as far as is wanted.

        Generations are chained, each on the last frames of the one before (chunk 0 with the seed itself, chunk k with
        `chunk_seed(seed, k)`), and joined without a doubled frame. Without a size of the caller's a video with
        sides of at most 832 pixels goes on at its own, a larger one in the mode's tier.

        Args:
            video: uint8 `[N, H, W, 3]`; a list of clips is a batch.
            prompt: what happens next; a list is a batch.
            extra_frames: how many frames to add; None adds those of one generation.
            condition_latent_frames: how much of the end each generation sees: 2 are five frames.
            options: see `MediaOptions`; `num_frames` is the length of one generation, what it goes on from included.

        Returns:
            A generation whose frames are the given ones, at the canvas's size, and then the new ones. With sound it is
            silent until the new ones begin.

        Raises:
            MediaError: if a video is shorter than what a generation goes on from.
            InvalidInputError: if another argument does not fit.
            UnsupportedModeError: if sound is asked of a checkpoint that has none.
        """
        clips, batched = read_clips(video)
        requests, batched = media_requests(
            "video2video",
            prompt,
            clips,
            options,
            batched=batched,
            condition_frame_indexes_vision=first_latent_frames(condition_latent_frames),
            condition_video_keep="last",
        )
        answers = extend(self, requests, extra_frames=extra_frames, progress=options.get("progress"))
        return answers if batched else answers[0]

    def _answer(self, call: tuple[list[MediaRequest], bool], options: MediaOptions) -> Generation | list[Generation]:
        requests, batched = call
        answers = self.generate_media(requests, progress=options.get("progress"))
        return answers if batched else answers[0]
