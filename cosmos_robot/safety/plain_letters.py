"""Words as they are meant: however they are spelled, as the plain letters that a reader sees."""

import re
import unicodedata
from collections.abc import Iterator

_ESCAPES = re.compile(r"\\(?:u([0-9a-fA-F]{4})|[nrtbf])")
"""JSON's, for prompts that are captions in JSON."""

_LOOK_ALIKES = str.maketrans(
    "асеһіјкморѕтухԁԛԝвнαβεηικνορτυχᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢøłđħŧıɡɑ",
    "acehijkmopstyxdqwbhabeniknoptuxabcdefghijklmnoprstuvwyzoldhtiga",
)
"""Letters that look like those of the Latin alphabet, in lower case, and that no normal form makes these."""

_INVISIBLE = frozenset("\u1160\u2800")
"""Letters and signs that show nothing."""

_DISGUISES = str.maketrans("013457@$!", "oieastasi")
"""Digits and signs that stand for letters."""

_SPACED = re.compile(r"(?<!\w)\w(?:[^\w]\w)+(?!\w)")
"""Letters with one sign or blank between each two."""


def readings(text: str) -> Iterator[str]:
    """Give the ways in which a text may be meant, all in lower case and plain letters.

    First as it stands, then with digits and signs for letters, then with letters that stand apart drawn together.
    """
    plain = plain_letters(text)
    yield plain
    meant = plain.translate(_DISGUISES)
    yield meant
    yield _SPACED.sub(lambda found: re.sub(r"\W", "", found[0]), meant)


def plain_letters(text: str) -> str:
    """Lower case, without accents and invisible characters, look-alikes of other widths and scripts resolved.

    An underscore is a space: it stands between words, and is no letter of one.
    """
    unescaped = _ESCAPES.sub(lambda found: chr(int(found[1], 16)) if found[1] else " ", text)
    decomposed = unicodedata.normalize("NFKD", unescaped).casefold().replace("_", " ").translate(_LOOK_ALIKES)
    return "".join(char for char in decomposed if not _shows_nothing(char))


def _shows_nothing(char: str) -> bool:
    category = unicodedata.category(char)
    return category in ("Mn", "Me", "Cf") or (category == "Cc" and not char.isspace()) or char in _INVISIBLE
