"""The checker `words`: prompts that name what is on a list are refused. It looks at no frame."""

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from cosmos_robot.errors import InvalidInputError, UnsafeContentError
from cosmos_robot.safety.plain_letters import plain_letters, readings
from cosmos_robot.types import Frames

_LET_THROUGH = "+"
"""What stands before an entry of the list that is let through, although it has a listed word in it."""


class WordChecker:
    """Refuses prompts in which a listed word or phrase stands, whole, in any case and spelling of its letters.

    Args:
        words: the list, of which entries with a + before them are let through; None takes the one that comes with the
            library.

    Raises:
        InvalidInputError: if the list is empty.
    """

    name = "words"

    def __init__(self, words: Iterable[str] | None = None) -> None:
        listed = default_words() if words is None else tuple(words)
        refused = _pattern(word for word in listed if not word.startswith(_LET_THROUGH))
        if refused is None:
            raise InvalidInputError("the list of words to refuse is empty.")
        self._refused = refused
        self._let_through = _pattern(word[1:] for word in listed if word.startswith(_LET_THROUGH))

    def check_prompt(self, prompt: str) -> None:
        """Look for listed words.

        Raises:
            UnsafeContentError: naming the first one.
        """
        for reading in readings(prompt):
            left = reading if self._let_through is None else self._let_through.sub("\n", reading)
            if (found := self._refused.search(left)) is not None:
                raise UnsafeContentError(
                    f"the prompt is refused by the safety checker 'words', because of {found[0]!r}; say it otherwise."
                )

    def check_frames(self, frames: Frames) -> Frames:
        """Give the frames as they are."""
        return frames


@cache
def default_words() -> tuple[str, ...]:
    """The list that comes with the library, one word or phrase a line."""
    text = files("cosmos_robot.safety").joinpath("words.txt").read_text(encoding="utf-8")
    return tuple(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))


def _pattern(words: Iterable[str]) -> re.Pattern[str] | None:
    """What finds any of the words or phrases, whole; None where there is none."""
    phrases = {" ".join(re.split(r"\W+", plain_letters(word))).strip() for word in words} - {""}
    if not phrases:
        return None
    alternatives = "|".join(
        r"\W+".join(map(re.escape, phrase.split())) for phrase in sorted(phrases, key=len, reverse=True)
    )
    return re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)")
