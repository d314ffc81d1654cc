"""A file gives the picture a camera would give, or one error that names it; never half a picture."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cameras.camera import CameraError
from agent.cameras.images import ImageError, left_out, list_images, natural_key, read_image, size_of


def smooth(height: int = 40, width: int = 60) -> np.ndarray:
    noise = np.random.default_rng(1).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (9, 9), 0)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff"])
def test_colour_is_rgb_whatever_the_format(tmp_path: Path, suffix: str) -> None:
    rgb = smooth()
    cv2.imwrite(str(tmp_path / f"a{suffix}"), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    assert np.array_equal(read_image(tmp_path / f"a{suffix}"), rgb)


def test_mono_stays_one_channel(tmp_path: Path) -> None:
    mono = smooth()[:, :, 0]
    cv2.imwrite(str(tmp_path / "a.png"), mono)
    assert np.array_equal(read_image(tmp_path / "a.png"), mono[:, :, np.newaxis])


def test_transparency_is_dropped(tmp_path: Path) -> None:
    rgb = smooth()
    cv2.imwrite(str(tmp_path / "a.png"), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGRA))
    assert np.array_equal(read_image(tmp_path / "a.png"), rgb)


def test_sixteen_bits_are_refused_with_the_remedy(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "deep.png"), np.zeros((4, 4), np.uint16))
    with pytest.raises(ImageError, match=r"deep\.png: has uint16 pixels; convert it to 8 bits"):
        read_image(tmp_path / "deep.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5, 0.9])
def test_a_truncated_file_is_an_error_and_not_half_a_picture(
    tmp_path: Path, suffix: str, kept: float
) -> None:
    coded = cv2.imencode(suffix, smooth())[1].tobytes()
    file = tmp_path / f"torn{suffix}"
    file.write_bytes(coded[: int(len(coded) * kept)])
    with pytest.raises(ImageError, match="torn"):
        read_image(file)


def test_a_missing_file_is_an_image_error(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.png: cannot be read"):
        read_image(tmp_path / "gone.png")


def test_a_folder_lists_only_images_in_natural_order(tmp_path: Path) -> None:
    for name in ("cell10.png", "cell2.PNG", "cell1.jpeg", "notes.txt", "cell3.tiff"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [file.name for file in list_images(tmp_path)] == [
        "cell1.jpeg",
        "cell2.PNG",
        "cell3.tiff",
        "cell10.png",
    ]


def test_one_file_is_a_list_of_one(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    assert list_images(tmp_path / "a.png") == [tmp_path / "a.png"]


def test_missing_and_empty_folders_are_camera_errors_that_name_the_setting(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match=r"nowhere: cannot be listed .*source\.path"):
        list_images(tmp_path / "nowhere")
    with pytest.raises(CameraError, match=r"holds no image .*source\.path"):
        list_images(tmp_path)


@given(st.lists(st.text("ab019٣²_.", max_size=6), unique=True))
def test_natural_order_does_not_depend_on_the_order_of_listing(names: list[str]) -> None:
    assert sorted(names, key=natural_key) == sorted(reversed(names), key=natural_key)


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.text("abc_-", max_size=5))
def test_numbers_in_names_sort_by_value(low: int, high: int, word: str) -> None:
    low, high = sorted((low, high))
    assert natural_key(f"{word}{low}.png") <= natural_key(f"{word}{high}.png")


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "circle"])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path, kind: str) -> None:
    """It may have taken the place of a file since the folder was listed."""
    path = tmp_path / "part.png"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir()
        case _:
            path.symlink_to(path)
    for read in (read_image, size_of):
        with pytest.raises(ImageError, match=r"part\.png: .*cannot be read"):
            read(path)


@given(
    pictures=st.integers(1, 4),
    folders=st.integers(0, 3),
    hidden=st.integers(0, 3),
    others=st.dictionaries(st.sampled_from([".webp", ".txt", ".jp2", ""]), st.integers(1, 3)),
)
def test_what_of_a_folder_is_not_read_is_counted_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory,
    pictures: int,
    folders: int,
    hidden: int,
    others: dict[str, int],
) -> None:
    folder = tmp_path_factory.mktemp("mixed")
    for number in range(pictures):
        (folder / f"a{number}.png").touch()
    for number in range(folders):
        (folder / f"lot{number}.png").mkdir()
    for number in range(hidden):
        (folder / f"._a{number}.png").touch()
    for suffix, count in others.items():
        for number in range(count):
            (folder / f"b{number}{suffix}").touch()
    words = left_out(folder)
    assert [file.name for file in list_images(folder)] == [f"a{number}.png" for number in range(pictures)]
    counts = {"hidden": hidden, "folders below": folders}
    counts |= {f"of kind {suffix or 'without a suffix'}": count for suffix, count in others.items()}
    told = {f"{count} {kind}" for kind, count in counts.items() if count}
    found = set() if words is None else {*words.partition(": not read: ")[2].partition(";")[0].split(", ")}
    assert found == told
    assert left_out(folder / "a0.png") is None
