"""A product's rules are right or refused, each problem in one line with its place; the example is valid."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from agent.bundle.bundle import InputSpec
from models.data.datasets import DataError, good_training, load_items, load_tiles
from models.data.product import (
    TEXTURE_PX,
    TEXTURES_KEPT,
    Product,
    find_foreground,
    load_parts,
    load_textures,
    read_product,
)
from tests.models.tiny import write_tiny

EXAMPLE = (Path(__file__).resolve().parents[3] / "config" / "product.yaml").read_text(encoding="utf-8")


def read(folder: Path, text: str) -> Product:
    (folder / "product.yaml").write_text(text, encoding="utf-8")
    return read_product(folder)


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(DataError) as caught:
        read(folder, text)
    lines = str(caught.value).splitlines()
    place = re.escape(str(folder / "product.yaml"))
    assert all(re.match(rf"{place}:\d+(:\d+)?: \S", line) for line in lines)
    return [line.removeprefix(str(folder / "product.yaml:")) for line in lines]


def test_the_example_equals_the_defaults_key_for_key(tmp_path: Path) -> None:
    assert json.dumps(yaml.safe_load(EXAMPLE)) == json.dumps(Product().model_dump(mode="json"))
    assert read(tmp_path, EXAMPLE) == Product() == read_product(tmp_path / "without a file")


def test_every_key_of_the_example_has_a_comment_above() -> None:
    lines = EXAMPLE.splitlines()
    keys = [index for index, line in enumerate(lines) if re.match(r"[a-z_]+:", line)]
    assert len(keys) == len(Product.model_fields)
    assert all(lines[index - 1].startswith("# ") for index in keys)


def test_a_file_says_only_what_differs(tmp_path: Path) -> None:
    assert read(tmp_path, "foreground: dark\n") == Product(foreground="dark")
    assert read(tmp_path, "mirrors: [vertical]\n").mirrors == ("vertical",)
    assert read(tmp_path, "mirrors: []\n").mirrors == ()


def test_a_texture_folder_is_taken_from_the_folder_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "dtd").mkdir()
    assert read(tmp_path / "data", "textures: ../dtd\n").textures == tmp_path / "data" / "../dtd"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("foreground: grey", "2: foreground: Input should be 'all', 'dark' or 'bright' (got 'grey')"),
        ("foreground: true", "2: foreground: Input should be 'all', 'dark' or 'bright' (got True)"),
        ("foreground:", "2: foreground: Input should be 'all', 'dark' or 'bright' (got nothing)"),
        ("mirrors: horizontal", "2: mirrors: Input should be a valid array (got 'horizontal')"),
        ("mirrors:\n  - up", "3: mirrors.0: Input should be 'horizontal' or 'vertical' (got 'up')"),
        ("textures: 7", "2: textures: Input should be a valid string (got 7)"),
        ("textures: gone", "2: textures: no such folder; give one of pictures, or null (got 'gone')"),
        ("miror: []", "2: miror: unknown key; see config/product.yaml for the keys there are"),
        ("foreground: dark\nforeground: all", "3:1: duplicate key 'foreground' (first on line 2)"),
        ("- dark", "1: holds no keys; start from config/product.yaml, or remove the file"),
        ("", "1: holds no keys; start from config/product.yaml, or remove the file"),
    ],
)
def test_bad_rules_name_the_line_the_key_the_fault_and_the_value(
    tmp_path: Path, text: str, problem: str
) -> None:
    assert problems(tmp_path, f"# a comment\n{text}\n") == [problem]


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, "foreground: grey\nmirrors: [up, down]\nname: screw\n")
    assert [line[:2] for line in found] == ["1:", "2:", "2:", "3:"]


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "product.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"product\.yaml: cannot be read as text"):
        read_product(tmp_path)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("rule", "part", "ground"), [("dark", 40, 200), ("bright", 200, 40)])
def test_the_part_is_found_on_its_ground_with_its_holes(
    rule: str, part: int, ground: int, channels: int
) -> None:
    picture = np.full((60, 80, channels), ground, np.uint8)
    picture[10:50, 20:60] = part
    picture[25:30, 30:40] = ground  # a hole
    wanted = np.zeros((60, 80), np.bool_)
    wanted[10:50, 20:60] = True
    assert np.array_equal(find_foreground(picture, Product.model_validate({"foreground": rule})), wanted)
    assert find_foreground(picture, Product()).all()


def test_the_foreground_of_a_tile_lies_where_the_part_lies_in_that_tile(tmp_path: Path) -> None:
    root = write_tiny(tmp_path / "tiny")
    for path in sorted((root / "train" / "good").iterdir()):
        picture = np.full((80, 96), 220, np.uint8)
        picture[20:60, 60:90] = 30
        cv2.imwrite(str(path), picture)
    items = good_training(load_items(root), root)[:3]
    spec = InputSpec(channels=1, tile_px=64, overlap_px=8, scale=1.0)
    tiles, found = load_parts(items, spec, Product(foreground="dark"))
    assert np.array_equal(tiles, load_tiles(items, spec))
    assert np.array_equal(found, tiles[..., 0] == 30)


@pytest.mark.parametrize("channels", [1, 3])
def test_textures_come_from_folders_below_too_shrunk_and_with_the_channels_asked_for(
    tmp_path: Path, channels: int
) -> None:
    (tmp_path / "woven").mkdir()
    large, small = np.zeros((2 * TEXTURE_PX, 3 * TEXTURE_PX, 3), np.uint8), np.zeros((20, 30), np.uint8)
    cv2.imwrite(str(tmp_path / "woven" / "large.png"), large)
    cv2.imwrite(str(tmp_path / "small.png"), small)
    (tmp_path / "readme.txt").write_text("no picture")
    found = load_textures(Product(textures=tmp_path), channels)
    assert [one.shape for one in found] == [(20, 30, channels), (TEXTURE_PX, TEXTURE_PX * 3 // 2, channels)]


def test_no_folder_gives_no_textures_and_an_empty_one_is_refused(tmp_path: Path) -> None:
    assert load_textures(Product(), 1) == ()
    with pytest.raises(DataError, match="holds no pictures; put textures there"):
        load_textures(Product(textures=tmp_path), 1)


def test_a_large_folder_of_textures_is_thinned_evenly(tmp_path: Path) -> None:
    for index in range(TEXTURES_KEPT + 44):
        cv2.imwrite(str(tmp_path / f"{index:03}.png"), np.full((2, 2), index % 256, np.uint8))
    found = [int(one[0, 0, 0]) for one in load_textures(Product(textures=tmp_path), 1)]
    assert len(found) == 150
    assert found[:128] == list(range(0, 256, 2))
