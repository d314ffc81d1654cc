"""What holds for every method: shapes, randomness, learning, and finding a planted defect."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.data.batches import Tiles, draw_batch, to_images
from models.methods import METHODS
from models.methods.method import Restoration
from models.parts.batch import Batch
from tests.models.tiny import as_tiles, woven

pytestmark = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)

STEPS = 120


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tiles(count: int, seed: int = 0) -> Tiles:
    rng = np.random.default_rng(seed)
    pixels = np.stack([woven(rng)[:64, :64] for _ in range(count)])
    return as_tiles(pixels)


def new(method: ModuleType, channels: int = 1, products: int = 1) -> Any:
    torch.manual_seed(0)
    config = method.adapted(method.PRESETS["nano"], channels=channels, products=products, weights=None)
    return method.build(config)


@functools.cache
def ready(method: ModuleType, channels: int = 1, products: int = 1) -> Any:
    """Untrained and never to be changed, with its statistics, and a last layer that answers something."""
    model = new(method, channels, products)
    good = to_images(np.repeat(tiles(8).pixels, channels, axis=3))
    model.fit_statistics(good)
    rng = generator(5)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d) and module.weight.requires_grad and not module.weight.any():
                module.weight.copy_(torch.randn(module.weight.shape, generator=rng) * 0.05)
    model.fit_evidence(good, generator())
    return model.eval().requires_grad_(False)


def batch_of(count: int, spoilt_share: float, seed: int = 0) -> Batch:
    return draw_batch(tiles(8), count, spoilt_share, np.random.default_rng(seed))


def trained(
    method: ModuleType,
    source: Tiles,
    steps: int,
    draw: Callable[[int, float], Batch] | None = None,
    until: Callable[[Any], bool] | None = None,
) -> Any:
    """After a short training on what `draw` gives for a step, by default batches of `source`.

    It ends early where `until` says so of the model, which is asked every twentieth step.
    """
    model = new(method)
    model.fit_statistics(source.sample(len(source)))
    optimiser = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=2e-3)
    model.train()
    for step in range(steps):
        if draw is None:
            batch = draw_batch(source, 8, model.spoilt_share, np.random.default_rng(step))
        else:
            batch = draw(step, model.spoilt_share)
        loss = total(model, batch, step)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if until is not None and step % 20 == 19 and until(model):
            break
    model.eval().requires_grad_(False)
    model.fit_evidence(source.sample(len(source)), generator())
    return model


def total(model: Any, batch: Batch, seed: int) -> Tensor:
    return torch.stack(list(model.loss(batch, generator(seed)).values())).sum()


def judged(model: Any, seed: int) -> tuple[Restoration, Restoration]:
    """What the model makes of six parts, good and with a planted defect."""
    good = to_images(tiles(6, seed).pixels)
    return model.inspect(good, generator()), model.inspect(planted(good), generator())


def planted(good: Tensor) -> Tensor:
    """A dark square on each picture."""
    defective = good.clone()
    defective[..., 20:36, 24:40] = -0.9
    return defective


def where(maps: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of the maps inside the planted defect, and far from it."""
    return maps[..., 22:34, 26:38].mean(), maps[..., 46:, :].mean()


@pytest.mark.parametrize("channels", [1, 3])
def test_it_gives_a_restoration_a_map_and_a_score_for_every_picture(
    method: ModuleType, channels: int
) -> None:
    pictures = to_images(np.repeat(tiles(3).pixels, channels, axis=3))
    found = ready(method, channels).inspect(pictures, generator())
    assert found.image.shape == pictures.shape
    assert found.map.shape == (3, 1, 64, 64)
    assert found.score.shape == (3,)
    for one in (found.image, found.map, found.score):
        assert one.dtype == torch.float32
        assert torch.isfinite(one).all()
        assert not one.requires_grad


