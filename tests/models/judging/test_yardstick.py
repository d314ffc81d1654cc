"""The yardstick judges tiles as an engine does, at strides that are decided on what no training saw."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from agent.engines.engine import Answer
from agent.line.prepare import cut_tiles
from agent.messages import Floats, Pixels
from models.data.datasets import DataError, Item
from models.data.held import good_items
from models.judging import yardstick
from models.judging.unseen import left_in, picture_of, spoilt_twins
from models.judging.yardstick import CHOICES, USUAL, Built, build, decided, look
from models.parts.defects.anomalies import changed
from tests.models.judging.conftest import SPEC
from tests.models.tiny import woven, write_tiny


def weaves(count: int, seed: int, channels: int = 1) -> Pixels:
    """Tiles (count, 64, 64, channels) of the same weave."""
    rng = np.random.default_rng(seed)
    whole = [cv2.resize(woven(rng), (77, 64), interpolation=cv2.INTER_AREA)[:, :64] for _ in range(count)]
    return np.repeat(np.stack(whole)[..., None], channels, axis=3)


@pytest.mark.slow
def test_a_scratch_scores_above_good_parts_and_the_map_peaks_on_it(built: Built) -> None:
    scratched = weaves(6, 1)
    scratched[:, 30:33, 8:40] = 15
    fine = built.choices[(8,)]  # a tile so small has four cells at stride 32
    found = fine.inspect(scratched)
    assert found.scores.min() > fine.inspect(weaves(6, 2)).scores.max()
    for map_ in found.maps:
        row, column = np.unravel_index(map_.argmax(), map_.shape)
        assert 24 <= row < 40
        assert 0 <= column < 56


@pytest.mark.slow
def test_every_choice_of_strides_has_a_memory_and_a_rank(built: Built) -> None:
    assert set(built.aurocs) == set(built.choices) == set(CHOICES)
    assert built.yardstick is built.choices[built.strides]
    assert all(0.3 < auroc <= 1 for auroc in built.aurocs.values())
    assert built.seconds > 0


def scored(apart: float, seed: int = 0) -> Floats:
    """50 good pictures and 50 defective ones, these so far above."""
    noise = np.random.default_rng(seed).normal(0, 1, 100)
    return (noise + apart * (np.arange(100) >= 50)).astype(np.float32)


def test_strides_stay_as_usual_unless_others_rank_better_beyond_chance() -> None:
    labels = np.arange(100) >= 50
    usual = scored(1.0)
    assert decided(labels, {USUAL: usual, (8,): scored(0.2, 1)}) == USUAL
    assert decided(labels, {USUAL: usual, (16,): usual + scored(0.0, 1) * 0.01}) == USUAL
    assert decided(labels, {USUAL: usual, (8,): scored(3.0, 1), (16,): scored(6.0, 2)}) == (16,)


@pytest.mark.slow
def test_equal_seeds_give_the_same_bits_and_others_do_not(
    good: tuple[list[Item], list[Item]], built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yardstick, "KEPT", 40)
    monkeypatch.setattr(yardstick, "PAIRS", 12)
    one, same, other = (build(*good, SPEC, seed) for seed in (0, 0, 1))
    for strides in CHOICES:
        memory = one.choices[strides].memory.patches
        assert torch.equal(memory, same.choices[strides].memory.patches)
        assert len(memory) == 40
    assert one.aurocs == same.aurocs
    assert not torch.equal(one.choices[(8,)].memory.patches, other.choices[(8,)].memory.patches)


@pytest.mark.slow
def test_answers_have_the_tiles_size_and_hand_them_back_as_they_are(built: Built) -> None:
    tiles = weaves(3, 6)
    found = built.yardstick.inspect(tiles)
    assert found.scores.shape == (3,)
    assert found.maps.shape == (3, 64, 64)
    assert found.maps.dtype == found.scores.dtype == np.float32
    assert found.restored is tiles


@pytest.mark.slow
def test_a_tile_is_judged_alike_in_any_company_and_from_what_was_seen_of_it(built: Built) -> None:
    tiles = weaves(4, 3)
    together = built.yardstick.inspect(tiles)
    for index, tile in enumerate(tiles):
        alone = built.yardstick.judge([look(built.yardstick.features, tile)], tile[None])
        assert alone.scores[0] == together.scores[index]
        assert (alone.maps[0] == together.maps[index]).all()


@pytest.mark.slow
def test_grey_in_three_channels_is_grey(built: Built) -> None:
    one, three = (built.yardstick.inspect(weaves(2, 6, channels)).scores for channels in (1, 3))
    assert one == pytest.approx(three, rel=1e-4)


def test_each_held_back_picture_is_spoilt_equally_often_and_differs_from_itself(
    good: tuple[list[Item], list[Item]],
) -> None:
    kept, held = good
    twins = spoilt_twins(held, kept, SPEC, 2 * len(held) - 1, seed=0)
    assert len(twins) == 2 * len(held)
    for twin, item in zip(twins, [*held, *held], strict=True):
        assert changed(twin.clean, twin.spoilt).any()
        assert np.array_equal(twin.clean, picture_of(item, SPEC))
    again = spoilt_twins(held, kept, SPEC, 2 * len(held) - 1, seed=0)
    assert all(np.array_equal(one.spoilt, other.spoilt) for one, other in zip(twins, again, strict=True))


def test_spoilt_pictures_keep_their_background(tmp_path: Path) -> None:
    root = write_tiny(tmp_path / "tiny")
    for file in (root / "train" / "good").iterdir():
        picture = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        picture[:, :40] = 0  # a dark background
        cv2.imwrite(str(file), picture)
    (root / "product.yaml").write_text("foreground: bright\n")
    kept, held = good_items([root])
    for twin, item in zip(spoilt_twins(held, kept, SPEC, len(held), seed=0), held, strict=True):
        assert np.array_equal(twin.spoilt[:, :28], picture_of(item, SPEC)[:, :28])


def test_parts_of_one_flat_grey_are_refused_in_words(tmp_path: Path) -> None:
    folder = tmp_path / "flat" / "train" / "good"
    folder.mkdir(parents=True)
    for index in range(16):
        assert cv2.imwrite(str(folder / f"{index:02}.png"), np.full((80, 96), 120, np.uint8))
    kept, held = good_items([tmp_path / "flat"])
    with pytest.raises(DataError, match="a piece of one good part shows on no other one"):
        spoilt_twins(held, kept, SPEC, 4, seed=0)


@pytest.mark.parametrize(("share", "left"), [(0.0, 0.0), (0.25, 0.25), (1.0, 1.0)])
def test_what_a_restoration_leaves_of_a_defect_is_told_beside_the_good_picture(
    good: tuple[list[Item], list[Item]], share: float, left: float
) -> None:
    kept, held = good
    twins = spoilt_twins(held[:1], kept, SPEC, 1, seed=0)

    def leaves(tiles: Pixels) -> Answer:
        clean = cut_tiles(twins[0].clean, SPEC)[0].astype(np.float64)
        restored = clean + share * (tiles - clean)
        return Answer(scores=np.zeros(len(tiles), np.float32), maps=None, restored=restored.round())  # type: ignore[arg-type]

    assert left_in(leaves, twins, SPEC) == pytest.approx(left, abs=0.03)
