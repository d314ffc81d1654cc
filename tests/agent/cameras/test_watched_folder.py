"""A folder that somebody fills gives each file once, when it is whole, and says what became of the others."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.cameras import watched_folder
from agent.cameras.arrivals import STUCK_S, Arrivals, Stamp
from agent.cameras.camera import CameraError
from agent.cameras.make import can_wait, connections
from agent.cameras.watched_folder import WatchedFolderCamera
from agent.clock import ManualClock
from agent.messages import Frame, FrameFault
from agent.settings.camera import FolderSource


def coded(value: int, suffix: str = ".png") -> bytes:
    return bytes(cv2.imencode(suffix, np.full((40, 60), value, np.uint8))[1])


def watching(folder: Path) -> WatchedFolderCamera:
    camera = WatchedFolderCamera("top", FolderSource(path=folder, watch=True), ManualClock(), Arrivals())
    camera.open()
    return camera


def seen(camera: WatchedFolderCamera, seconds: float = 3.0) -> list[tuple[str, str]]:
    """Part and what became of it, of all triggers within so long."""
    items = []
    end_ns = camera._clock.monotonic_ns() + seconds * 1e9
    while camera._clock.monotonic_ns() < end_ns:
        item = camera.grab(0.5)
        if item is not None:
            items.append((item.part_id or "", item.detail if isinstance(item, FrameFault) else "frame"))
    return items


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
def test_a_file_that_grows_is_judged_once_when_it_is_whole(tmp_path: Path, suffix: str) -> None:
    camera, data = watching(tmp_path), coded(9, suffix)
    for share in (0, 0.3, 0.6, 0.9):
        (tmp_path / f"part{suffix}").write_bytes(data[: int(len(data) * share)])
        assert seen(camera, 1.5) == []
    (tmp_path / f"part{suffix}").write_bytes(data)
    assert seen(camera, 60.0) == [("part", "frame")]


def test_a_file_that_was_made_large_first_is_not_taken_for_a_black_part(tmp_path: Path) -> None:
    camera, data = watching(tmp_path), coded(9, ".bmp")
    with (tmp_path / "part.bmp").open("w+b") as file:
        file.write(data[:60])
        file.truncate(len(data))
        assert seen(camera, 0.9) == []
        file.seek(0)
        file.write(data)
        file.flush()
        os.utime(tmp_path / "part.bmp", ns=(1, 2))
    item = next(item for _ in range(40) if (item := camera.grab(0.5)))
    assert isinstance(item, Frame) and (item.image == 9).all()


def test_files_come_in_the_order_of_their_times_and_then_of_their_names(tmp_path: Path) -> None:
    camera = watching(tmp_path)
    names = [f"cell{number}" for number in range(12)]
    for name in random.Random(1).sample(names, 12):
        (tmp_path / f"{name}.png").write_bytes(coded(1))
        os.utime(tmp_path / f"{name}.png", ns=(0, 5))
    os.utime(tmp_path / "cell7.png", ns=(0, 4))
    assert [part for part, _ in seen(camera)] == ["cell7", *(name for name in names if name != "cell7")]


def test_a_file_renamed_into_place_is_one_trigger_and_unfinished_names_are_none(tmp_path: Path) -> None:
    camera = watching(tmp_path)
    for name in ("part.png.filepart", ".part.png", "part.tmp"):
        (tmp_path / name).write_bytes(coded(1))
    assert seen(camera) == []
    (tmp_path / "part.png.filepart").rename(tmp_path / "part.png")
    assert seen(camera) == [("part", "frame")]


def test_a_file_that_stays_damaged_is_a_fault_once_and_holds_up_nobody(tmp_path: Path) -> None:
    camera = watching(tmp_path)
    (tmp_path / "a.png").write_bytes(coded(1)[:-9])
    (tmp_path / "b.png").write_bytes(coded(2))
    assert seen(camera, 5.0) == [("b", "frame")]
    ((part, detail),) = seen(camera, 2 * STUCK_S)
    assert part == "a" and "a.png: is damaged" in detail
    (tmp_path / "a.png").write_bytes(coded(3))
    assert seen(camera) == [("a", "frame")]


def test_a_name_written_anew_is_a_new_part_and_removed_ones_are_forgotten(tmp_path: Path) -> None:
    camera = watching(tmp_path)
    for number in range(5):
        (tmp_path / "image.png").write_bytes(coded(number))
        os.utime(tmp_path / "image.png", ns=(0, number))
        assert seen(camera) == [("image", "frame")]
    for number in range(20):
        (tmp_path / f"{number}.png").write_bytes(coded(1))
        assert seen(camera) == [(str(number), "frame")]
        (tmp_path / f"{number}.png").unlink()
    seen(camera)
    assert len(camera._arrivals._given) == 1


def test_a_whole_file_that_is_removed_before_its_turn_is_a_fault_that_says_so(tmp_path: Path) -> None:
    camera = watching(tmp_path)
    for name in ("a", "b"):
        (tmp_path / f"{name}.png").write_bytes(coded(1))
    camera._look()
    camera._clock.sleep(1.1)
    camera._look()
    shutil.rmtree(tmp_path)
    item = camera.grab(0.1)
    assert isinstance(item, FrameFault) and item.detail.endswith("a.png: was removed before it was judged")


def test_a_folder_that_goes_and_comes_back_brings_no_file_twice(tmp_path: Path) -> None:
    folder, away = tmp_path / "drop", tmp_path / "away"
    folder.mkdir()
    (folder / "a.png").write_bytes(coded(1))
    source = FolderSource(path=folder, watch=True)
    make = connections("top", source, clock := ManualClock())
    first = make()
    assert isinstance(first, WatchedFolderCamera)
    first.open()
    assert seen(first) == [("a", "frame")]
    folder.rename(away)
    clock.sleep(1.0)
    with pytest.raises(CameraError, match="drop: cannot be listed"):
        first.grab(0.1)
    second = make()
    with pytest.raises(CameraError):
        second.open()
    away.rename(folder)
    (folder / "b.png").write_bytes(coded(1))
    assert isinstance(second, WatchedFolderCamera)
    second.open()
    assert seen(second) == [("b", "frame")]
    assert can_wait(source)


def test_another_disk_in_the_same_place_makes_nothing_forgotten() -> None:
    arrivals, stamp, second = Arrivals(), Stamp(1, 1), 1_000_000_000
    arrivals.look(7, {"a.png": stamp}, 0)
    (place, _), *_ = arrivals.settled(second)
    arrivals.gave(place)
    arrivals.look(8, {}, second)
    arrivals.look(7, {"a.png": stamp}, 2 * second)
    assert arrivals.settled(9 * second) == []


def test_too_many_files_are_refused_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched_folder, "MAX_FILES", 2)
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(coded(1))
    with pytest.raises(CameraError, match="more than 2 images; remove those that were judged"):
        watching(tmp_path)


def test_watch_and_repeat_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="watch and repeat exclude each other"):
        FolderSource(path=tmp_path, watch=True, repeat=True)
