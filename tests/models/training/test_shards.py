"""Each process reads its share of the pictures, and however many there are, they draw the same batches."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.bundle.bundle import InputSpec
from models.data import datasets
from models.data.batches import Batch, as_tiles, draw_batch
from models.data.datasets import Item
from models.training.fit import Draw, ProcessesError
from models.training.plans import Plan
from models.training.shards import FEWEST, Shards, deal, read_shards

SPEC = InputSpec(channels=1, tile_px=32, overlap_px=4, scale=1.0)


class Process:
    """One of several that run as threads, and what it knows of the others."""

    def __init__(self, rank: int, world: int, sent: list[Any], meet: Barrier) -> None:
        self.global_rank, self.world_size, self._sent, self._meet = rank, world, sent, meet

    def broadcast(self, thing: Any, src: int) -> Any:
        if self.global_rank == src:
            self._sent[0] = thing
        self._meet.wait(timeout=20)
        got = self._sent[0]
        self._meet.wait(timeout=20)
        return got


def read_by(world: int, items: list[Item], plan: Plan) -> list[Shards]:
    """What each of `world` processes holds."""
    sent: list[Any] = [None]
    meet = Barrier(world)
    found: dict[int, Shards] = {}

    def read(rank: int) -> None:
        found[rank] = read_shards(items, SPEC, plan, Process(rank, world, sent, meet))  # type: ignore[arg-type]

    threads = [Thread(target=read, args=(rank,)) for rank in range(world)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[rank] for rank in range(world)]


def items_of(root: Path, counts: dict[str, int], product_file: str = "") -> list[Item]:
    """Pictures of one tile, of which no two are alike."""
    rng = np.random.default_rng(0)
    items = []
    for product, count in counts.items():
        (root / product).mkdir(parents=True)
        if product_file:
            (root / product / "product.yaml").write_text(product_file)
        for number in range(count):
            path = root / product / f"{number:03}.png"
            assert cv2.imwrite(str(path), rng.integers(60, 200, (32, 32), dtype=np.uint8))
            items.append(
                Item(image=path, split="train", defect="good", folder=root / product, product=product)
            )
    return items


@pytest.fixture(scope="module")
def two_products(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    return items_of(tmp_path_factory.mktemp("two"), {"nut": 19, "bolt": 23})


def batches(shards: list[Shards], plan: Plan, step: int) -> list[Batch]:
    """The batch of a step by shard, each drawn where it is worked on."""
    drawn = {}
    for held in shards:
        for shard, tiles in held.own.items():
            draw = Draw.at(plan.seed, step, shard)
            drawn[shard] = draw_batch(tiles, plan.batch // plan.shards, 0.5, draw.numpy, vary=True)
    return [drawn[shard] for shard in range(plan.shards)]


@pytest.mark.parametrize(("shards", "world"), [(2, 2), (4, 2), (4, 4), (8, 4), (8, 8)])
def test_several_processes_draw_the_batches_that_one_draws(
    two_products: list[Item], shards: int, world: int
) -> None:
    plan = Plan(images=64, batch=16, shards=shards, seed=5)
    alone, together = read_by(1, two_products, plan), read_by(world, two_products, plan)
    for step in (0, 3):
        for one, other in zip(batches(alone, plan, step), batches(together, plan, step), strict=True):
            for field in dataclasses.fields(Batch):
                assert torch.equal(getattr(one, field.name), getattr(other, field.name)), field.name
    for held in together:
        assert np.array_equal(held.sample.pixels, alone[0].sample.pixels)
        assert np.array_equal(held.sample.products, alone[0].sample.products)


def test_every_picture_is_read_once_and_each_process_holds_its_share(
    two_products: list[Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    plain = datasets.read_image

    def counting(path: Path, channels: int | None = None) -> Any:
        read.append(path)
        return plain(path, channels)

    monkeypatch.setattr(datasets, "read_image", counting)
    held = read_by(4, two_products, Plan(images=64, batch=16, shards=4))
    assert Counter(read) == Counter(item.image for item in two_products)
    assert [sum(map(len, one.own.values())) for one in held] == [11, 11, 10, 10]


def test_of_one_shard_everything_is_as_it_was_before_there_were_any(two_products: list[Item]) -> None:
    (held,) = read_by(1, two_products, Plan(images=8))
    whole = as_tiles(two_products, SPEC)
    assert np.array_equal(held.own[0].pixels, whole.pixels)
    assert np.array_equal(held.sample.pixels, whole.pixels)


def test_the_sample_is_of_every_shard_and_knows_products_and_foreground(tmp_path: Path) -> None:
    items = items_of(tmp_path, {"nut": 6, "bolt": 8}, "foreground: bright\n")
    held = read_by(2, items, Plan(images=8, shards=2))
    whole = as_tiles(items, SPEC)
    assert whole.foreground is not None
    for one in held:
        sample = one.sample
        assert sample.foreground is not None
        assert sample.rules == whole.rules
        known = {
            (pixels.tobytes(), int(product), places.tobytes())
            for pixels, product, places in zip(whole.pixels, whole.products, whole.foreground, strict=True)
        }
        shown = {
            (pixels.tobytes(), int(product), places.tobytes())
            for pixels, product, places in zip(sample.pixels, sample.products, sample.foreground, strict=True)
        }
        assert shown == known  # so few that the even sample is all of them


@settings(deadline=None)
@given(
    counts=st.dictionaries(st.sampled_from("abcd"), st.integers(1, 40), min_size=1),
    shards=st.integers(1, 8),
    rng=st.randoms(),
)
def test_pictures_are_dealt_evenly_each_once_and_some_of_every_product_to_each_shard(
    counts: dict[str, int], shards: int, rng: Any
) -> None:
    items = [
        Item(image=Path(f"{product}{number}"), split="train", defect="good", product=product)
        for product, count in counts.items()
        for number in range(count)
    ]
    rng.shuffle(items)
    if shards > 1 and min(counts.values()) < FEWEST * shards:
        with pytest.raises(ProcessesError, match=r"too few for . shards.*fewer --shards"):
            deal(items, shards)
        return
    dealt = deal(items, shards)
    assert sorted(item.image for some in dealt for item in some) == sorted(item.image for item in items)
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1
    for some in dealt:
        own = Counter(item.product for item in some)
        for product, count in counts.items():
            assert own[product] in (count // shards, -(-count // shards))
