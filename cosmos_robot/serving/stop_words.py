"""Words that end an answer, found while it comes."""

from cosmos_robot.interface.thinking import overlap


class StopWords:
    """Passes text on up to the first of some words, wherever the pieces are cut.

    Args:
        words: that end it; none lets everything pass.
    """

    def __init__(self, words: tuple[str, ...]) -> None:
        self._words = words
        self._held = ""
        self.found = False

    def feed(self, piece: str) -> str:
        """What is certain to stand before any of the words, after one more piece; nothing once one was found."""
        if self.found:
            return ""
        text = self._held + piece
        places = [at for word in self._words if (at := text.find(word)) >= 0]
        if places:
            self.found, self._held = True, ""
            return text[: min(places)]
        keep = max((overlap(text, word) for word in self._words), default=0)
        sure = text[: len(text) - keep]
        self._held = text[len(sure) :]
        return sure

    def flush(self) -> str:
        """What was held back, now that nothing follows."""
        held, self._held = self._held, ""
        return held
