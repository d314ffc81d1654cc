"""A bundle by hand is in force or nothing has changed, whatever is wrong with it or with the disk."""

from __future__ import annotations

import fcntl
import os
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from agent.bundle.bundle import BundleError
from agent.errors import PlumblineError
from agent.remote.rollout.depot import Depot, DepotError
from agent.remote.rollout.install import NotInstalled
from agent.remote.rollout.rollout_file import RECORD, NotWritable, RolloutFile
from agent.remote.rollout.transaction import Record, State
from tests.agent.remote.depots import Prover, content, make_hand, record_of, served, write_numbered
from tests.faults.small_disk import may_mount, small_disk


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "bundles"


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    """Bundles with counters 0 to 3; the first is none."""
    found = [tmp_path / "none"]
    for counter in (1, 2, 3):
        write_numbered(tmp_path / f"source-{counter}", counter)
        found.append(tmp_path / f"source-{counter}")
    return found


def test_each_install_is_current_and_the_one_before_is_previous(folder: Path, sources: list[Path]) -> None:
    prover = Prover()
    for counter, expected in ((1, (1, None)), (2, (2, 1)), (3, (3, 2))):
        assert make_hand(folder, prover).install(sources[counter]).is_new
        assert served(folder) == expected
    assert prover.proven == [1, 2, 3]
    assert len(Depot(folder=folder).bundles()) == 2  # the first is gone
    assert os.path.realpath(folder / "current").startswith(str(folder.resolve()))
    assert not (folder / "current").readlink().is_absolute()


def test_a_plumb_file_is_installed_as_its_folder_is(
    folder: Path, sources: list[Path], tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "one.plumb", "w") as packed:
        for path in sources[1].rglob("*"):
            packed.write(path, path.relative_to(sources[1]).as_posix())
    make_hand(folder).install(tmp_path / "one.plumb")
    assert served(folder) == (1, None)


def test_what_is_in_force_already_changes_nothing(folder: Path, sources: list[Path]) -> None:
    make_hand(folder).install(sources[1])
    before = content(folder)
    prover = Prover()
    assert not make_hand(folder, prover).install(sources[1]).is_new
    assert (content(folder), prover.proven) == (before, [])


def test_the_way_back_is_proven_and_can_be_gone_back_from(folder: Path, sources: list[Path]) -> None:
    for counter in (1, 2):
        make_hand(folder).install(sources[counter])
    prover = Prover()
    assert make_hand(folder, prover).roll_back().bundle.manifest.counter == 1
    assert (served(folder), prover.proven) == ((1, 2), [1])
    make_hand(folder).roll_back()
    assert served(folder) == (2, 1)


def test_there_is_no_way_back_from_the_first(folder: Path, sources: list[Path]) -> None:
    with pytest.raises(DepotError, match="no bundle was here before this one; install one"):
        make_hand(folder).roll_back()
    make_hand(folder).install(sources[1])
    with pytest.raises(DepotError, match="no bundle was here before"):
        make_hand(folder).roll_back()
    assert served(folder) == (1, None)


def test_a_bundle_that_fails_its_proof_changes_nothing_and_is_remembered(
    folder: Path, sources: list[Path]
) -> None:
    make_hand(folder).install(sources[1])
    before = content(folder)
    with pytest.raises(NotInstalled, match="golden scores of counter 2 differ"):
        make_hand(folder, Prover(2)).install(sources[2])
    assert content(folder) == before
    record = record_of(folder)
    assert (record.state, record.outcome, record.errors[0].code) == ("idle", "failed", 422)
    assert [one.reason for one in record.failed] == ["golden scores of counter 2 differ"]
    make_hand(folder).install(sources[2])  # by hand it may be tried again, a driver may have been mended
    assert served(folder) == (2, 1)


