"""A batch obeys the rules of the product that each tile shows, and of no other."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.messages import Pixels
from models.data.batches import Tiles, as_tiles, draw_batch
from models.data.datasets import DataError, input_spec
from models.data.held import good_items
from models.data.product import Product
from tests.models.tiny import write_tiny


def tiles_of(pixels: Pixels, **rules: object) -> Tiles:
    count = len(pixels)
    return Tiles(
        pixels=pixels,
        products=np.zeros(count, np.int64),
        rules=(Product.model_validate(rules),),
        textures=((),),
    )


def corners(mirrors: tuple[str, ...]) -> set[int]:
    """Where the bright corner of a part is seen in many batches: 0 to 3, row by row."""
    part = np.zeros((1, 64, 64, 1), np.uint8)
    part[0, :16, :16] = 200
    drawn = draw_batch(tiles_of(part, mirrors=mirrors), 64, 0.0, np.random.default_rng(0)).clean
    brightness = np.stack([drawn[:, 0, y, x].numpy() for y in (0, -1) for x in (0, -1)], 1)
    return set(brightness.argmax(1).tolist())


@pytest.mark.parametrize(
    ("mirrors", "seen"),
    [
        ((), {0}),
        (("horizontal",), {0, 1}),
        (("vertical",), {0, 2}),
        (("horizontal", "vertical"), {0, 1, 2, 3}),
    ],
)
def test_a_part_is_mirrored_only_as_its_product_allows(mirrors: tuple[str, ...], seen: set[int]) -> None:
    assert corners(mirrors) == seen


def test_defects_stay_on_the_part_wherever_it_is_mirrored_to(tmp_path: Path) -> None:
    root = write_tiny(tmp_path / "tiny")
    for path in (root / "train" / "good").iterdir():
        picture = np.full((80, 96), 230, np.uint8)
        picture[10:50, 5:40] = np.random.default_rng(0).integers(20, 60, (40, 35))
        cv2.imwrite(str(path), picture)
    (root / "product.yaml").write_text("foreground: dark\n")
    good, _ = good_items([root])
    batch = draw_batch(as_tiles(good, input_spec(good, 64)), 64, 1.0, np.random.default_rng(0))
    assert batch.spoilt.sum() > 16  # a tile that shows a corner of the part is seldom hit
    ground = batch.clean > 0.2  # the part stays below, whatever the exposure
    assert not (batch.mask.bool() & ground).any()
    assert (batch.clean[ground] == batch.seen[ground]).all()


def test_each_data_set_has_its_own_rules(tmp_path: Path) -> None:
    plain, ruled = write_tiny(tmp_path / "plain"), write_tiny(tmp_path / "ruled", seed=1)
    (tmp_path / "papers").mkdir()
    cv2.imwrite(str(tmp_path / "papers" / "a.png"), np.zeros((9, 9), np.uint8))
    (ruled / "product.yaml").write_text("foreground: bright\nmirrors: []\ntextures: ../papers\n")
    good, _ = good_items([ruled, plain])
    tiles = as_tiles(good, input_spec(good, 64))
    assert [rule.foreground for rule in tiles.rules] == ["all", "bright"]  # in the order of names
    assert [rule.mirrors for rule in tiles.rules] == [("horizontal", "vertical"), ()]
    assert [len(some) for some in tiles.textures] == [0, 1]
    assert tiles.foreground is not None
    assert tiles.foreground.shape == tiles.pixels.shape[:3]
    assert tiles.foreground[tiles.products == 0].all()
    assert not tiles.foreground[tiles.products == 1].all()


def test_without_rules_everything_is_foreground(tmp_path: Path) -> None:
    good, held = good_items([write_tiny(tmp_path / "tiny")])
    assert as_tiles(good, input_spec(good, 64)).foreground is None
    assert held


def test_the_same_seed_draws_the_same_batch(tmp_path: Path) -> None:
    good, _ = good_items([write_tiny(tmp_path / "tiny")])
    tiles = as_tiles(good, input_spec(good, 64))
    one, two = (draw_batch(tiles, 8, 0.5, np.random.default_rng(3)) for _ in range(2))
    assert (one.seen == two.seen).all()
    assert (one.mask == two.mask).all()
    assert one.spoilt.any() and not one.spoilt.all()
    assert (one.seen == one.clean)[~one.spoilt].float().mean() > 0.9


def test_two_data_sets_of_one_name_are_refused(tmp_path: Path) -> None:
    one, two = write_tiny(tmp_path / "a" / "tiny"), write_tiny(tmp_path / "b" / "tiny")
    for roots in ([one, two], [one, one]):
        with pytest.raises(DataError, match="product 'tiny' stands twice; rename a folder"):
            good_items(roots)
