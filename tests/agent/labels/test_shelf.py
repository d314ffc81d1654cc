"""A label set is whole under its digest, or not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.labels import shelf as module
from agent.labels.label_set import LabelsError
from agent.labels.shelf import MOST_UNNAMED, Shelf, going, named_by
from tests.agent.labels.made import learned
from tests.odd_files import no_regular_files

FIVE = {"crack": 5, "dent": 5}


def test_what_was_put_is_there_and_twice_is_once(tmp_path: Path) -> None:
    shelf, labels = Shelf(tmp_path / "labels"), learned(FIVE).labels
    assert shelf.put(labels) == shelf.put(labels)
    assert [one for one, _ in shelf.all()] == [labels.sha256]
    assert shelf.get(labels.sha256).counts == FIVE


def test_a_station_that_learned_nothing_has_none(tmp_path: Path) -> None:
    assert list(Shelf(tmp_path / "labels").all()) == []
    with pytest.raises(LabelsError, match=r"is not in .*; learn it here"):
        Shelf(tmp_path / "labels").get("ab" * 32)


def test_a_file_that_is_not_what_was_written_is_refused(tmp_path: Path) -> None:
    shelf, labels = Shelf(tmp_path), learned(FIVE).labels
    path = shelf.put(labels)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(LabelsError, match="is not what was written"):
        shelf.get(labels.sha256)


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    shelf, digest = Shelf(tmp_path / "labels"), "ab" * 32
    shelf.folder.mkdir()
    for other in no_regular_files(tmp_path):
        (shelf.folder / f"{digest}.labels").symlink_to(other)
        with pytest.raises(LabelsError, match=r"cannot be read \(is "):
            shelf.get(digest)
        (shelf.folder / f"{digest}.labels").unlink()


DAY_S = 86_400.0
MONTH_S = 30 * DAY_S


def sets(*ages_s: float) -> list[tuple[str, float]]:
    """As a shelf has them, newest first; now is 0."""
    return [(f"{number:064x}", -age_s) for number, age_s in enumerate(sorted(ages_s))]


@given(
    ages=st.lists(st.floats(0, 100 * DAY_S), max_size=60),
    named=st.sets(st.integers(0, 59)),
    older_than_s=st.floats(DAY_S, 50 * DAY_S),
)
def test_a_set_goes_when_no_settings_name_it_and_it_is_old_or_one_of_too_many(
    ages: list[float], named: set[int], older_than_s: float
) -> None:
    there = sets(*ages)
    names = {f"{number:064x}" for number in named}
    gone = going(there, names, now_s=0.0, older_than_s=older_than_s)
    age = {sha256: -written_s for sha256, written_s in there}
    assert not names & set(gone)
    assert all(age[one] > DAY_S for one in gone), "whoever looks at one may still use it"
    left = [one for one in age if one not in gone and one not in names]
    assert all(age[one] <= older_than_s or age[one] <= DAY_S for one in left)
    assert len([one for one in left if age[one] > DAY_S]) <= MOST_UNNAMED


def test_what_goes_is_deleted_and_what_settings_name_can_still_be_gone_back_to(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "labels")
    made = [learned({"crack": 5 + number, "dent": 5}).labels for number in range(3)]
    for number, one in enumerate(made):
        os.utime(shelf.put(one), (number, number))
    old, current, other = (one.sha256 for one in made)
    before = named_by({"labels": {"set": None}, "recipes": [{"name": "a", "labels": old}, {"name": "b"}]})
    assert before == {old} and named_by({}) == set() and named_by({"labels": {"set": current}}) == {current}
    assert shelf.tidy({*before, current}, MONTH_S * 3, MONTH_S) == [other]
    assert {one for one, _ in shelf.all()} == {old, current}
    assert shelf.tidy({*before, current}, MONTH_S * 3, MONTH_S) == []


def test_a_disk_that_is_full_leaves_nothing_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, pieces: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "replace_file", full)
    with pytest.raises(LabelsError, match=r"No space left on device.*nothing was learned"):
        Shelf(tmp_path).put(learned(FIVE).labels)
    assert list(Shelf(tmp_path).all()) == []