def test_a_way_back_that_fails_its_proof_leaves_what_serves(folder: Path, sources: list[Path]) -> None:
    for counter in (1, 2):
        make_hand(folder).install(sources[counter])
    before = content(folder)
    with pytest.raises(NotInstalled):
        make_hand(folder, Prover(1)).roll_back()
    assert content(folder) == before


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda one: (one / "model.onnx").write_bytes(b"another"), "another digest"),
        (lambda one: (one / "model.onnx").unlink(), "missing"),
        (lambda one: (one / "more").write_bytes(b""), "not listed in the manifest"),
        (lambda one: (one / "link").symlink_to("/etc/passwd"), "a link, which a bundle never has"),
        (lambda one: os.mkfifo(one / "pipe"), "neither a file nor a folder"),
        (lambda one: (one / "manifest.yaml").write_text("format: 3\n"), "manifest"),
    ],
)
def test_a_bundle_that_is_not_whole_changes_nothing(
    spoil: object, told: str, folder: Path, sources: list[Path]
) -> None:
    make_hand(folder).install(sources[1])
    before = content(folder)
    spoil(sources[2])  # type: ignore[operator]
    with pytest.raises((NotInstalled, BundleError), match=told):
        make_hand(folder).install(sources[2])
    assert content(folder) == before


def test_nothing_is_begun_without_room_beside_what_others_need(folder: Path, sources: list[Path]) -> None:
    make_hand(folder).install(sources[1])
    before = (content(folder), record_of(folder))
    with pytest.raises(DepotError, match="no room") as refused:
        make_hand(folder, kept_free=1 << 60).install(sources[2])
    assert refused.value.code == 507
    assert (content(folder), record_of(folder)) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_disk_that_fills_while_it_copies_changes_nothing(tmp_path: Path, sources: list[Path]) -> None:
    (disk := tmp_path / "disk").mkdir()
    if not may_mount(disk):
        pytest.skip("no disk can be mounted here")
    with small_disk(disk, megabytes=1):
        folder = disk / "bundles"
        make_hand(folder).install(sources[1])
        before = content(folder)
        left = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        hand = make_hand(folder)
        hand._depot = Full(folder=folder, by=left - 12_000)  # type: ignore[attr-defined]
        with pytest.raises(PlumblineError, match=r"disk is full|cannot be written"):
            hand.install(sources[2])
        (folder.parent / "filler").unlink()
        assert content(folder) == before
        make_hand(folder).install(sources[2])
        assert served(folder) == (2, 1)


class Full(Depot):
    """Whose disk somebody else fills after it was found to have room."""

    def __init__(self, *, folder: Path, by: int) -> None:
        super().__init__(folder=folder)
        object.__setattr__(self, "by", by)

    def begin(self) -> None:
        super().begin()
        (self.folder.parent / "filler").write_bytes(bytes(self.by))  # type: ignore[attr-defined]


