"""Three layouts give the same pictures; what is missing, foreign, leaked or misfit is one clear error."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cameras import images
from agent.line.prepare import with_channels
from models.data.datasets import (
    DataError,
    Item,
    check_pictures,
    good_training,
    hold_out,
    input_spec,
    load_items,
    load_tiles,
    read_image,
    read_mask,
)
from tests.models.tiny import DEFECTIVE_TEST, GOOD_TEST, GOOD_TRAINING, HEIGHT, WIDTH, write_tiny


@pytest.fixture
def mvtec(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "tiny")


@pytest.fixture
def manifest(mvtec: Path) -> Path:
    rows = [
        (
            item.split,
            "0" if item.is_good else "1",
            item.defect,
            relative(item.image, mvtec),
            relative(item.mask, mvtec),
        )
        for item in load_items(mvtec)
    ]
    write_csv(mvtec / "manifest.csv", ("split", "label", "defect", "image", "mask"), rows)
    return mvtec


@pytest.fixture
def visa(mvtec: Path) -> Path:
    rows = [
        (
            "tiny",
            item.split,
            "normal" if item.is_good else "anomaly",
            relative(item.image, mvtec),
            relative(item.mask, mvtec),
        )
        for item in load_items(mvtec)
    ]
    (mvtec / "split_csv").mkdir()
    write_csv(mvtec / "split_csv" / "1cls.csv", ("object", "split", "label", "image", "mask"), rows)
    return mvtec


def relative(path: Path | None, root: Path) -> str:
    return "" if path is None else path.relative_to(root).as_posix()


def write_csv(path: Path, names: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([names, *rows])


def good_items(count: int) -> list[Item]:
    return [Item(image=Path(f"{index:04}.png"), split="train", defect="good") for index in range(count)]


@pytest.mark.parametrize("layout", ["mvtec", "manifest", "visa"])
def test_each_layout_gives_every_picture_with_its_mask(layout: str, request: pytest.FixtureRequest) -> None:
    root = request.getfixturevalue(layout)
    items = load_items(root)
    assert [item.image for item in items] == sorted((item.image for item in items), key=str)
    assert len(good_training(items, root)) == GOOD_TRAINING
    assert sum(item.split == "test" and item.is_good for item in items) == GOOD_TEST
    defective = [item for item in items if not item.is_good]
    assert len(defective) == DEFECTIVE_TEST
    for item in defective:
        assert item.mask == root / "ground_truth" / "scratch" / f"{item.image.stem}_mask.png"
        assert item.defect == ("anomaly" if layout == "visa" else "scratch")


def test_files_that_are_no_pictures_are_left_alone(mvtec: Path) -> None:
    (mvtec / "train" / "good" / "notes.txt").write_text("not a picture")
    (mvtec / "license" / "texts").mkdir(parents=True)
    (mvtec / "license" / "texts" / "logo.png").write_bytes(b"")
    assert len(load_items(mvtec)) == GOOD_TRAINING + GOOD_TEST + DEFECTIVE_TEST


def test_a_name_with_brackets_finds_its_mask(mvtec: Path) -> None:
    (mvtec / "test/scratch/000.png").rename(mvtec / "test/scratch/cell[1].png")
    (mvtec / "ground_truth/scratch/000_mask.png").rename(mvtec / "ground_truth/scratch/cell[1]_mask.png")
    (found,) = [item for item in load_items(mvtec) if item.image.stem == "cell[1]"]
    assert found.mask is not None


def test_a_folder_of_no_known_layout_says_what_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a picture")
    with pytest.raises(DataError, match=r"neither train/good .* manifest\.csv nor split_csv/1cls\.csv"):
        load_items(tmp_path)


@pytest.mark.parametrize("file", ["test/good/003.png", "ground_truth/scratch/003_mask.png"])
@pytest.mark.parametrize("layout", ["manifest", "visa"])
def test_a_listed_file_that_is_missing_is_named(
    layout: str, file: str, request: pytest.FixtureRequest
) -> None:
    root = request.getfixturevalue(layout)
    (root / file).unlink()
    with pytest.raises(DataError, match=rf"1 listed files are missing, first .*{file}; put them there"):
        load_items(root)


def test_masks_named_just_as_their_images_are_found_too(mvtec: Path) -> None:
    for mask in (mvtec / "ground_truth" / "scratch").iterdir():
        mask.rename(mask.with_stem(mask.stem.removesuffix("_mask")))
    found = [item.mask for item in load_items(mvtec) if not item.is_good]
    assert found == sorted((mvtec / "ground_truth" / "scratch").iterdir())


def test_a_mask_of_one_picture_is_not_taken_for_another_whose_name_starts_alike(mvtec: Path) -> None:
    (mvtec / "test/scratch/000.png").rename(mvtec / "test/scratch/001_2.png")
    (mvtec / "ground_truth/scratch/000_mask.png").rename(mvtec / "ground_truth/scratch/001_2.png")
    found = {item.image.name: item.mask for item in load_items(mvtec) if not item.is_good}
    assert found["001.png"] == mvtec / "ground_truth/scratch/001_mask.png"
    assert found["001_2.png"] == mvtec / "ground_truth/scratch/001_2.png"


@pytest.mark.parametrize("name", ["777_mask.png", "777.png", "000_mask_mask.png"])
def test_a_mask_without_its_image_is_refused_with_the_place_of_the_image(mvtec: Path, name: str) -> None:
    shutil.copyfile(mvtec / "ground_truth/scratch/000_mask.png", mvtec / "ground_truth/scratch" / name)
    wanted = Path(name).stem.removesuffix("_mask")
    with pytest.raises(DataError, match=rf"{name}: a mask without its image .*test/scratch/{wanted}\.\*"):
        load_items(mvtec)


def test_several_masks_in_a_folder_of_their_image_are_left_alone(mvtec: Path) -> None:
    """As MVTec LOCO has them."""
    folder = mvtec / "ground_truth" / "scratch" / "000"
    folder.mkdir()
    shutil.copyfile(mvtec / "ground_truth/scratch/000_mask.png", folder / "000.png")
    assert len(load_items(mvtec)) == GOOD_TRAINING + GOOD_TEST + DEFECTIVE_TEST


@pytest.mark.parametrize("test", ["good/001.png", "scratch/001.png"])
def test_a_picture_that_is_trained_on_and_judged_is_refused_with_both_names(mvtec: Path, test: str) -> None:
    shutil.copyfile(mvtec / "train/good/007.png", mvtec / "test" / test)
    with pytest.raises(
        DataError, match=rf"test/{test}: the same picture as .*train/good/007\.png.*remove one"
    ):
        load_items(mvtec)


def test_a_list_that_names_one_file_for_both_splits_is_refused(manifest: Path) -> None:
    rows = (manifest / "manifest.csv").read_text()
    (manifest / "manifest.csv").write_text(rows + "test,0,good,train/good/007.png,\n")
    with pytest.raises(DataError, match=r"007\.png: the same picture as .*007\.png"):
        load_items(manifest)


def test_pictures_that_only_have_the_same_size_in_bytes_are_no_twins(mvtec: Path) -> None:
    for name in ("train/good/000.bmp", "test/good/000.bmp"):  # uncompressed: all are of one size
        cv2.imwrite(str(mvtec / name), np.full((HEIGHT, WIDTH), len(name), np.uint8))
    load_items(mvtec)


def test_the_same_picture_twice_in_training_is_allowed(mvtec: Path) -> None:
    shutil.copyfile(mvtec / "train/good/007.png", mvtec / "train/good/copy.png")
    assert len(good_training(load_items(mvtec), mvtec)) == GOOD_TRAINING + 1


@pytest.mark.parametrize("column", ["split", "label", "image", "mask"])
@pytest.mark.parametrize("layout", ["manifest", "visa"])
def test_a_list_without_a_needed_column_is_refused_by_its_name(
    layout: str, column: str, request: pytest.FixtureRequest
) -> None:
    root = request.getfixturevalue(layout)
    path = root / ("manifest.csv" if layout == "manifest" else "split_csv/1cls.csv")
    first, rest = path.read_text().split("\n", 1)
    path.write_text(first.replace(column, "other") + "\n" + rest)
    with pytest.raises(DataError, match=rf"{path.name}: .*{column}"):
        load_items(root)


def test_no_good_training_pictures_say_where_to_put_them(mvtec: Path) -> None:
    items = [item for item in load_items(mvtec) if item.split == "test"]
    with pytest.raises(DataError, match="put them into train/good"):
        good_training(items, mvtec)


@given(count=st.integers(8, 3000), every=st.sampled_from([2, 5, 8]))
def test_held_back_pictures_are_whole_runs_and_never_trained_on(count: int, every: int) -> None:
    items = good_items(count)
    kept, held = ([int(item.image.stem) for item in part] for part in hold_out(items, every))
    assert sorted([*kept, *held]) == list(range(count))
    assert held
    run = min(20, max(1, count // (2 * every)))
    sides = np.isin(np.arange(count), held)
    assert all(len(set(sides[start : start + run].tolist())) == 1 for start in range(0, count, run))
    assert len(held) == pytest.approx(count / every, abs=run)


@pytest.mark.parametrize("count", [1, 7])
def test_too_few_pictures_to_hold_any_back_are_refused_with_their_folder(mvtec: Path, count: int) -> None:
    for path in sorted((mvtec / "train" / "good").iterdir())[count:]:
        path.unlink()
    items = good_training(load_items(mvtec), mvtec)
    with pytest.raises(DataError, match=rf"train/good: good training pictures: {count}, .*give at least 8"):
        hold_out(items, 8)


def test_a_picture_is_read_as_it_is_or_with_the_channels_asked_for(tmp_path: Path) -> None:
    grey, colour = tmp_path / "grey.png", tmp_path / "colour.png"
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[..., 0] = 200  # red, in RGB
    cv2.imwrite(str(colour), picture[..., ::-1])
    cv2.imwrite(str(grey), np.full((4, 6), 90, np.uint8))
    assert np.array_equal(read_image(colour), picture)
    assert np.array_equal(read_image(grey), np.full((4, 6, 1), 90))
    assert np.array_equal(read_image(grey, 3), np.full((4, 6, 3), 90))
    assert np.array_equal(read_image(colour, 1), np.full((4, 6, 1), 60))


def test_transparency_is_dropped(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((4, 6, 4), 90, np.uint8))
    assert read_image(tmp_path / "a.png").shape == (4, 6, 3)
    assert read_image(tmp_path / "a.png", 1).shape == (4, 6, 1)


@pytest.mark.parametrize("channels", [None, 1, 3])
@pytest.mark.parametrize(
    ("content", "remedy"),
    [("absent", "check"), ("empty", "replace"), ("text", "replace"), ("16 bit", "convert it to 8 bits")],
)
def test_a_picture_that_cannot_be_read_is_named_with_the_remedy(
    tmp_path: Path, content: str, remedy: str, channels: int | None
) -> None:
    path = tmp_path / "bad.png"
    if content == "16 bit":
        cv2.imwrite(str(path), np.zeros((4, 4), np.uint16))
    elif content != "absent":
        path.write_bytes(b"" if content == "empty" else b"not an image")
    with pytest.raises(DataError, match=rf"bad\.png: .*{remedy}"):
        read_image(path, channels)


def test_the_device_and_the_workshop_see_the_same_pixels(tmp_path: Path) -> None:
    """Also where a camera wrote how to turn the picture, which the device does not follow."""
    path = tmp_path / "turned.jpg"
    picture = np.random.default_rng(0).integers(0, 256, (8, 16, 3), np.uint8)
    coded = cv2.imencode(".jpg", picture)[1].tobytes()
    turned = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    path.write_bytes(coded[:2] + b"\xff\xe1" + (len(turned) + 2).to_bytes(2, "big") + turned + coded[2:])
    assert cv2.imread(str(path)).shape == (16, 8, 3)
    for channels in (1, 3):
        seen = with_channels(images.read_image(path), channels)
        assert np.array_equal(read_image(path, channels), seen)


def test_a_mask_is_exactly_the_marked_pixels(mvtec: Path) -> None:
    item = next(item for item in load_items(mvtec) if not item.is_good)
    mask = read_mask(item, (HEIGHT, WIDTH))
    assert mask is not None
    assert mask.dtype == np.bool_
    assert np.array_equal(mask, read_image(item.image)[..., 0] == 15)


def test_a_good_picture_has_an_empty_mask_and_an_unmarked_one_has_none(tmp_path: Path) -> None:
    good = Item(image=tmp_path, split="test", defect="good")
    unmarked = Item(image=tmp_path, split="test", defect="scratch")
    mask = read_mask(good, (3, 5))
    assert mask is not None
    assert mask.shape == (3, 5)
    assert not mask.any()
    assert read_mask(unmarked, (3, 5)) is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            "size",
            rf"a mask of {WIDTH // 2} x {HEIGHT // 2} pixels for an image of {WIDTH} x {HEIGHT}; draw it",
        ),
        ("absent", r"cannot be read \(No such file or directory\); check"),
        ("text", r"is damaged or not an image \(.*\); replace"),
    ],
)
def test_a_mask_that_does_not_fit_is_named_before_anything_is_judged(
    mvtec: Path, wrong: str, said: str
) -> None:
    items = load_items(mvtec)
    item = [item for item in items if not item.is_good][-1]
    check_pictures(items)
    assert item.mask is not None
    if wrong == "size":
        cv2.imwrite(str(item.mask), np.zeros((HEIGHT // 2, WIDTH // 2), np.uint8))
    elif wrong == "text":
        item.mask.write_text("no mask")
    else:
        item.mask.unlink()
    with pytest.raises(DataError, match=rf"{item.mask.name}: {said}"):
        check_pictures(items)


def test_a_picture_of_16_bits_is_named_before_anything_is_judged(mvtec: Path) -> None:
    cv2.imwrite(str(mvtec / "test" / "good" / "003.png"), np.zeros((HEIGHT, WIDTH), np.uint16))
    with pytest.raises(DataError, match=r"test/good/003\.png: has uint16 pixels; convert it to 8 bits"):
        check_pictures(load_items(mvtec))


def test_a_mask_of_16_bits_keeps_its_lowest_class(mvtec: Path) -> None:
    item = next(item for item in load_items(mvtec) if not item.is_good)
    classes = np.zeros((HEIGHT, WIDTH), np.uint16)
    classes[3, 4] = 1
    cv2.imwrite(str(item.mask), classes)
    mask = read_mask(item, (HEIGHT, WIDTH))
    assert mask is not None
    assert np.array_equal(mask, classes > 0)


@pytest.mark.parametrize("channels", [1, 3])
def test_colour_among_mono_and_mono_among_colour_are_converted(mvtec: Path, channels: int) -> None:
    picture = cv2.imread(str(mvtec / "train/good/004.png"), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(mvtec / "train/good/004.png"), np.repeat(picture[..., None], 3, 2))
    items = good_training(load_items(mvtec), mvtec)
    spec = input_spec(items, 64).model_copy(update={"channels": channels})
    tiles = load_tiles(items, spec)
    assert tiles.shape == (2 * GOOD_TRAINING, 64, 64, channels)
    assert np.array_equal(tiles[..., :1], tiles[..., -1:])


def test_the_shorter_side_of_a_typical_picture_fills_a_tile(mvtec: Path) -> None:
    spec = input_spec(good_training(load_items(mvtec), mvtec), 64)
    assert (spec.channels, spec.tile_px, spec.overlap_px, spec.scale) == (1, 64, 8, 0.8)


def test_one_colour_picture_makes_the_set_colour(mvtec: Path) -> None:
    path = mvtec / "train" / "good" / "000.png"
    cv2.imwrite(str(path), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    assert input_spec(good_training(load_items(mvtec), mvtec), 64).channels == 3


def test_every_tile_of_every_picture_is_loaded(mvtec: Path) -> None:
    items = good_training(load_items(mvtec), mvtec)
    tiles = load_tiles(items, input_spec(items, 64))
    assert tiles.shape == (2 * GOOD_TRAINING, 64, 64, 1)
    assert tiles.dtype == np.uint8
