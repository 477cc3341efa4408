"""`<think>` parts, wherever the pieces of a text are cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos_robot.errors import AnswerError
from cosmos_robot.interface.reason import read_json_object
from cosmos_robot.interface.thinking import ThinkSplitter


def split(pieces, *, thinking=False):
    splitter = ThinkSplitter(thinking=thinking)
    chunks = [chunk for piece in pieces for chunk in splitter.feed(piece)] + list(splitter.flush())
    return tuple("".join(chunk.text for chunk in chunks if chunk.thinking is side) for side in (True, False))


@pytest.mark.parametrize(
    ("text", "thinking", "expected"),
    [
        ("Yes.", False, ("", "Yes.")),
        ("<think>\nHm.\n</think>\n\nYes.", False, ("Hm.\n", "Yes.")),
        ("Hm.\n</think>\n\nYes.", True, ("Hm.\n", "Yes.")),
        ("<think>Hm, cut", False, ("Hm, cut", "")),
        ("a < b <thin", False, ("", "a < b <thin")),
        ("One <think>x</think>two <think>y</think>three", False, ("xy", "One two three")),
        ("\n\nYes.\n", False, ("", "Yes.\n")),
    ],
)
def test_parts(text, thinking, expected):
    assert split([text], thinking=thinking) == expected
    assert split(list(text), thinking=thinking) == expected


@given(st.text(alphabet="<>/thinkx\n", max_size=60), st.lists(st.integers(0, 60), max_size=6), st.booleans())
def test_where_the_pieces_are_cut_does_not_matter(text, cuts, thinking):
    bounds = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[a:b] for a, b in pairwise(bounds)]
    assert split(pieces, thinking=thinking) == split([text], thinking=thinking)


@pytest.mark.parametrize("text", ['{"a": 1}', 'Sure:\n```json\n{"a": 1}\n```\nDone {x}.', 'It is {"a": 1}, as asked.'])
def test_json_among_other_words(text):
    assert read_json_object(text) == {"a": 1}


@pytest.mark.parametrize("text", ["", "no", "[1]", '{"a": [{"b": 1}', "{x}", "```json\n[1]\n```", '{"a":' * 5000])
def test_no_json_object(text):
    with pytest.raises(AnswerError):
        read_json_object(text)
