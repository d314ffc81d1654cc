"""The next bundle shows on the same marks what would change: mended, newly wrong, kept, undecided."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.bundle.bundle import open_bundle
from agent.clock import SystemClock
from agent.contract.mark import Mark
from agent.errors import PlumblineError
from agent.remote.proof.document import OnMarks
from agent.remote.proof.marked import Again, becomes, counted, words
from agent.replay.marked import by_bundle
from tests.agent.marks.said import mark
from tests.agent.remote.proof.shadowed import write_grey
from tests.agent.replay.kept import Keeping, grey_steps

GOOD, BAD = (20, 25, 30), (20, 240, 230, 30, 250)


@pytest.fixture
def station(tmp_path: Path) -> Keeping:
    write_grey(tmp_path / "serves")
    return Keeping(folder=tmp_path)


def again(station: Keeping, marks: list[Mark], bundle: Path) -> list[Again | None]:
    with by_bundle(station.settings, bundle, marks, SystemClock()) as (sha256, going):
        assert sha256 == open_bundle(bundle).sha256
        return [*going]


def test_by_the_same_bundle_what_was_right_stays_right(station: Keeping) -> None:
    passed, _ = station.judge(grey_steps(*GOOD))
    failed, _ = station.judge(grey_steps(*BAD))
    assert (passed.verdict, failed.verdict) == ("pass", "fail")
    marks = [mark(1, "right", of=passed), mark(2, "right", of=failed), mark(2, "wrong", of=failed)]
    found = again(station, marks, station.folder / "serves")
    assert [one and one.becomes for one in found] == ["kept_right", "kept_right", "still_wrong"]


def test_another_threshold_mends_and_spoils_and_both_are_told(station: Keeping) -> None:
    failed, _ = station.judge(grey_steps(*BAD))
    passed, _ = station.judge(grey_steps(*GOOD))
    assert passed.score is not None
    lower = station.changes | {
        "judge": station.settings.judge.model_copy(update={"threshold": passed.score.raw / 2})
    }
    stricter = Keeping(folder=station.folder, changes=lower)
    marks = [mark(2, "right", of=passed), mark(2, "wrong", of=passed), mark(1, "right", of=failed)]
    found = again(stricter, marks, station.folder / "serves")
    assert [one and one.becomes for one in found] == ["newly_wrong", "mended", "kept_right"]
    assert counted(found) == OnMarks(newly_wrong=1, mended=1, kept_right=1)
    assert words(counted(found)) == (
        "of 3 results that people have marked, 1 that were wrong would be right, 1 that were right would be"
        " wrong, 1 stay right, 0 stay wrong"
    )


def test_what_made_room_or_tells_nothing_is_counted_and_not_judged(station: Keeping) -> None:
    failed, path = station.judge(grey_steps(*BAD))
    told_nothing = mark(1, "right", of=failed).model_copy(update={"truth": None})
    path.unlink()
    found = again(station, [mark(1, of=failed), told_nothing], station.folder / "serves")
    assert found == [None, None]
    assert words(counted(found)) == "no marked result could be judged again"


def test_without_an_archive_or_a_bundle_it_says_so(station: Keeping, tmp_path: Path) -> None:
    failed, _ = station.judge(grey_steps(*BAD))
    with pytest.raises(PlumblineError, match="gone"):
        again(station, [mark(1, of=failed)], tmp_path / "gone")
    station.changes["archive"] = station.settings.archive.model_copy(update={"folder": None})
    with pytest.raises(PlumblineError, match=r"archive\.folder is not set"):
        again(station, [mark(1, of=failed)], station.folder / "serves")


@pytest.mark.parametrize(
    ("says", "verdict", "now", "becomes_"),
    [
        ("right", "pass", "undecided", "undecided"),
        ("right", "pass", "fail", "newly_wrong"),
        ("wrong", "fail", "pass", "mended"),
        ("wrong", "undecided", "fail", "still_wrong"),
        ("wrong", "undecided", "pass", "mended"),
    ],
)
def test_what_it_becomes_follows_from_what_was_said(says: str, verdict: str, now: str, becomes_: str) -> None:
    from tests.agent.archive.records import verdict as recorded

    one = mark(1, says, of=recorded(1, name=verdict))  # type: ignore[arg-type]
    assert one.truth is not None
    assert becomes(one.truth, now, was_right=says == "right") == becomes_  # type: ignore[arg-type]
