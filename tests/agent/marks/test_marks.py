"""What is said of a result is durable, reaches the broker once and keeps the picture; else it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.archive.index import Query
from agent.clock import ManualClock
from agent.contract.commands import NotDoneError
from agent.contract.mark import Mark
from agent.marks.file import MarksError
from tests.agent.archive.records import MORNING, record, result_id
from tests.agent.marks.said import TOPICS, Said, station
from tests.brokers import eventually


def word_of(said: Said, number: int) -> str | None:
    kept = said.shelf.get(result_id(number))
    return None if kept is None or kept.head.mark is None else kept.head.mark.word


def test_a_mark_is_told_to_the_broker_and_holds_its_picture(tmp_path: Path) -> None:
    with station(tmp_path) as said:
        said.judge(1)
        made = said.say(1, "wrong", who="Ada")
        said.follow()
        assert said.told() == [made.mark_id]
        row = next(one.row for one in said.outbox.lease(9) if one.row.topic == TOPICS.mark())
        assert Mark.model_validate_json(row.payload) == made
        assert (row.kind, dict(row.properties)["type"]) == ("event", "plumbline.mark/1")
        assert word_of(said, 1) == "false_alarm"


@pytest.mark.parametrize(
    ("name", "says", "word"),
    [
        ("fail", "right", "confirmed"),
        ("fail", "wrong", "false_alarm"),
        ("pass", "wrong", "missed_defect"),
        ("pass", "right", "confirmed"),
        ("undecided", "wrong", "false_alarm"),
    ],
)
def test_the_archive_says_the_same_in_its_own_words(tmp_path: Path, name: str, says: str, word: str) -> None:
    with station(tmp_path) as said:
        said.judge(1, name=name)
        said.say(1, says)
        said.follow()
        assert word_of(said, 1) == word
        said.say(1, "taken_back")
        said.follow()
        assert word_of(said, 1) is None


def test_the_last_word_holds_and_the_same_word_again_is_no_other_mark(tmp_path: Path) -> None:
    with station(tmp_path) as said:
        said.judge(1)
        first = said.say(1, "right", label="scratch")
        assert said.say(1, "right", label="scratch") == first
        assert said.say(1, "right", label="dent").sequence == 2
        assert said.say(1, "right", label="dent", who="Bob").sequence == 3
        said.follow()
        assert len(said.told()) == 3


def test_a_picture_that_made_room_is_told_and_the_mark_is_kept_all_the_same(tmp_path: Path) -> None:
    with station(tmp_path, clock=ManualClock(MORNING.replace(hour=9))) as said:
        said.judge(1, kept=False)
        made = said.say(1, "wrong")
        assert made.picture == "gone"
        said.follow()
        assert said.told() == [made.mark_id]
        assert said.marks.file.due("held", after=0, limit=9) == []


def test_a_picture_on_its_way_into_the_archive_is_waited_for(tmp_path: Path) -> None:
    clock = ManualClock(MORNING)
    with station(tmp_path, clock=clock) as said:
        said.judge(1, kept=False)
        assert said.say(1, "wrong").picture == "kept"
        said.follow()
        assert said.marks.file.due("held", after=0, limit=9)
        said.shelf.put(*record(1))
        said.follow()
        assert word_of(said, 1) == "false_alarm"


def test_a_picture_that_never_came_is_waited_for_a_minute_only(tmp_path: Path) -> None:
    clock = ManualClock(MORNING)
    with station(tmp_path, clock=clock) as said:
        said.judge(1, kept=False)
        said.say(1, "wrong")
        said.follow()
        clock.advance(61)
        said.follow()
        assert said.marks.file.due("held", after=0, limit=9) == []


def test_a_result_that_only_its_mark_knows_can_be_marked_again(tmp_path: Path) -> None:
    with station(tmp_path) as said:
        said.judge(1)
        said.say(1, "right")
        said.follow()
    for name in ("outbox.sqlite3", "outbox.sqlite3-wal", "outbox.sqlite3-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    for path in (tmp_path / "archive").rglob("*.png"):
        path.unlink()
    with station(tmp_path) as said:
        again = said.say(1, "wrong")
        assert (again.sequence, again.verdict, again.picture) == (2, "fail", "gone")
        assert (again.result_sequence, again.camera, again.bundle_sha256) == (1, "top", "ab" * 32)


@pytest.mark.parametrize(
    ("more", "kind", "words"),
    [
        ({"says": "right", "number": 9}, "not_found", "does not know that result"),
        ({"says": "taken_back", "number": 1}, "not_found", "nothing was said of this result"),
        ({"says": "right", "number": 1, "defect_index": 3}, "bad_arguments", "has 0 defects"),
        ({"says": "right", "number": 2}, "impossible", "was skipped"),
    ],
)
def test_what_cannot_be_marked_is_refused_in_words(
    tmp_path: Path, more: dict[str, object], kind: str, words: str
) -> None:
    with station(tmp_path) as said:
        said.judge(1)
        said.judge(2, kept=False, name="skipped")
        with pytest.raises(NotDoneError, match=words) as refused:
            said.say(more.pop("number"), more.pop("says"), **more)  # type: ignore[arg-type]
        assert refused.value.kind == kind
        assert said.marks.file.count() == 0


def test_what_a_crash_cut_off_follows_at_the_next_start_and_the_broker_hears_it_once(tmp_path: Path) -> None:
    with station(tmp_path) as said:
        said.judge(1)
        said.judge(2)
        told = said.say(1)
        said.follow()
        with pytest.MonkeyPatch.context() as patch:  # the outbox has it, and the crash comes before we know
            patch.setattr(said.marks.file, "done", lambda what, sequences: None)
            late = said.say(2, "wrong")
            said.follow()
    with station(tmp_path) as said:
        said.follow()
        assert said.told() == [told.mark_id, late.mark_id]
        assert word_of(said, 2) == "false_alarm"
        assert said.marks.file.due("told", after=0, limit=9) == []


def test_marked_frames_outlive_the_days_and_make_room_last(tmp_path: Path) -> None:
    clock = ManualClock(MORNING)
    with station(tmp_path, clock=clock) as said:
        for number in (1, 2, 3):
            said.judge(number)
        said.say(2)
        said.follow()
        said.shelf._limits = said.shelf._limits.model_copy(update={"days": 1.0})
        clock.advance(5 * 86_400)
        while said.shelf.tidy():
            pass
        assert [one.head.id for one in said.shelf.find(Query(limit=9))] == [result_id(2)]


def test_its_thread_follows_up_by_itself_and_a_fault_is_told_until_it_is_over(tmp_path: Path) -> None:
    with station(tmp_path) as said:
        said.judge(1)
        said.marks.start()
        made = said.say(1)
        eventually(lambda: said.told() == [made.mark_id], "the outbox has it")
        eventually(lambda: word_of(said, 1) == "confirmed", "the archive knows of it")
        with pytest.MonkeyPatch.context() as patch:

            def broken(*_: object, **__: object) -> list[Mark]:
                raise MarksError("marks: the disk is gone; see to it")

            patch.setattr(said.marks.file, "due", broken)
            said.say(1, "wrong")
            eventually(lambda: said.marks.words() == ("Marks: marks: the disk is gone; see to it",), "told")
        said.say(1, "right", label="dent")
        eventually(lambda: said.marks.words() == (), "it is over")


def test_after_its_end_nothing_is_taken_in_words(tmp_path: Path) -> None:
    with station(tmp_path) as said:
        said.judge(1)
        said.marks.stop()
        with pytest.raises(MarksError, match="the agent ends; mark it once it runs again"):
            said.say(1)
