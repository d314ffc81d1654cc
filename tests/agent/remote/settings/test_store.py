"""A start after any crash runs settings that were good, or counts an attempt: at every durable write."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.remote.rollout.rollout_file import RolloutFile
from agent.remote.settings.store import KEPT, SettingsStore, Snapshot
from tests.agent.remote.cuts import disks, lay_down
from tests.agent.remote.settled import Station, document, signed, started

GOOD = signed(document({"judge": {"min_area_px": 30}, "line": {"mode": "live"}}))


def snapshot(**data: object) -> Snapshot:
    return Snapshot(data=dict(data), local={}, source="file", since="2026-11-29T12:00:00.000Z")


def test_a_snapshot_that_is_not_what_was_written_is_not_there(tmp_path: Path) -> None:
    store = SettingsStore(folder=tmp_path / "settings")
    store.prepare()
    name = "a" * 64
    store.place(name, snapshot(revision=1))
    assert store.read(name) == snapshot(revision=1)
    path = tmp_path / "settings" / f"{name}.json"
    for spoilt in (
        path.read_bytes()[:-9],
        path.read_bytes().replace(b'"revision": 1', b'"revision": 2'),
        b"",
    ):
        path.write_bytes(spoilt)
        assert store.read(name) is None and name not in store.links().verified


def test_logins_in_snapshots_and_documents_are_for_the_station_alone(tmp_path: Path) -> None:
    store = SettingsStore(folder=tmp_path / "settings")
    store.prepare()
    old, new = "a" * 64, "b" * 64
    store.place(old, snapshot(cameras=[{"source": {"url": "rtsp://admin:geheim@host/"}}]))
    (store.folder / f"{old}.json").chmod(0o644)  # as earlier versions had it
    store.prepare()
    store.place(new, snapshot(revision=2))
    store.put_candidate(b"{}")
    assert store.read(old) is not None
    assert [one for one in store.folder.iterdir() if one.stat().st_mode & 0o007] == []


def test_history_is_bounded_and_never_loses_what_the_links_name(tmp_path: Path) -> None:
    store = SettingsStore(folder=tmp_path / "settings")
    store.prepare()
    names = [f"{number:064x}" for number in range(2 * KEPT)]
    for number, name in enumerate(names):
        store.place(name, snapshot(revision=number))
        os.utime(tmp_path / "settings" / f"{name}.json", (number, number))
    store.point("current", names[3])
    store.point("previous", names[2])
    store.clean_up()
    assert store.snapshots() == [names[2], names[3], *names[-KEPT:]]


def test_a_folder_that_takes_nothing_refuses_documents_and_leaves_the_station_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    station = started(tmp_path)
    before, disk = station.target, station.disk()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("agent.remote.settings.store.replace_file", full)
        patched.setattr("agent.remote.rollout.rollout_file.replace_file", full)
        said = station.offer(GOOD)
        assert said is not None and (said.state, said.code) == ("rejected", 507)
        assert "No space left" in said.errors[0].message
        assert (station.target, station.disk()) == (before, disk)
    said = station.offer(GOOD)
    assert said is not None and said.state == "probation"


def test_a_record_that_cannot_be_read_leaves_in_force_what_is(tmp_path: Path) -> None:
    station = started(tmp_path)
    station.offer(GOOD)
    station.judge("stable")
    station.store.record.write_bytes(b"{")
    again = started(tmp_path)
    assert again.target.settings == station.target.settings and again.rollout.words()


def test_a_start_with_a_bad_file_runs_what_was_good_and_says_so(tmp_path: Path) -> None:
    started(tmp_path)
    (tmp_path / "agent.yaml").write_text("judge: [", encoding="utf-8")
    again = started(tmp_path)
    assert again.target.settings.judge.min_area_px == 16
    assert "refused" in again.rollout.words()[0]


def test_a_start_takes_an_edit_that_was_made_while_nothing_ran(tmp_path: Path) -> None:
    station = started(tmp_path)
    station.offer(GOOD)
    station.judge("stable")
    station.write({**station.local, "crops": {"margin_px": 5}})
    again = started(tmp_path)
    settings = again.target.settings
    assert (settings.crops.margin_px, settings.judge.min_area_px) == (5, 30)
    assert not again.rollout.is_busy


def test_an_edit_with_which_nothing_starts_gives_way_and_is_not_tried_again_by_itself(tmp_path: Path) -> None:
    station = started(tmp_path)
    station.write({**station.local, "line": {"mode": "live"}})
    for _ in range(2):
        again = Station(tmp_path)
        again.refuses = lambda settings: "no camera" if settings.line.mode == "live" else None
        again.begin()
        again.turn()
        assert again.target.settings.line.mode == "accountable" and not again.rollout.is_busy
        again = Station(tmp_path)
    healed = started(tmp_path)
    assert healed.target.settings.line.mode == "accountable" and "tried before" in healed.rollout.words()[0]
    healed.rollout.reload()
    healed.turn()
    assert healed.target.settings.line.mode == "live" and not healed.rollout.words()


def test_settings_with_which_a_process_dies_again_and_again_are_taken_back(tmp_path: Path) -> None:
    station = started(tmp_path)
    station.offer(GOOD)
    for attempts in (2, 3):
        again = started(tmp_path)  # the one before never said that it ended
        assert again.target.settings.line.mode == "live"
        assert RolloutFile(path=again.store.record).read()[0].attempts == attempts
    last = started(tmp_path)
    last.turn()
    assert last.target.settings.line.mode == "accountable" and not last.rollout.is_busy
    said = last.rollout.answers.last
    assert said is not None and (said.state, said.code) == ("rolled_back", 500)


def test_power_cuts_and_ends_in_order_are_no_failed_attempts(tmp_path: Path) -> None:
    station = started(tmp_path)
    station.offer(GOOD)
    for number in range(5):
        station = started(tmp_path, boot=f"boot {number}")
        assert station.target.settings.line.mode == "live"
        station.rollout.stop()
        station = started(tmp_path, boot=f"boot {number}")
        assert station.target.settings.line.mode == "live"
    station.judge("stable")
    assert not station.rollout.is_busy and station.target.settings.line.mode == "live"


def test_a_proof_that_died_with_its_process_is_begun_anew(tmp_path: Path) -> None:
    station = started(tmp_path)
    station.run.prove = lambda wanted, before: _never()  # type: ignore[assignment, method-assign]
    station.rollout.offer(GOOD)
    station.rollout.turn()
    assert RolloutFile(path=station.store.record).read()[0].state == "proving"
    again = started(tmp_path)
    again.turn()
    assert [one.line.mode for one in again.run.proven] == ["live"]
    said = again.judge("stable")
    assert said is not None and said.state == "applied"


def _never() -> tuple[()]:
    import threading

    threading.Event().wait()
    return ()


def deaths(folder: Path, begun: Callable[[Station], None], act: Callable[[Station], None], kind: str) -> int:
    """Cut the act at its every durable step; what a start makes of each disk that this leaves."""
    first, cut = folder / "first", folder / "cut"
    first.mkdir()
    station = started(first)
    begun(station)
    station.rollout.stop()
    shutil.copytree(first, cut, symlinks=True)
    one = Station(cut)
    one.begin()
    found = disks(cut, lambda: act(one), kind)
    for count, disk in enumerate(found):
        if disk not in found[:count]:
            lay_down(disk, cut)
            check(cut, count)
    return len(found)


def check(cut: Path, count: int) -> None:
    """Every disk is one that a station starts from, ends what was begun, and takes the document once more."""
    again = started(cut)
    assert again.target.settings.judge.min_area_px in (16, 30), count
    record = RolloutFile(path=again.store.record).read()[0]
    if again.target.settings.judge.min_area_px == 30 and record.state not in ("idle", "committed"):
        assert record.state == "probation", (count, record.state)
    again.turn()
    if again.run.trials:
        again.judge("stable")
    assert not again.rollout.is_busy, count
    links = again.store.links()
    assert links.current is not None and links.current in links.verified
    again.offer(GOOD)
    if again.run.trials and again.rollout.is_busy:
        again.judge("stable")
    said = again.rollout.answers.last
    assert said is not None and said.state in ("applied", "unchanged"), (count, said)
    assert again.target.settings.judge.min_area_px == 30
    json.loads((again.store.folder / "attempted.json").read_bytes())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["death", "power"])
def test_death_at_every_durable_write_of_a_change_leaves_a_working_station(kind: str, tmp_path: Path) -> None:
    def act(station: Station) -> None:
        station.offer(GOOD)
        station.judge("stable")

    count = deaths(tmp_path, lambda station: None, act, kind)
    assert count > 20
    print(f"{count} durable steps")
