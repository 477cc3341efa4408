"""Cosmic's AI: text, images, videos and their extensions, and speech, kept in a media library.

The models that its requests name are Anthropic's, Google's and OpenAI's. The one that is served answers in their
place, and every answer says in `model` which that is; speech is espeak-ng's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse

from cosmos_robot.serving.answer import Answer
from cosmos_robot.serving.answer_address import base_url
from cosmos_robot.serving.answer_headers import answer_headers, safety_header
from cosmos_robot.serving.cosmic_answer import generation_seconds, image_record, video_record
from cosmos_robot.serving.cosmic_bucket import PATH, Bucket
from cosmos_robot.serving.cosmic_library import add_library
from cosmos_robot.serving.cosmic_media import MediaLibrary, MediaRecord
from cosmos_robot.serving.cosmic_question import EXTENSION_SECONDS, CosmicReader
from cosmos_robot.serving.cosmic_request import CosmicAudio, CosmicExtend, CosmicImage, CosmicText, CosmicVideo
from cosmos_robot.serving.cosmic_speech import SpeechDesk
from cosmos_robot.serving.cosmic_style import STYLE
from cosmos_robot.serving.cosmic_text import add_text
from cosmos_robot.serving.cosmic_usage import audio_usage, image_usage, video_usage
from cosmos_robot.serving.json_body import body_reader, json_schema
from cosmos_robot.serving.openai_models import ServedModel
from cosmos_robot.serving.question import Question
from cosmos_robot.serving.service import Service
from cosmos_robot.serving.speech import PROGRAM

BODIES = (CosmicText, CosmicImage, CosmicVideo, CosmicExtend, CosmicAudio)

__all__ = ["BODIES", "STYLE", "router"]


def router(service: Service) -> APIRouter:
    """Make the router."""
    routes = APIRouter(tags=["Cosmic"])
    library = MediaLibrary(service.store.engine, service.folder.path / "media")
    reader = CosmicReader(service.reader(), library, service.capabilities)
    model = ServedModel.of(service.settings).name
    add_text(routes, service, reader, model)
    _add_image(routes, service, reader, model)
    _add_videos(routes, service, reader, model)
    _add_audio(routes, service, library)
    add_library(routes, service, library)
    return routes


def _add_image(routes: APIRouter, service: Service, reader: CosmicReader, model: str) -> None:
    read = body_reader(CosmicImage, depth=service.settings.limits.json_depth)

    @routes.post(PATH + "/ai/image", openapi_extra=json_schema(CosmicImage))
    async def image(request: Request, bucket: Bucket, body: Annotated[CosmicImage, Depends(read)]) -> JSONResponse:
        """Generate an image."""
        base = base_url(service.settings, request)
        question = await service.read(partial(reader.image, body, base))
        made = _Making(service, reader.library, request, "image")
        record, answer, headers = await made.answer(question, lambda given: image_record(body, bucket, given))
        shown = {"media": record.shown(base), "revised_prompt": answer.items[0].prompt_used}
        return JSONResponse({**shown, "usage": image_usage(body), "model": model}, headers=headers)


def _add_videos(routes: APIRouter, service: Service, reader: CosmicReader, model: str) -> None:
    depth = service.settings.limits.json_depth
    read_video, read_extend = body_reader(CosmicVideo, depth=depth), body_reader(CosmicExtend, depth=depth)

    async def answered(
        request: Request, bucket: str, body: CosmicVideo | CosmicExtend, question: Question, seconds: int
    ) -> tuple[dict[str, Any], dict[str, str]]:
        made = _Making(service, reader.library, request, "video")
        record, answer, headers = await made.answer(question, lambda given: video_record(body, bucket, given, model))
        shown = {
            "media": record.shown(base_url(service.settings, request)),
            "usage": video_usage(body.model, seconds),
            "generation_time_seconds": generation_seconds(answer),
            "model": model,
        }
        return shown, headers

    @routes.post(PATH + "/ai/video", openapi_extra=json_schema(CosmicVideo))
    async def video(
        request: Request, bucket: Bucket, body: Annotated[CosmicVideo, Depends(read_video)]
    ) -> JSONResponse:
        """Generate a video."""
        question = await service.read(partial(reader.video, body, base_url(service.settings, request)))
        shown, headers = await answered(request, bucket, body, question, body.duration)
        return JSONResponse(shown, headers=headers)

    @routes.post(PATH + "/ai/video/extend", openapi_extra=json_schema(CosmicExtend))
    async def extend(
        request: Request, bucket: Bucket, body: Annotated[CosmicExtend, Depends(read_extend)]
    ) -> JSONResponse:
        """Generate what follows a video of the library."""
        question = await service.read(partial(reader.extension, body, bucket))
        shown, headers = await answered(request, bucket, body, question, EXTENSION_SECONDS)
        more = {"source_media_id": body.media_id, "is_extension": True}
        return JSONResponse({**shown, **more}, headers=headers)


def _add_audio(routes: APIRouter, service: Service, library: MediaLibrary) -> None:
    read = body_reader(CosmicAudio, depth=service.settings.limits.json_depth)
    desk = SpeechDesk(library)

    @routes.post(PATH + "/ai/audio", openapi_extra=json_schema(CosmicAudio))
    async def audio(request: Request, bucket: Bucket, body: Annotated[CosmicAudio, Depends(read)]) -> JSONResponse:
        """Speak a text."""
        await run_in_threadpool(service.safety.check_prompt, body.prompt)
        record = await desk.answer(request, body, bucket)
        shown = record.shown(base_url(service.settings, request))
        whole = {"media": shown, "usage": audio_usage(body), "model": PROGRAM}
        return JSONResponse(whole, headers=safety_header(service.safety.name))


@dataclass(frozen=True)
class _Making:
    """One request for media that are made by way of the queue, and kept.

    Attributes:
        service: that answers.
        library: that keeps them.
        request: of the client that waits.
        endpoint: that it asked.
    """

    service: Service
    library: MediaLibrary
    request: Request
    endpoint: str

    async def answer(
        self, question: Question, record_of: Callable[[Answer], MediaRecord]
    ) -> tuple[MediaRecord, Answer, dict[str, str]]:
        """Answer a question, and take the file into the library; also gives headers about the answer."""
        job, answer = await self.service.answer(self.request, question, interface=STYLE.name, endpoint=self.endpoint)
        made = answer.folder / str(answer.items[0].media)
        record = await run_in_threadpool(lambda: self.library.add(record_of(answer), made))
        await self.service.discard(job.id)
        return record, answer, answer_headers(job, answer)
