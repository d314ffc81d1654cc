"""Which process reads and holds which pictures: each shard of a batch draws from pictures of its own.

A share belongs to the shard and not to the process that works on it, so one process, which holds all shards,
draws the batches that several draw, and nothing is exchanged while they train.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from agent.bundle.bundle import InputSpec
from models.data.batches import Tiles, as_tiles
from models.data.datasets import Item
from models.stages import SILENT, Stages
from models.training.fit import ProcessesError, own_shards
from models.training.plans import Plan

if TYPE_CHECKING:
    from lightning_fabric import Fabric

FEWEST = 2  # pictures of a product in a shard: what is pasted onto one comes from another
SAMPLED = 1024  # tiles of all shards together that every process holds


@dataclass(frozen=True, kw_only=True)
class Shards:
    """The good tiles of a run, as far as this process holds them."""

    own: Mapping[int, Tiles]  # by the shard that draws from them
    sample: Tiles  # for statistics: of all shards evenly, the same in each process; of a single one all of it


def deal(items: Sequence[Item], shards: int) -> list[list[Item]]:
    """Each picture to one shard, neighbours to different ones. Raises ProcessesError for too few."""
    counts = Counter(item.product for item in items)
    fewest = min(counts, key=lambda name: counts[name])
    if shards > 1 and counts[fewest] < FEWEST * shards:
        raise ProcessesError(
            f"{fewest}: {counts[fewest]} good parts to train on are too few for {shards} shards, "
            f"each of which needs {FEWEST} of its own; give more good parts or fewer --shards"
        )
    ordered = sorted(items, key=lambda item: item.product)
    return [ordered[shard::shards] for shard in range(shards)]


def read_shards(
    items: Sequence[Item], spec: InputSpec, plan: Plan, fabric: Fabric, stages: Stages = SILENT
) -> Shards:
    """The pictures of this process's shards; a sample goes round once. Raises what `deal` does, DataError."""
    dealt = deal(items, plan.shards)
    own = {shard: as_tiles(dealt[shard], spec, stages) for shard in own_shards(plan, fabric)}
    if plan.shards == 1:
        return Shards(own=own, sample=own[0])
    given = {shard: tiles.thinned(SAMPLED // plan.shards) for shard, tiles in own.items()}
    sent = [
        fabric.broadcast(_arrays(given.get(shard)), src=shard % fabric.world_size)
        for shard in range(plan.shards)
    ]
    pixels, products, places = zip(*sent, strict=True)
    whole = replace(
        next(iter(own.values())),
        pixels=np.concatenate(pixels),
        products=np.concatenate(products),
        foreground=None if places[0] is None else np.concatenate(places),
    )
    return Shards(own=own, sample=whole)


def _arrays(tiles: Tiles | None) -> tuple[object, ...] | None:
    """What differs between shards; rules and textures every process has read itself."""
    return None if tiles is None else (tiles.pixels, tiles.products, tiles.foreground)
