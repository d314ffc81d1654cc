"""What a folder can teach is said in the first second, and what it cannot is refused then."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.data.datasets import DataError
from models.teaching.look import NO_BAD, look, unfit
from tests.models.teaching.pictures import folder


def test_sixty_good_and_eight_bad_say_what_they_promise(tmp_path: Path) -> None:
    found = look(folder(tmp_path / "parts"))
    said = " ".join(found.lines)
    assert (len(found.good), len(found.held), len(found.bad)) == (30, 23, 8)
    assert "enough for a false-reject rate of 5.00%" in said and "8 defective parts" in said
    assert "pictures of 96 x 80 pixels" in said and unfit(found) == []


def test_pictures_alone_do_and_say_that_nothing_bad_is_there(tmp_path: Path) -> None:
    found = look(folder(tmp_path / "parts", bad=0, plain=True), 0.001)
    assert NO_BAD in found.lines and any("provisional" in line for line in found.lines)


def test_the_same_pictures_have_the_same_digest_and_others_another(tmp_path: Path) -> None:
    root = folder(tmp_path / "parts")
    one = look(root).digest
    assert look(root).digest == one
    (root / "good" / "000.jpg").unlink()
    assert look(root).digest != one


def test_what_looks_unfit_is_named_before_anything_is_trained(tmp_path: Path) -> None:
    root = folder(tmp_path / "parts")
    (root / "good" / "twin.jpg").write_bytes((root / "good" / "003.jpg").read_bytes())
    assert "twin.jpg: the same picture as 003.jpg" in unfit(look(root))


@pytest.mark.parametrize("number", [0, 1, 7])
def test_too_few_are_refused(tmp_path: Path, number: int) -> None:
    root = folder(tmp_path / "parts", good=number)
    root.mkdir(exist_ok=True)
    with pytest.raises(DataError):
        look(root)


def test_damaged_and_tiny_pictures_are_refused_by_name(tmp_path: Path) -> None:
    root = folder(tmp_path / "parts")
    cv2.imwrite(str(root / "good" / "tiny.png"), np.zeros((8, 8), np.uint8))
    with pytest.raises(DataError, match=r"tiny.png: 8 pixels are too few"):
        look(root)
    (root / "good" / "tiny.png").unlink()
    half = root / "bad" / "001.jpg"
    half.write_bytes(half.read_bytes()[:900])
    with pytest.raises(DataError, match=r"bad/001.jpg: is damaged"):
        unfit(look(root))
