"""The yardstick sees whole pictures, and looks at the strides that find what no training saw."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from agent.bundle.bundle import InputSpec
from agent.messages import Pixels
from models.data.datasets import DataError, Item
from models.data.held import good_items
from models.judging import yardstick
from models.judging.yardstick import CHOICES, Built, build, look, picture_of, spoilt_twins
from models.parts.defects.anomalies import changed
from tests.models.tiny import woven, write_tiny

SPEC = InputSpec(channels=1, tile_px=64, overlap_px=8, scale=0.8)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Item], list[Item]]:
    return good_items([write_tiny(tmp_path_factory.mktemp("data") / "tiny")])


@pytest.fixture(scope="module")
def built(good: tuple[list[Item], list[Item]]) -> Built:
    return build(*good, SPEC)


def weaves(count: int, seed: int, channels: int = 1) -> list[Pixels]:
    rng = np.random.default_rng(seed)
    whole = [cv2.resize(woven(rng), (77, 64), interpolation=cv2.INTER_AREA)[..., None] for _ in range(count)]
    return [np.repeat(one, channels, axis=2) for one in whole]


@pytest.mark.slow
def test_a_scratch_scores_above_good_parts_and_the_map_peaks_on_it(built: Built) -> None:
    scratched = weaves(6, 1)
    for one in scratched:
        one[30:33, 8:40] = 15
    good_scores = [built.yardstick.inspect(one)[0] for one in weaves(6, 2)]
    for one in scratched:
        score, map_ = built.yardstick.inspect(one)
        assert score > max(good_scores)
        row, column = np.unravel_index(map_.argmax(), map_.shape)
        assert 16 <= row < 48
        assert 0 <= column < 56


@pytest.mark.slow
def test_the_strides_are_those_that_rank_best_on_what_no_training_saw(built: Built) -> None:
    assert set(built.aurocs) == set(built.choices) == set(CHOICES)
    assert built.aurocs[built.yardstick.strides] == max(built.aurocs.values())
    assert built.aurocs[built.yardstick.strides] > 0.7
    assert built.seconds > 0


@pytest.mark.slow
def test_equal_seeds_give_the_same_bits_and_others_do_not(
    good: tuple[list[Item], list[Item]], built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yardstick, "KEPT", 40)
    one, same, other = (build(*good, SPEC, seed) for seed in (0, 0, 1))
    for strides in CHOICES:
        memory = one.choices[strides].memory.patches
        assert torch.equal(memory, same.choices[strides].memory.patches)
        assert len(memory) == 40
    assert one.aurocs == same.aurocs
    assert not torch.equal(one.choices[(8,)].memory.patches, other.choices[(8,)].memory.patches)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(64, 77, 1), (40, 300, 1), (33, 35, 3)])
def test_a_picture_of_any_size_has_a_map_of_its_own_size(built: Built, shape: tuple[int, int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    score, map_ = built.yardstick.inspect(picture)
    assert np.isfinite(score)
    assert map_.shape == shape[:2]
    assert map_.dtype == np.float32


@pytest.mark.slow
def test_grey_in_three_channels_is_grey(built: Built) -> None:
    one, three = weaves(1, 6)[0], weaves(1, 6, channels=3)[0]
    assert built.yardstick.inspect(one)[0] == pytest.approx(built.yardstick.inspect(three)[0], rel=1e-4)


@pytest.mark.slow
def test_no_border_inside_a_picture_makes_a_difference(built: Built) -> None:
    """What a whole picture shows in its middle does not depend on where tiles would have been cut."""
    wide = np.concatenate([*weaves(2, 3)], axis=1)
    shifted = wide[:, 32:]
    _, whole = built.yardstick.inspect(wide)
    _, part = built.yardstick.inspect(shifted)
    assert np.corrcoef(whole[8:-8, 64:-32].ravel(), part[8:-8, 32:-32].ravel())[0, 1] > 0.8


@pytest.mark.slow
def test_judging_what_was_seen_is_judging_the_picture(built: Built) -> None:
    picture = weaves(1, 5)[0]
    seen = look(built.yardstick.features, picture)
    score, map_ = built.yardstick.judge(seen, picture.shape[:2])
    assert (score, map_.tolist()) == (
        built.yardstick.inspect(picture)[0],
        built.yardstick.inspect(picture)[1].tolist(),
    )


def test_each_held_back_picture_is_spoilt_equally_often_and_differs_from_itself(
    good: tuple[list[Item], list[Item]],
) -> None:
    kept, held = good
    twins = spoilt_twins(held, kept, SPEC, 2 * len(held) - 1, seed=0)
    assert len(twins) == 2 * len(held)
    for twin, item in zip(twins, [*held, *held], strict=True):
        assert changed(picture_of(item, SPEC), twin).any()
    again = spoilt_twins(held, kept, SPEC, 2 * len(held) - 1, seed=0)
    assert all(np.array_equal(one, other) for one, other in zip(twins, again, strict=True))


def test_spoilt_pictures_keep_their_background(tmp_path: Path) -> None:
    root = write_tiny(tmp_path / "tiny")
    for file in (root / "train" / "good").iterdir():
        picture = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        picture[:, :40] = 0  # a dark background
        cv2.imwrite(str(file), picture)
    (root / "product.yaml").write_text("foreground: bright\n")
    kept, held = good_items([root])
    for twin, item in zip(spoilt_twins(held, kept, SPEC, 1, seed=0), held, strict=True):
        assert np.array_equal(twin[:, :28], picture_of(item, SPEC)[:, :28])


def test_parts_of_one_flat_grey_are_refused_in_words(tmp_path: Path) -> None:
    folder = tmp_path / "flat" / "train" / "good"
    folder.mkdir(parents=True)
    for index in range(16):
        assert cv2.imwrite(str(folder / f"{index:02}.png"), np.full((80, 96), 120, np.uint8))
    kept, held = good_items([tmp_path / "flat"])
    with pytest.raises(DataError, match="a piece of one good part shows on no other one"):
        spoilt_twins(held, kept, SPEC, 4, seed=0)
