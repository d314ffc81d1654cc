"""Text of strangers can neither steer a terminal nor break a file."""

import io
import json
import sys

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from agent.foreign import shown, stored


def test_what_steers_a_terminal_is_escaped() -> None:
    assert shown("key\x1b[2J\r\nsigned\u202e \x9b1m") == r"key\x1b[2J\r\nsigned\u202e \x9b1m"


def test_brackets_and_letters_of_any_language_stay() -> None:
    assert shown("Prüfling [red] 部品.png") == "Prüfling [red] 部品.png"


@given(st.text(st.characters(codec=None)))
def test_anything_is_one_printable_line(text: str) -> None:
    line = shown(text)
    assert line.isprintable() or all(one.isprintable() or one.isspace() for one in line)
    assert len(line.splitlines()) <= 1
    line.encode()


def test_what_can_be_seen_is_the_same_as_written_one_by_one() -> None:
    """Text without anything to escape is not looked at letter by letter."""
    letters = [chr(point) for point in range(sys.maxunicode + 1)]
    assert [one for one in letters if one.isprintable() and shown(one + "\n") != one + r"\n"] == []


@given(st.text(st.characters(codec=None)))
def test_a_terminal_gets_what_was_shown(text: str) -> None:
    out = io.StringIO()
    Console(file=out, width=10**6).print(
        shown(text), markup=False, highlight=False, soft_wrap=True, emoji=False
    )
    assert out.getvalue() == shown(text) + "\n"


@given(st.text(st.characters(codec=None)))
def test_anything_can_be_stored(text: str) -> None:
    json.dumps(stored(text), ensure_ascii=False).encode()
    assert len(stored(text)) == len(text)


def test_a_byte_that_is_no_utf_8_becomes_a_question_mark() -> None:
    assert stored(b"part\xff.png".decode(errors="surrogateescape")) == "part?.png"
