"""A set of good parts on disk: whole pictures only, resumed, and refused where it is another's."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest

from agent.cameras.images import read_image
from agent.teach.collect import from_folder
from agent.teach.part_set import About, PartSet, PartSetError, minute_of, origin_of
from tests.agent.teach.good import parts, plate
from tests.odd_files import no_regular_files

ABOUT = About(product="plate", source="folder")


def opened(folder: Path, **also: object) -> PartSet:
    made = PartSet(folder, **also)  # type: ignore[arg-type]
    made.open(ABOUT)
    return made


def test_frames_and_files_are_kept_without_loss_with_name_and_time(tmp_path: Path) -> None:
    own = opened(tmp_path / "set")
    own.add_picture(plate(1), datetime(2026, 11, 29, 12, 34, 56, tzinfo=timezone.utc))
    own.add_file(b"bytes", "../<b>a b.PNG")
    first, second = own.pictures()
    assert np.array_equal(read_image(first), plate(1)) and minute_of(first) == "20261129T1234"
    assert second.read_bytes() == b"bytes" and minute_of(second) is None
    assert second.parent == tmp_path / "set" / "parts" and origin_of(second).endswith(".png")


def test_it_goes_on_after_a_kill_and_takes_nothing_twice(tmp_path: Path) -> None:
    source, own = parts(tmp_path / "source", 6), opened(tmp_path / "set")
    going = from_folder(own, source, 6)
    assert [next(going).parts for _ in range(3)] == [1, 2, 3]
    going.close()
    (own.folder / "parts" / ".000004--x.png.part").write_bytes(b"half")
    again = opened(tmp_path / "set")
    assert again.count() == 3 and not list((own.folder / "parts").glob(".*"))
    assert [got.parts for got in from_folder(again, source, 6)] == [4, 5, 6]
    assert [origin_of(one) for one in again.pictures()] == [f"part{number:03}.png" for number in range(6)]


def test_what_was_taken_out_stays_aside_and_is_not_collected_again(tmp_path: Path) -> None:
    source, own = parts(tmp_path / "source", 3), opened(tmp_path / "set")
    list(from_folder(own, source, 3))
    own.take_out([own.pictures()[0].name])
    assert own.count() == 2 and list(from_folder(own, source, 3)) == []


def test_a_damaged_picture_is_refused_and_told(tmp_path: Path) -> None:
    source, own = parts(tmp_path / "source", 3), opened(tmp_path / "set")
    (source / "part001.png").write_bytes((source / "part001.png").read_bytes()[:300])
    got = list(from_folder(own, source, 3))
    assert [one.refused is not None for one in got] == [False, True, False] and own.count() == 2


def test_what_of_a_folder_is_not_collected_is_told_first(tmp_path: Path) -> None:
    source, own = parts(tmp_path / "source", 2), opened(tmp_path / "set")
    parts(source / "lot-2", 3)
    told, *rest = from_folder(own, source, 9)
    assert told.refused is not None and "1 folders below" in told.refused
    assert [one.parts for one in rest] == [1, 2]


@pytest.mark.parametrize("head", ["[]", "[" * 20_000, '{"schema": "plumbline.good-parts/1"}'])
def test_a_head_that_is_none_or_no_file_at_all_is_refused(tmp_path: Path, head: str) -> None:
    opened(tmp_path / "set")
    (tmp_path / "set" / "set.json").write_text(head)
    with pytest.raises(PartSetError):
        PartSet(tmp_path / "set").open(ABOUT)
    for odd in no_regular_files(tmp_path):
        (tmp_path / "set" / "set.json").unlink()
        (tmp_path / "set" / "set.json").symlink_to(odd)
        with pytest.raises(PartSetError, match="cannot be read"):
            PartSet(tmp_path / "set").open(ABOUT)


def test_a_full_disk_ends_it_with_what_is_whole(tmp_path: Path) -> None:
    free = iter([10**12, 10**12, 0])
    source, own = parts(tmp_path / "source", 3), opened(tmp_path / "set", free_bytes=lambda _: next(free))
    with pytest.raises(PartSetError, match="room and go on again: 2 parts are kept"):
        list(from_folder(own, source, 3))
    assert own.count() == 2


def test_a_set_of_another_product_is_not_written_into(tmp_path: Path) -> None:
    opened(tmp_path / "set")
    with pytest.raises(PartSetError, match="holds good parts of plate"):
        PartSet(tmp_path / "set").open(About(product="cup", source="folder"))
    (tmp_path / "set" / "set.json").write_text("[]")
    with pytest.raises(PartSetError):
        PartSet(tmp_path / "set").open(ABOUT)