def test_a_record_that_cannot_be_written_refuses_everything(
    folder: Path, sources: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_hand(folder).install(sources[1])
    before = content(folder)

    def denied(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("agent.remote.rollout.rollout_file.replace_file", denied)
    with pytest.raises(NotWritable, match=r"rollout.json: cannot be written \(Read-only file system\)"):
        make_hand(folder).install(sources[2])
    assert content(folder) == before


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": "plumbline.rollout/1"}', "[" * 100_000])
def test_a_record_that_cannot_be_read_leaves_what_serves_and_says_so(
    text: str, folder: Path, sources: list[Path]
) -> None:
    make_hand(folder).install(sources[1])
    (folder / RECORD).write_text(text)
    (folder / ".candidate").mkdir()
    (folder / ".candidate" / "model.onnx").write_bytes(b"half")
    said: list[str] = []
    make_hand(folder, said=said).install(sources[2])
    assert "rollout.json: cannot be read; what serves stays" in said[0]
    assert served(folder) == (2, 1)
    assert not (folder / ".candidate").exists()


def test_a_record_of_which_a_bit_was_changed_is_not_believed(folder: Path, sources: list[Path]) -> None:
    make_hand(folder).install(sources[1])
    text = (folder / RECORD).read_text()
    (folder / RECORD).write_text(text.replace('"applied"', '"failed"'))
    record, trouble = RolloutFile(path=folder / RECORD).read()
    assert record == Record() and trouble is not None


@pytest.mark.parametrize("state", ["downloading", "verifying", "proving", "staged"])
def test_what_was_cut_before_its_trial_is_given_up(state: State, folder: Path, sources: list[Path]) -> None:
    make_hand(folder).install(sources[1])
    before = content(folder)
    with pytest.raises(NotInstalled):
        make_hand(folder, Prover(2)).install(sources[2])
    RolloutFile(path=folder / RECORD).write(replace(record_of(folder), state=state, outcome=None))
    said: list[str] = []
    with pytest.raises(DepotError, match="no bundle was here before"):
        make_hand(folder, said=said).roll_back()
    assert f"cut off while {state}; it is ended first" in said[0]
    assert content(folder) == before and record_of(folder).state == "idle"


def test_a_current_that_is_damaged_gives_way_to_previous_at_the_next_command(
    folder: Path, sources: list[Path]
) -> None:
    for counter in (1, 2):
        make_hand(folder).install(sources[counter])
    (folder / "current" / "model.onnx").write_bytes(b"bit rot")
    make_hand(folder).install(sources[3])
    assert served(folder) == (3, 1)


def test_a_damaged_bundle_is_mended_by_installing_it_again(folder: Path, sources: list[Path]) -> None:
    make_hand(folder).install(sources[1])
    (folder / "current" / "model.onnx").write_bytes(b"bit rot")
    make_hand(folder).install(sources[1])
    assert served(folder) == (1, None)


def test_two_cannot_install_at_a_time(folder: Path, sources: list[Path]) -> None:
    make_hand(folder).install(sources[1])
    with (folder / ".lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711\n")
        lock.flush()
        with pytest.raises(DepotError, match="process 4711 is at it") as refused:
            make_hand(folder).install(sources[2])
    assert refused.value.code == 429
    make_hand(folder).install(sources[2])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder away")
def test_a_folder_of_another_user_is_left_to_that_user(folder: Path, sources: list[Path]) -> None:
    folder.mkdir()
    os.chown(folder, 65_534, 65_534)
    with pytest.raises(DepotError, match="belongs to nobody and this is root; run it as nobody: sudo -u"):
        make_hand(folder).install(sources[1])
    assert list(folder.iterdir()) == []


def test_what_else_lies_in_the_folder_is_left_alone(folder: Path, sources: list[Path]) -> None:
    folder.mkdir()
    shutil.copytree(sources[3], folder / "cells")
    (folder / "cells.plumb").write_bytes(b"somebody's")
    for counter in (1, 2, 3):
        make_hand(folder).install(sources[counter])
    assert (folder / "cells").is_dir() and (folder / "cells.plumb").read_bytes() == b"somebody's"


def test_a_folder_in_the_place_of_a_link_is_told(folder: Path, sources: list[Path]) -> None:
    (folder / "current").mkdir(parents=True)
    with pytest.raises(DepotError, match="current: is no link of ours; move it away"):
        make_hand(folder).install(sources[1])
    assert (folder / "current").is_dir()


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "a\\x", "c:x", "", "a//x", "a\0"])
def test_no_file_of_a_bundle_leads_out_of_it(name: str, folder: Path) -> None:
    depot = Depot(folder=folder)
    with depot.held():
        depot.begin()
        with pytest.raises(DepotError, match="could lead out of the bundle") as refused:
            depot.put(name, [b"x"], sha256=None, size=1)
    assert refused.value.code == 422
    assert [one.name for one in folder.rglob("*") if one.is_file()] == [".lock"]


def test_a_file_is_cut_off_where_it_is_larger_than_it_is_said_to_be(folder: Path) -> None:
    depot = Depot(folder=folder)

    def endless() -> object:
        while True:
            yield bytes(1000)

    with depot.held():
        depot.begin()
        with pytest.raises(DepotError, match="more than the 2500 bytes") as refused:
            depot.put("model.onnx", endless(), sha256=None, size=2500)  # type: ignore[arg-type]
        assert refused.value.code == 413
        for size in (1 << 40, (1 << 29) + 1):
            with pytest.raises(DepotError, match="too many for a bundle"):
                depot.put("model.onnx", [], sha256=None, size=size)


def test_a_folder_that_cannot_be_looked_into_is_not_an_empty_one(folder: Path) -> None:
    folder.symlink_to(folder)
    for look in (lambda: Depot(folder=folder).named("current"), Depot(folder=folder).bundles):
        with pytest.raises(DepotError, match="run it as the owner of the folder"):
            look()


def test_a_bundle_that_is_not_whole_is_never_named_by_current(folder: Path, sources: list[Path]) -> None:
    make_hand(folder).install(sources[1])
    depot = Depot(folder=folder)
    with pytest.raises(PlumblineError, match="no such bundle"):
        depot.point("current", "0" * 64)
    assert served(folder) == (1, None)
