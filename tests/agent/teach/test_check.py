"""Good parts are checked: what is unfit is found, by name and in words, and good ones are left alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from agent.messages import Pixels
from agent.teach.check import Finding, Kind, check, see
from tests.agent.teach.good import plate

GOOD = [see(f"{number}", plate(number), score=1 + 0.1 * (number % 5)) for number in range(30)]


def kinds(*others: tuple[str, Pixels, float]) -> dict[str, Kind]:
    found = check([*GOOD, *(see(name, picture, score) for name, picture, score in others)])
    return {one.name: one.kind for one in found.findings}


def test_good_parts_are_left_alone() -> None:
    found = check(GOOD)
    assert found.pictures == 30 and found.findings == () and found.words == ()


def blurred(picture: Pixels) -> Pixels:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 2.5)[..., None], np.uint8)


def saved_again(picture: Pixels) -> Pixels:
    coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE)[..., None], np.uint8)


@pytest.mark.parametrize(
    ("picture", "score", "kind"),
    [
        (blurred(plate(50)), 1.0, "blurred"),
        (plate(51, level=30), 1.0, "dark"),
        (np.minimum(plate(52).astype(int) * 2 + 20, 255).astype(np.uint8), 1.0, "bright"),
        (np.zeros_like(plate(0)), 1.0, "dark"),
        (plate(3), 1.0, "double"),
        (saved_again(plate(4)), 1.0, "double"),
        (plate(53), 9.0, "defect"),
        (plate(54), float("nan"), "defect"),
        (plate(56, kind=1), 1.0, "outlier"),
    ],
    ids=["blur", "dark", "bright", "black", "same", "saved again", "defect", "nan", "another part"],
)
def test_what_is_unfit_is_found_and_the_good_ones_are_left_alone(
    picture: Pixels, score: float, kind: Kind
) -> None:
    assert kinds(("x", picture, score)) == {"x": kind}


def test_parts_of_two_products_are_noticed() -> None:
    others = [see(f"other{number}", plate(100 + number, kind=1), 1.0) for number in range(8)]
    (words,) = check([*GOOD, *others]).words
    assert "two kinds of pictures, 8 are such as other0" in words and "two products?" in words


def test_parts_of_another_size_are_noticed() -> None:
    wide = cv2.resize(plate(200), (200, 96))[..., None]
    (words,) = check([*GOOD, see("wide", wide, 1.0)]).words
    assert "1 pictures have another size than the usual 128 x 96" in words


def test_a_set_that_is_all_blurred_or_dark_or_standing_still_is_said() -> None:
    soft = [see(f"{number}", blurred(blurred(blurred(plate(number))))) for number in range(20)]
    assert any("all pictures are blurred" in line for line in check(soft).words)
    dark = [see(f"{number}", (plate(number) // 20).astype(np.uint8)) for number in range(20)]
    assert any("set exposure and light first" in line for line in check(dark).words)
    still = [see(f"{number}", plate(0)) for number in range(20)]
    found = check(still)
    assert len(found.findings) == 19 and any("did the parts move" in line for line in found.words)


def test_no_part_and_one_part_are_no_set() -> None:
    assert check([]).words == ("there is no picture of a good part",)
    assert check(GOOD[:1]).findings == ()


def test_what_could_not_be_read_comes_first_and_a_picture_is_named_once() -> None:
    found = check([*GOOD, see("x", plate(3), 50.0)], [Finding(name="y", kind="damaged", words="is damaged")])
    assert found.flagged == ("y", "x")
