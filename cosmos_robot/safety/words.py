"""The checker `words`: prompts that name what is on a list are refused. It looks at no frame."""

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from cosmos_robot.errors import InvalidInputError, UnsafeContentError
from cosmos_robot.types import Frames

_DISGUISES = str.maketrans("013457@$!", "oieastasi")
"""Digits and signs that stand for letters."""


class WordChecker:
    """Refuses prompts in which a listed word or phrase stands, whole, in any case and spelling of its letters.

    Args:
        words: the list; None takes the one that comes with the library.

    Raises:
        InvalidInputError: if the list is empty.
    """

    name = "words"

    def __init__(self, words: Iterable[str] | None = None) -> None:
        listed = default_words() if words is None else tuple(words)
        phrases = {" ".join(re.split(r"\W+", _plain(word))).strip() for word in listed} - {""}
        if not phrases:
            raise InvalidInputError("the list of words to refuse is empty.")
        alternatives = "|".join(
            r"\W+".join(map(re.escape, phrase.split())) for phrase in sorted(phrases, key=len, reverse=True)
        )
        self._pattern = re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)")

    def check_prompt(self, prompt: str) -> None:
        """Look for listed words.

        Raises:
            UnsafeContentError: naming the first one.
        """
        plain = _plain(prompt)
        found = self._pattern.search(plain) or self._pattern.search(plain.translate(_DISGUISES))
        if found is not None:
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


def _plain(text: str) -> str:
    """Lower case, without accents and invisible characters, look-alikes of other scripts' widths resolved.

    An underscore is a space: it stands between words, and is no letter of one.
    """
    decomposed = unicodedata.normalize("NFKD", text).casefold().replace("_", " ")
    return "".join(char for char in decomposed if unicodedata.category(char) not in ("Mn", "Cf"))
