"""Stacked pictures are one web without seams, whatever the reads; what does not fit has no lines in it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cameras.camera import CameraError
from agent.cameras.simulated.strip import Strip


def save(file: Path, first_value: int, height: int, width: int = 3) -> Path:
    """A picture whose rows count up from a value."""
    rows = np.arange(first_value, first_value + height, dtype=np.uint8)
    cv2.imwrite(str(file), np.repeat(rows[:, np.newaxis], width, axis=1))
    return file


def taken(strip: Strip, reads: list[int]) -> list[int]:
    blocks = [strip.take(lines) for lines in reads]
    return [int(value) for block in blocks if block is not None for value in block[:, 0, 0]]


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("web")
    return [
        save(folder / f"{n}.png", first, height)
        for n, (first, height) in enumerate([(0, 5), (5, 1), (6, 14)])
    ]


@given(reads=st.lists(st.integers(1, 13), min_size=1, max_size=12))
def test_any_cutting_reads_the_same_web(web: list[Path], reads: list[int]) -> None:
    values = taken(Strip(web, repeat=True), reads)
    assert values == [line % 20 for line in range(sum(reads))]


@given(reads=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 13)), min_size=1, max_size=8))
def test_skipped_lines_pass_unseen_and_image_at_knows_every_line(
    web: list[Path], reads: list[tuple[int, int]]
) -> None:
    strip = Strip(web, repeat=True)
    line = 0
    for skipped, lines in reads:
        strip.skip(skipped)
        line += skipped
        assert taken(strip, [lines]) == [value % 20 for value in range(line, line + lines)]
        line += lines
    owner = [0] * 5 + [1] + [2] * 14
    assert [strip.image_at(n) for n in range(line)] == [web[owner[n % 20]] for n in range(line)]


def test_a_finite_strip_ends_with_a_short_block_and_then_nothing(web: list[Path]) -> None:
    strip = Strip(web, repeat=False)
    assert taken(strip, [15, 15, 15]) == list(range(20))
    assert strip.take(1) is None


def test_image_at_refuses_lines_that_have_not_passed(web: list[Path]) -> None:
    strip = Strip(web, repeat=True)
    strip.take(7)
    for line in (-1, 7, 10**12):
        with pytest.raises(LookupError, match="the last one was 6"):
            strip.image_at(line)


def test_a_picture_of_another_width_is_a_fault_and_has_no_lines(tmp_path: Path) -> None:
    images = [
        save(tmp_path / "a.png", 0, 4),
        save(tmp_path / "wide.png", 90, 4, width=5),
        save(tmp_path / "b.png", 4, 4),
    ]
    strip = Strip(images, repeat=False)
    assert taken(strip, [3, 3, 3]) == list(range(8))
    assert len(strip.faults) == 1
    assert (
        "wide.png" in strip.faults[0]
        and "5 px wide" in strip.faults[0]
        and "strip is 3 px" in strip.faults[0]
    )
    assert strip.image_at(4) == images[2]


def test_pictures_are_read_only_when_the_sensor_gets_there(tmp_path: Path) -> None:
    later = tmp_path / "later.png"
    strip = Strip([save(tmp_path / "a.png", 0, 4), later], repeat=False)
    assert taken(strip, [4]) == [0, 1, 2, 3]
    save(later, 4, 2)
    assert taken(strip, [9]) == [4, 5] and strip.faults == []


def test_no_usable_picture_at_all_is_a_camera_error_and_not_an_endless_search(tmp_path: Path) -> None:
    broken = [tmp_path / "a.png", tmp_path / "b.png"]
    for file in broken:
        file.write_bytes(b"torn")
    for repeat in (False, True):
        with pytest.raises(CameraError, match=r"b\.png: the last of 2 images without a usable one"):
            Strip(broken, repeat=repeat).start()


def test_an_endless_web_is_remembered_in_bounded_memory(web: list[Path]) -> None:
    strip = Strip(web, repeat=True)
    for _ in range(1000):
        strip.take(7)
    assert len(strip._passes) <= 2
    owner = [0] * 5 + [1] + [2] * 14
    assert all(strip.image_at(line) == web[owner[line % 20]] for line in range(7000))


def test_a_picture_that_changes_its_height_between_passes_is_placed_where_it_was_seen(tmp_path: Path) -> None:
    images = [save(tmp_path / "a.png", 0, 2), save(tmp_path / "b.png", 2, 2)]
    strip = Strip(images, repeat=True)
    strip.take(9)
    save(images[1], 2, 3)
    strip.take(9)
    shown = "".join(strip.image_at(line).stem for line in range(18))
    assert shown == "aabbaabbaabbbaabbb"
    assert taken(strip, [2]) == [0, 1]


def test_all_pictures_vanishing_is_a_camera_error_and_not_an_endless_search(tmp_path: Path) -> None:
    images = [save(tmp_path / "a.png", 0, 2), save(tmp_path / "b.png", 2, 2)]
    strip = Strip(images, repeat=True)
    strip.take(4)
    for file in images:
        file.unlink()
    with pytest.raises(CameraError):
        strip.take(1)
