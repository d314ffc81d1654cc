"""The office's folder: no counter twice, nothing believed that was not written, one process at a time."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from models.fleet.ledger import Ledger, LedgerError


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = Ledger(folder=tmp_path / "state")
    with made.held():
        pass
    return made


def test_counters_rise_for_each_issuer_and_epoch_by_itself(ledger: Ledger) -> None:
    assert [ledger.reserve("office", 1) for _ in range(3)] == [1, 2, 3]
    assert ledger.reserve("office", 2) == 1
    assert ledger.reserve("another", 1) == 1
    assert ledger.reserve("office", 1, above=10) == 11
    assert ledger.reserve("office", 1, above=5) == 12
    assert Ledger(folder=ledger.folder).highest("office", 1) == 12


def test_a_damaged_counter_file_is_not_begun_anew(ledger: Ledger) -> None:
    ledger.reserve("office", 1)
    path = ledger.folder / "counters.json"
    path.write_bytes(path.read_bytes().replace(b": 1", b": 0"))
    with pytest.raises(LedgerError, match=r"counters\.json: is not what was written; restore the folder"):
        ledger.reserve("office", 1)
    path.write_bytes(b"")
    with pytest.raises(LedgerError, match="is not what was written"):
        ledger.highest("office", 1)


def test_a_content_is_found_by_its_digest_and_not_when_it_was_changed(ledger: Ledger) -> None:
    name = ledger.put({"settings": {"revision": 1}})
    assert ledger.put({"settings": {"revision": 1}}) == name
    assert ledger.content(name) == {"settings": {"revision": 1}}
    path = ledger.folder / "contents" / f"{name}.json"
    path.write_bytes(path.read_bytes().replace(b"1", b"2"))
    with pytest.raises(LedgerError, match="is not what was written"):
        ledger.content(name)


def test_what_may_hold_a_login_is_for_its_user_and_group_alone(ledger: Ledger) -> None:
    before = os.umask(0)
    try:
        ledger.reserve("office", 1)
        ledger.put(
            {"settings": {"cameras": [{"name": "top", "source": {"url": "rtsp://me:secret@camera/1"}}]}}
        )
    finally:
        os.umask(before)
    files = list(ledger.folder.rglob("*.json"))
    assert len(files) == 2 and {stat.S_IMODE(one.stat().st_mode) for one in files} == {0o640}


def test_a_folder_that_cannot_be_written_refuses_before_anything_is_said(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"a file")
    refused = pytest.raises(LedgerError, match="nothing is published before it can be written")
    with refused, Ledger(folder=tmp_path / "state").held():
        pytest.fail("it was held")


def test_one_process_has_it_at_a_time(ledger: Ledger) -> None:
    refused = pytest.raises(LedgerError, match=r"process \d+ is at it")
    with ledger.held(), refused, Ledger(folder=ledger.folder).held():
        pytest.fail("it was held twice")
    with ledger.held():
        pass
