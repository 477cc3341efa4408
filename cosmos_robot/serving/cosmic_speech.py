"""Cosmic's voices as espeak-ng has them, spoken beside the queue, for as long as the client waits."""

import asyncio
import threading

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.requests import Request

from cosmos_robot.serving.cosmic_answer import audio_record
from cosmos_robot.serving.cosmic_media import MediaLibrary, MediaRecord
from cosmos_robot.serving.cosmic_request import CosmicAudio, Voice
from cosmos_robot.serving.speech import Speaker, speak

SPEAKERS: dict[Voice, Speaker] = {
    "nova": Speaker("f2", pitch=55),
    "shimmer": Speaker("f5", pitch=45, words_a_minute=150),
    "coral": Speaker("f3"),
    "sage": Speaker("f4", words_a_minute=150),
    "alloy": Speaker("f1"),
    "echo": Speaker("m3", pitch=35),
    "onyx": Speaker("m7", pitch=25),
    "fable": Speaker("m1", pitch=60, words_a_minute=175),
    "ash": Speaker("m2"),
}
"""Feminine and masculine as Cosmic's are; the rest of a voice's character is beyond a formant synthesiser."""

_BITS_A_SECOND = {"tts-1": 64_000, "tts-1-hd": 128_000}
_LOOK_SECONDS = 0.5
"""How often it is looked whether the client is still there."""

_AT_ONCE = 2


class SpeechDesk:
    """Speaks texts into a library, two at a time.

    Args:
        library: that takes the files.
    """

    def __init__(self, library: MediaLibrary) -> None:
        self._library = library
        self._places: CapacityLimiter | None = None

    async def answer(self, request: Request, body: CosmicAudio, bucket: str) -> MediaRecord:
        """Speak a text; a client that goes away ends it after the chunk that is on its way.

        Raises:
            InvalidInputError: if there is nothing in it that can be spoken.
            MissingDependencyError: if espeak-ng is not installed.
            RequestError: if the client went away.
        """
        if self._places is None:  # it belongs to the event loop
            self._places = CapacityLimiter(_AT_ONCE)
        gone = threading.Event()
        work = asyncio.ensure_future(run_sync(self._speak, body, bucket, gone, limiter=self._places))
        work.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # nobody may be there to hear it
        try:
            while not (await asyncio.wait({work}, timeout=_LOOK_SECONDS))[0]:
                if await request.is_disconnected():
                    gone.set()
            return work.result()
        finally:
            gone.set()

    def _speak(self, body: CosmicAudio, bucket: str, gone: threading.Event) -> MediaRecord:
        with self._library.partial() as folder:
            path = folder / "speech.mp3"
            spoken = speak(
                body.prompt,
                path,
                SPEAKERS[body.voice],
                bits_a_second=_BITS_A_SECOND[body.model],
                wanted=lambda: not gone.is_set(),
            )
            return self._library.add(audio_record(body, bucket, spoken), path)
