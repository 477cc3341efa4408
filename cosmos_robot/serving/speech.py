"""Speech from text: espeak-ng speaks, PyAV writes MP3, paragraph after paragraph, so that any length fits in memory.

espeak-ng is a formant synthesiser: clear, not lifelike. It reads in American English, whatever language the text is in.
"""

import math
import re
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from cosmos_robot.errors import InvalidInputError, MissingDependencyError
from cosmos_robot.serving.problems import Kind, RequestError

PROGRAM = "espeak-ng"
CHUNK = 4_096
"""Most characters that are spoken in one go; a longer text is split at its paragraphs."""

_BREAKS = (r"\n\s*\n\s*", r"\n", r"(?<=[.!?;:])\s+", r"\s+")
"""Where a text is split: between paragraphs; where one is too long between lines, sentences, words."""

_SECONDS_OF_A_CHUNK = 120.0
_BLOCK = 65_536


@dataclass(frozen=True)
class Speaker:
    """A voice.

    Attributes:
        variant: espeak-ng's name for its timbre: "f" or "m" and a number.
        pitch: 0 to 99; 50 is the variant's own.
        words_a_minute: how fast.
    """

    variant: str
    pitch: int = 50
    words_a_minute: int = 165


@dataclass(frozen=True)
class Spoken:
    """What was spoken.

    Attributes:
        seconds: how long it lasts.
        chunks: into how many parts the text was split.
    """

    seconds: float
    chunks: int


def speak(
    text: str, path: Path, speaker: Speaker, *, bits_a_second: int, wanted: Callable[[], bool] = lambda: True
) -> Spoken:
    """Speak a text into an MP3 file.

    Args:
        text: any length.
        path: of the file.
        speaker: the voice.
        bits_a_second: of the file.
        wanted: asked before each chunk; False stops.

    Raises:
        InvalidInputError: if there is nothing in the text that can be spoken.
        MissingDependencyError: if espeak-ng is not installed.
        RequestError: if it is no longer wanted.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise MissingDependencyError(
            "speech needs espeak-ng, which is not installed; get it with apt-get install espeak-ng (Debian, Ubuntu), "
            "dnf install espeak-ng (Fedora) or brew install espeak-ng."
        )
    if not text.strip():
        raise _nothing()
    chunks = split_text(text)
    with tempfile.TemporaryDirectory(prefix="cosmos-robot-") as folder:
        writer: _Mp3 | None = None
        try:
            for chunk in chunks:
                if not wanted():
                    raise RequestError(Kind.CANCELLED, "the client went away.")
                with _spoken(program, chunk, speaker, Path(folder) / "chunk.wav") as sound:
                    writer = writer or _Mp3(path, sound.getframerate(), bits_a_second)
                    writer.write(sound)
        finally:
            if writer is not None:
                writer.close()
    if writer is None or not writer.samples:
        raise _nothing()
    return Spoken(writer.seconds, len(chunks))


def _nothing() -> InvalidInputError:
    return InvalidInputError("the prompt holds nothing that can be spoken; give words.")


def split_text(text: str, most: int = CHUNK) -> list[str]:
    """Split a text into parts of at most `most` characters, at the largest of its breaks that are near enough.

    Joined, the parts are the text again.
    """
    return _split(text, most, _BREAKS) if text else []


def _split(text: str, most: int, breaks: tuple[str, ...]) -> list[str]:
    if len(text) <= most:
        return [text]
    if not breaks:
        return [text[at : at + most] for at in range(0, len(text), most)]
    parts: list[str] = []
    for piece in _pieces(text, breaks[0]):
        if len(piece) > most:
            parts += _split(piece, most, breaks[1:])
        elif parts and len(parts[-1]) + len(piece) <= most:
            parts[-1] += piece
        else:
            parts.append(piece)
    return parts


def _pieces(text: str, pattern: str) -> Iterator[str]:
    """Cut behind every match."""
    begin = 0
    for found in re.finditer(pattern, text):
        if found.end() > begin:
            yield text[begin : found.end()]
            begin = found.end()
    if begin < len(text):
        yield text[begin:]


def _spoken(program: str, text: str, speaker: Speaker, path: Path) -> wave.Wave_read:
    command = [program, "-v", f"en-us+{speaker.variant}", "-p", str(speaker.pitch), "-s", str(speaker.words_a_minute)]
    # Two brackets would begin phonemes, and NUL would end the text.
    said = text.replace("[[", "[ [").replace("\x00", " ").encode("utf-8")
    subprocess.run(
        [*command, "-b", "1", "-w", str(path), "--stdin"],
        input=said,
        check=True,
        capture_output=True,
        timeout=_SECONDS_OF_A_CHUNK,
    )
    return wave.open(str(path), "rb")


class _Mp3:
    """A file of one channel that is being written."""

    def __init__(self, path: Path, rate: int, bits_a_second: int) -> None:
        self._rate = rate
        self._container = av.open(path, "w", format="mp3")
        self._stream = self._container.add_stream("libmp3lame", rate=rate)
        self._stream.layout = "mono"
        self._stream.bit_rate = bits_a_second
        self._waiting: NDArray[np.int16] = np.zeros(0, np.int16)
        self.samples = 0

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.samples / self._rate

    def write(self, sound: wave.Wave_read) -> None:
        """Add what a file holds."""
        while block := sound.readframes(_BLOCK):
            self._waiting = np.concatenate([self._waiting, np.frombuffer(block, "<i2")])
            size = self._stream.codec_context.frame_size or 1152
            whole = math.floor(len(self._waiting) / size) * size
            for begin in range(0, whole, size):
                self._encode(self._waiting[begin : begin + size])
            self._waiting = self._waiting[whole:]

    def close(self) -> None:
        """Write what is left, and end the file."""
        if len(self._waiting):
            self._encode(self._waiting)
        if self.samples:
            self._container.mux(self._stream.encode())
        self._container.close()

    def _encode(self, samples: NDArray[np.int16]) -> None:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format="s16p", layout="mono")
        frame.sample_rate, frame.pts = self._rate, self.samples
        self.samples += len(samples)
        self._container.mux(self._stream.encode(frame))
