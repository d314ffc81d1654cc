"""A bundle comes from the first source that has it, and nothing comes that was not announced."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest

from agent.clock import ManualClock
from agent.errors import PlumblineError
from agent.remote.rollout.depot import DepotError
from agent.remote.transport.source import Stopped
from agent.remote.transport.taking import NotFetched
from tests.agent.remote.transport.goods import (
    MORE,
    Wanting,
    folder_source,
    same,
    sizes,
    stop_at,
    target_of,
    write_goods,
)
from tests.faults.small_disk import may_mount, small_disk

SIZE = 300_000


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_goods(tmp_path / "source", SIZE)
    return tmp_path / "source"


@pytest.fixture
def wanting(tmp_path: Path) -> Wanting:
    return Wanting(folder=tmp_path / "bundles", clock=ManualClock())


def test_a_folder_is_fetched_whole(wanting: Wanting, source: Path) -> None:
    wanting.fetch(target_of(source), folder_source(source))
    assert same(wanting.depot.candidate, source)
    last = wanting.told[-1]
    assert (dict(last.bytes_done), last.size_bytes) == (sizes(source), sum(sizes(source).values()))


def test_a_plumb_file_is_fetched_as_its_folder_is(wanting: Wanting, source: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "one.plumb", "w", zipfile.ZIP_DEFLATED) as packed:
        for name in sizes(source):
            packed.write(source / name, name)
    wanting.fetch(target_of(source), folder_source(tmp_path / "one.plumb"))
    assert same(wanting.depot.candidate, source)


def test_what_no_manifest_names_is_not_taken(wanting: Wanting, source: Path) -> None:
    target = target_of(source)
    (source / "thumbs.db").write_bytes(bytes(10_000))
    wanting.fetch(target, folder_source(source))
    assert same(wanting.depot.candidate, source, but=("thumbs.db",))


def test_a_bundle_without_a_signature_is_fetched_without_one(wanting: Wanting, tmp_path: Path) -> None:
    target = write_goods(tmp_path / "plain", 10, signature=None)
    wanting.fetch(target, folder_source(tmp_path / "plain"))
    assert same(wanting.depot.candidate, tmp_path / "plain")


def test_a_path_that_is_relative_is_taken_from_where_the_instruction_came(
    wanting: Wanting, source: Path
) -> None:
    wanting.fetch(target_of(source), folder_source(Path(source.name)), base=source.parent)
    assert same(wanting.depot.candidate, source)


@pytest.mark.parametrize(
    ("path", "is_in_folder", "told"),
    [("source", False, "came in no folder"), ("../source", True, "leads out of the folder")],
)
def test_a_relative_path_leads_nowhere_else(
    wanting: Wanting, source: Path, tmp_path: Path, path: str, is_in_folder: bool, told: str
) -> None:
    base = tmp_path / "stick" if is_in_folder else None
    with pytest.raises(NotFetched, match=told):
        wanting.fetch(target_of(source), folder_source(Path(path)), base=base)


def test_the_next_source_is_asked_where_one_has_something_else(
    wanting: Wanting, source: Path, tmp_path: Path
) -> None:
    write_goods(tmp_path / "another", 10, counter=2)
    wanting.fetch(target_of(source), folder_source(tmp_path / "another"), folder_source(source))
    assert same(wanting.depot.candidate, source)


def test_bytes_of_a_bad_source_do_not_spoil_those_of_a_good_one(
    wanting: Wanting, source: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad"
    shutil.copytree(source, bad)
    (bad / MORE).write_bytes(bytes(SIZE))
    wanting.fetch(target_of(source), folder_source(bad), folder_source(source))
    assert same(wanting.depot.candidate, source)


@pytest.mark.parametrize(
    ("spoil", "code", "told"),
    [
        (lambda one: (one / MORE).write_bytes(bytes(SIZE)), 422, "another digest than the manifest's"),
        (lambda one: (one / MORE).write_bytes(bytes(10)), 422, "another digest than the manifest's"),
        (lambda one: (one / MORE).write_bytes(bytes(SIZE + 1)), 413, "bytes, and at most 300000 may come"),
        (lambda one: (one / MORE).unlink(), 404, "not there"),
        (lambda one: (one / "manifest.yaml").write_text("format: 3\n"), 422, "has bundle"),
        (lambda one: (one / "link").symlink_to("/etc/passwd"), 422, "a link, which a bundle never has"),
        (lambda one: os.mkfifo(one / "pipe"), 422, "neither a file nor a folder"),
    ],
)
def test_what_is_wrong_with_the_only_source_is_told(
    wanting: Wanting, source: Path, spoil: object, code: int, told: str
) -> None:
    target = target_of(source)
    spoil(source)  # type: ignore[operator]
    with pytest.raises(NotFetched, match=told) as caught:
        wanting.fetch(target, folder_source(source))
    assert caught.value.code == code
    assert str(source) in str(caught.value)


def test_more_than_was_announced_is_not_taken(wanting: Wanting, source: Path) -> None:
    target = target_of(source)
    less = target.model_copy(update={"size_bytes": target.size_bytes - 1})
    with pytest.raises(NotFetched, match="may come") as caught:
        wanting.fetch(less, folder_source(source))
    assert caught.value.code == 413
    assert sum(sizes(wanting.depot.candidate).values()) <= less.size_bytes


def test_a_manifest_that_nobody_can_read_is_the_end_whatever_else_is_named(
    wanting: Wanting, source: Path
) -> None:
    (source / "manifest.yaml").write_text("format: 3\n")
    with pytest.raises(NotFetched, match=r"manifest\.yaml: .*exported again") as caught:
        wanting.fetch(target_of(source), folder_source(source), folder_source(source.parent / "later"))
    assert caught.value.code == 422


def test_nothing_but_the_head_is_taken_of_a_bundle_that_is_not_trusted(
    wanting: Wanting, source: Path
) -> None:
    def refuse(bundle: object) -> None:
        raise PlumblineError("not signed by anybody we know")

    wanting.trusted = refuse
    with pytest.raises(NotFetched, match="not signed by anybody") as caught:
        wanting.fetch(target_of(source), folder_source(source))
    assert caught.value.code == 403
    assert sizes(wanting.depot.candidate) == {}


def test_without_a_source_it_has_to_be_here(wanting: Wanting, source: Path) -> None:
    with pytest.raises(NotFetched, match="names no source") as caught:
        wanting.fetch(target_of(source))
    assert caught.value.code == 404


def test_room_is_looked_for_before_a_file_is_taken(wanting: Wanting, source: Path) -> None:
    wanting.kept_free = 1 << 60
    with pytest.raises(NotFetched, match="no room on the disk") as caught:
        wanting.fetch(target_of(source), folder_source(source))
    assert caught.value.code == 507
    assert MORE not in sizes(wanting.depot.candidate)


def test_a_disk_that_fills_up_meanwhile_is_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    if not may_mount(folder):
        pytest.skip("may not mount a small disk")
    target = write_goods(tmp_path / "large", 900_000)
    with small_disk(folder, megabytes=1):
        wanting = Wanting(folder=folder / "bundles")
        wanting.heed = lambda progress: (folder / "another").write_bytes(bytes(600_000))
        with pytest.raises((DepotError, NotFetched)) as caught:
            wanting.fetch(target, folder_source(tmp_path / "large"))
        assert caught.value.code == 507


def test_a_stick_that_comes_later_is_waited_for(wanting: Wanting, source: Path) -> None:
    away = source.with_name("away")
    source.rename(away)
    target = target_of(away)
    empty = source

    def put_in(progress: object) -> None:
        if len(wanting.troubles()) == 2:
            empty.mkdir()  # a place to mount it at
        if len(wanting.troubles()) == 4 and not (source / MORE).exists():
            empty.rmdir()
            away.rename(source)

    wanting.heed = put_in
    wanting.fetch(target, folder_source(source), time_left_s=1.0)  # no bytes come while one waits
    assert same(wanting.depot.candidate, source)
    assert "no such bundle" in wanting.troubles()[0]
    assert "no manifest.yaml there" in wanting.troubles()[2]


def test_a_wait_ends_when_nobody_wants_it_any_more(wanting: Wanting, source: Path) -> None:
    wanting.is_cancelled = stop_at(wanting.clock, 100.0)
    with pytest.raises(Stopped):
        wanting.fetch(target_of(source), folder_source(source.with_name("never")))
    assert 100.0 < wanting.clock.monotonic_ns() / 1e9 < 101.0


def test_waits_grow_to_a_minute(wanting: Wanting, source: Path) -> None:
    times: list[float] = []
    wanting.heed = lambda progress: times.append(wanting.clock.monotonic_ns() / 1e9)
    wanting.is_cancelled = stop_at(wanting.clock, 600.0)
    with pytest.raises(Stopped):
        wanting.fetch(target_of(source), folder_source(source.with_name("never")))
    waits = [after - before for before, after in itertools.pairwise(times)]
    assert waits[0] < 2.5
    assert 30.0 <= waits[-1] <= 60.2


def test_a_file_that_another_bundle_here_has_is_not_fetched(wanting: Wanting, source: Path) -> None:
    wanting.fetch(target_of(source), folder_source(source))
    wanting.depot.place(target_of(source).sha256)
    second = source.with_name("second")
    target = write_goods(second, SIZE, counter=2)
    (second / MORE).unlink()
    wanting.fetch(target, folder_source(second))
    found = wanting.depot.candidate / MORE
    assert found.read_bytes() == (source / MORE).read_bytes()
    assert found.stat().st_nlink == 1  # damage to one is not damage to both


def test_a_damaged_neighbour_gives_nothing(wanting: Wanting, source: Path) -> None:
    wanting.fetch(target_of(source), folder_source(source))
    wanting.depot.place(target_of(source).sha256)
    near = wanting.depot.path_of(target_of(source).sha256) / MORE
    near.write_bytes(bytes(SIZE))
    second = source.with_name("second")
    wanting.fetch(write_goods(second, SIZE, counter=2), folder_source(second))
    assert same(wanting.depot.candidate, second)


def test_what_is_here_already_needs_no_source(wanting: Wanting, source: Path) -> None:
    target = target_of(source)
    wanting.fetch(target, folder_source(source))
    again = Wanting(folder=wanting.folder)
    again.fetch(target, folder_source(source.with_name("gone")))
    assert dict(again.told[-1].bytes_done) == sizes(source)


def test_what_another_transaction_left_is_not_taken_for_it(wanting: Wanting, source: Path) -> None:
    second = source.with_name("second")
    write_goods(second, 1000, counter=2)
    wanting.fetch(target_of(second), folder_source(second))
    (wanting.depot.candidate / "stranger").write_bytes(b"?")
    wanting.fetch(target_of(source), folder_source(source))
    assert same(wanting.depot.candidate, source)


@pytest.mark.parametrize("name", ["../up", "/root", "a/b/c/d/e", "x" * 201, "line\nfeed", "a\\b"])
def test_a_manifest_with_names_that_are_none_is_the_end(wanting: Wanting, source: Path, name: str) -> None:
    path = source / "manifest.yaml"
    path.write_text(path.read_text().replace("  model.onnx:", f"  {json.dumps(name)}:"))
    with pytest.raises(NotFetched, match="no name for a file of a bundle") as caught:
        wanting.fetch(target_of(source), folder_source(source))
    assert caught.value.code == 422