def test_equal_seeds_give_equal_bits_and_losses(method: ModuleType) -> None:
    model, pictures = ready(method), to_images(tiles(2).pixels)
    one, same = (model.inspect(pictures, generator(3)) for _ in range(2))
    assert all(
        torch.equal(getattr(one, field.name), getattr(same, field.name)) for field in dataclasses.fields(one)
    )
    batch = batch_of(4, model.spoilt_share)
    first, again, other = (
        {name: term.item() for name, term in model.loss(batch, generator(seed)).items()} for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_a_picture_s_result_does_not_depend_on_its_neighbours(method: ModuleType) -> None:
    model, pictures = ready(method), to_images(tiles(4).pixels)
    pictures[2] = planted(pictures[2])
    together = model.inspect(pictures, generator())
    for index in range(4):
        alone = model.inspect(pictures[index : index + 1], generator())
        assert torch.allclose(together.map[index], alone.map[0], atol=2e-3)
        assert torch.allclose(together.image[index], alone.image[0], atol=2e-2)


def test_no_random_number_comes_from_elsewhere(method: ModuleType) -> None:
    model, pictures = ready(method), to_images(tiles(2).pixels)
    batch = batch_of(4, model.spoilt_share)
    torch.manual_seed(1)
    one, loss = model.inspect(pictures, generator()), model.loss(batch, generator())
    torch.manual_seed(2)
    two, again = model.inspect(pictures, generator()), model.loss(batch, generator())
    assert torch.equal(one.map, two.map)
    assert all(torch.equal(loss[name], again[name]) for name in loss)


@pytest.mark.slow
def test_it_overfits_one_picture(method: ModuleType) -> None:
    only = tiles(1)
    picture = only.sample(1).expand(8, -1, -1, -1)

    def same(_: int, spoilt_share: float) -> Batch:
        seen = picture.clone()
        defective = round(8 * spoilt_share)
        seen[:defective] = planted(picture[:defective])
        mask = (seen != picture).float()
        return Batch(clean=picture, seen=seen, mask=mask, products=torch.zeros(8, dtype=torch.long))

    def mean_loss(model: Any) -> float:
        with torch.no_grad():
            return (
                sum(total(model, same(0, model.spoilt_share), seed).item() for seed in range(900, 912)) / 12
            )

    before = mean_loss(trained(method, only, 0))

    def has_learned(model: Any) -> bool:
        model.eval()
        loss = mean_loss(model)
        model.train()
        return loss < 0.5 * before

    assert mean_loss(trained(method, only, STEPS, same, until=has_learned)) < 0.6 * before


@pytest.mark.slow
def test_a_planted_defect_scores_above_good_parts(method: ModuleType) -> None:
    """Of parts that training is not asked about; it ends where others show theirs clearly."""
    source = tiles(16)

    def shows(model: Any) -> bool:
        asked = copy.deepcopy(model).eval().requires_grad_(False)
        asked.fit_evidence(source.sample(len(source)), generator())
        fine, bad = judged(asked, seed=8)
        inside, outside = where(bad.map)
        return bool(bad.score.min() > 1.2 * fine.score.max() and inside > 1.2 * outside)

    fine, bad = judged(trained(method, source, STEPS, until=shows), seed=9)
    assert bad.score.min() > fine.score.median()
    assert bad.score.mean() > fine.score.max()
    inside, outside = where(bad.map)
    assert inside > outside


def test_the_loss_reaches_every_parameter_that_is_trained(method: ModuleType) -> None:
    """Over a few steps, since layers that start at zero let nothing through at first."""
    model = new(method, products=2)
    model.fit_statistics(to_images(tiles(8).pixels))
    before = copy.deepcopy(dict(model.named_parameters()))
    trained = [one for one in model.parameters() if one.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=0.01, weight_decay=0.0)
    model.train()
    for step in range(8):
        batch = batch_of(8, model.spoilt_share, seed=step)
        batch = dataclasses.replace(batch, products=torch.arange(8) % 2)
        loss = total(model, batch, step)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    still = [
        name for name, now in model.named_parameters() if now.requires_grad and torch.equal(now, before[name])
    ]
    assert not [name for name in still if not name.endswith("products.weight")]


def test_products_may_be_told_or_not(method: ModuleType) -> None:
    model, pictures = ready(method, products=3), to_images(tiles(2).pixels)
    untold = model.inspect(pictures, generator())
    told = model.inspect(pictures, generator(), torch.tensor([0, 2]))
    assert untold.map.shape == told.map.shape
    assert torch.isfinite(told.map).all()


def test_a_state_dict_is_the_whole_model(method: ModuleType) -> None:
    model, pictures = ready(method), to_images(tiles(2).pixels)
    other = new(method)
    other.load_state_dict(model.state_dict())
    assert torch.equal(
        model.inspect(pictures, generator()).map, other.eval().inspect(pictures, generator()).map
    )


def test_it_offers_the_three_presets_and_the_five_sections(method: ModuleType) -> None:
    assert set(method.PRESETS) == {"nano", "edge", "paper"}
    said = " ".join(str(method.__doc__).split())
    assert "What we changed" in said
    assert "not claimed for ours" in said
    assert "arXiv" in said
    lines = Path(str(method.__file__)).read_text().splitlines()
    assert 150 <= len(lines) <= 320
