"""`<think>` parts, told apart from the answer while it comes."""

from collections.abc import Iterator

from cosmos_robot.interface.reason import ReasonChunk

OPEN, CLOSE = "<think>", "</think>"


class ThinkSplitter:
    """Cuts pieces of text at `<think>` and `</think>`, wherever the pieces themselves are cut.

    Args:
        thinking: whether the text starts inside of a part, as behind a chat template that opens one.
    """

    def __init__(self, *, thinking: bool = False) -> None:
        self._thinking = thinking
        self._held = ""
        self._fresh = True  # at a part's first character; line breaks there are the tags' own

    def feed(self, text: str) -> Iterator[ReasonChunk]:
        """Give what is certain after one more piece."""
        self._held += text
        while True:
            tag = CLOSE if self._thinking else OPEN
            at = self._held.find(tag)
            if at < 0:
                break
            yield from self._chunk(self._held[:at])
            self._held = self._held[at + len(tag) :]
            self._thinking, self._fresh = not self._thinking, True
        keep = overlap(self._held, CLOSE if self._thinking else OPEN)
        sure = self._held[: len(self._held) - keep]
        self._held = self._held[len(sure) :]
        yield from self._chunk(sure)

    def flush(self) -> Iterator[ReasonChunk]:
        """Give what was held back, now that nothing follows."""
        held, self._held = self._held, ""
        yield from self._chunk(held)

    def _chunk(self, text: str) -> Iterator[ReasonChunk]:
        if self._fresh:
            text = text.lstrip("\n")
        if text:
            self._fresh = False
            yield ReasonChunk(text, self._thinking)


def overlap(text: str, tag: str) -> int:
    """How many characters at the end of a text may be the beginning of a tag that is not whole yet."""
    return next((n for n in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:n])), 0)
