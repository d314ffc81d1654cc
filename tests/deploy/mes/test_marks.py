"""The consumer keeps what people said of verdicts, once each, and the newest word of a result holds."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agent.contract.payloads import encode
from agent.schemas import examples
from contract import UnreadableError, place
from marks import HOLDS, read_mark
from store import Database

PLACE = place(examples.TOPICS.mark())


def said(sequence: int, says: str, **more: object) -> bytes:
    change = {"sequence": sequence, "mark_id": f"mark-{sequence}", "says": says, **more}
    return encode(examples.mark().model_copy(update=change))


def test_the_newest_word_of_a_result_holds_however_often_and_late_messages_come(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'verdicts.sqlite3'}")
    late = [
        read_mark(PLACE, said(number, says)) for number, says in ((2, "wrong"), (1, "right"), (2, "wrong"))
    ]
    other = read_mark(PLACE, said(3, "right", result_id="another", label="dent"))
    back = [
        read_mark(PLACE, said(4, "right", result_id="third")),
        read_mark(PLACE, said(5, "taken_back", result_id="third")),
    ]
    database.store([], [], marks=[*late, other, *back])
    database.close()
    with closing(sqlite3.connect(tmp_path / "verdicts.sqlite3")) as kept:
        kept.row_factory = sqlite3.Row
        assert len(kept.execute("SELECT * FROM marks").fetchall()) == 5
        holds = {row["result_id"]: (row["says"], row["label"]) for row in kept.execute(HOLDS)}
    assert holds == {examples.RESULT: ("wrong", "scratch"), "another": ("right", "dent")}


@pytest.mark.parametrize(
    "broken",
    [
        *(b"", b"{}", said(1, "right").replace(b"mark/1", b"mark/2")),
        said(1, "right").replace(b'"who"', b'"whom"'),
        *(said(1, "right").replace(b'"sequence":1,', b'"sequence":0,'), said(1, "a\u0000b")),
    ],
)
def test_what_is_no_mark_is_unreadable(broken: bytes) -> None:
    with pytest.raises(UnreadableError):
        read_mark(PLACE, broken)
