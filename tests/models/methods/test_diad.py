"""DiAD restores from noise, guided only at the bottleneck; its trunk learns nothing from the guided loss."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.data.batches import draw_batch, to_images
from models.methods.diad import (
    PRESETS,
    DiAD,
    GuidedUNet,
    adapted,
    build,
    countdown_from,
    pooled_maximum,
)
from models.parts.maps import cosine_distance
from tests.models.methods.stand_ins import batch, generator, images, stirred
from tests.models.tiny import as_tiles, scratched, woven

NANO = PRESETS["nano"]


def model(seed: int = 0, **changes: Any) -> DiAD:
    """A nano model with an imagined training."""
    torch.manual_seed(seed)
    made = build(dataclasses.replace(NANO, **changes)).eval()
    made.fit_statistics(images(8))
    stirred(made.net, seed)
    return made


def of_trunk_encoder(net: GuidedUNet) -> list[nn.Parameter]:
    trunk = net.trunk
    parts = (trunk.time, trunk.stem, trunk.down, trunk.shrink, trunk.middle)
    return [parameter for part in parts for parameter in part.parameters()]


def of_trunk_decoder(net: GuidedUNet) -> list[nn.Parameter]:
    trunk = net.trunk
    parts = (trunk.grow, trunk.up, trunk.head_norm, trunk.head)
    return [parameter for part in parts for parameter in part.parameters()]


def test_the_guided_loss_trains_the_decoder_and_the_guide_but_no_encoder_of_the_trunk() -> None:
    made = model()
    made.loss(batch(images()), generator())["guided"].backward()
    assert all(parameter.grad is None for parameter in of_trunk_encoder(made.net))
    trained = [*of_trunk_decoder(made.net), *made.net.guide.parameters()]
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in trained)


def test_the_trunk_s_own_loss_trains_its_encoder_but_no_guide() -> None:
    made = model()
    made.loss(batch(images()), generator())["trunk"].backward()
    assert all(
        parameter.grad is not None and parameter.grad.any() for parameter in of_trunk_encoder(made.net)
    )
    assert all(parameter.grad is None for parameter in made.net.guide.parameters())


def test_training_and_inspection_ask_the_same_network() -> None:
    made = model()
    x, t = torch.randn(2, 16, 16, 16, generator=generator()), torch.tensor([3, 700])
    hint = torch.randn(2, 16, 16, 16, generator=generator(1))
    with torch.no_grad():
        assert torch.equal(made.net.answers(x, t, hint)["guided"], made.net(x, t, hint))


def test_the_hint_reaches_the_answer_only_through_the_bottleneck() -> None:
    made = model()
    x, t = torch.randn(2, 16, 16, 16, generator=generator()), torch.tensor([3, 700])
    hint = torch.randn(2, 16, 16, 16, generator=generator(1))
    shapes: list[torch.Size] = []
    made.net.guide.register_forward_hook(lambda _module, _given, answer: shapes.append(answer.shape))
    with torch.no_grad():
        heard, other = made.net(x, t, hint), made.net(x, t, hint + 1)
        made.net.guide.register_forward_hook(lambda _module, _given, answer: torch.ones_like(answer))
        deaf, still = made.net(x, t, hint), made.net(x, t, hint + 1)
    assert set(shapes) == {torch.Size((2, 24, 8, 8))}
    assert not torch.equal(heard, other)
    assert torch.equal(deaf, still)


def test_an_untrained_guide_changes_nothing() -> None:
    torch.manual_seed(0)
    net = GuidedUNet(16, (16, 24)).eval()
    nn.init.normal_(net.trunk.head.weight)
    x, t = torch.randn(2, 16, 16, 16, generator=generator()), torch.tensor([3, 700])
    with torch.no_grad():
        assert torch.equal(net(x, t, 1 - x), net.trunk(x, t))
        assert net.trunk(x, t).any()


@pytest.mark.parametrize("answers", ["noise", "clean"])
def test_a_perfect_answer_has_no_loss_and_restores_the_very_part(answers: str) -> None:
    made = model(answers=answers, steps=4)
    good = images(4)
    z = made.codec.encode(good)

    class Knows(nn.Module):
        def forward(self, x: Tensor, t: Tensor, hint: Tensor) -> Tensor:
            return made.schedule.residual(x, hint, t) if answers == "noise" else hint

        def answers(self, x: Tensor, t: Tensor, hint: Tensor) -> dict[str, Tensor]:
            return {"guided": self(x, t, hint)}

    made.net = Knows()
    assert made.loss(batch(good), generator())["guided"].item() < 1e-6
    assert torch.allclose(made.codec.decode(z), good, atol=1e-4)
    assert torch.allclose(made.restore(good, generator()), good, atol=1e-3)


def test_the_restoration_starts_at_the_level_at_which_noise_was_added() -> None:
    made = model(start=600, steps=3)
    asked: list[tuple[Tensor, int]] = []

    class Remembers(nn.Module):
        def forward(self, x: Tensor, t: Tensor, hint: Tensor) -> Tensor:
            asked.append((x, int(t[0])))
            return torch.zeros_like(x)

    made.net = Remembers()
    good = images()
    made.restore(good, generator(5))
    noise = torch.randn(1, 16, 16, 16, generator=generator(5))
    noised = made.schedule.mix(made.codec.encode(good), noise.expand(2, -1, -1, -1), torch.tensor([600, 600]))
    assert [t for _, t in asked] == [600, 300, 0]
    assert torch.equal(asked[0][0], noised)


def test_steps_are_even_from_the_start_to_0_and_a_single_one_is_the_start() -> None:
    assert countdown_from(999, 10) == [999, 888, 777, 666, 555, 444, 333, 222, 111, 0]
    assert countdown_from(999, 1) == [999]
    assert all(a > b for a, b in itertools.pairwise(countdown_from(700, 9)))


def test_a_picture_is_judged_alike_wherever_it_is_in_a_batch_and_whatever_its_product() -> None:
    made = model()
    three = images(3)
    one = made.inspect(three, generator(7), torch.tensor([0, 1, 2]))
    turned = made.inspect(three.flip(0), generator(7))
    alone = made.inspect(three[1:2], generator(7))
    assert torch.equal(one.map, turned.map.flip(0))
    assert torch.equal(one.score, turned.score.flip(0))
    assert torch.allclose(one.image[1:2], alone.image, atol=0.02)
    assert torch.allclose(one.score[1:2], alone.score, atol=0.02)


def test_inspecting_twice_gives_the_same_bits_and_other_seeds_do_not() -> None:
    made = model()
    one, two, other = (made.inspect(images(), generator(seed)) for seed in (7, 7, 8))
    assert torch.equal(one.image, two.image)
    assert torch.equal(one.map, two.map)
    assert torch.equal(one.score, two.score)
    assert not torch.equal(one.image, other.image)


def test_equal_seeds_give_equal_losses_and_others_do_not() -> None:
    made = model()
    one, same, other = (made.loss(batch(images()), generator(seed))["guided"].item() for seed in (1, 1, 2))
    assert one == same != other


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("preset", ["nano", "edge"])
def test_presets_take_mono_and_colour(preset: str, channels: int) -> None:
    made = build(adapted(PRESETS[preset], channels=channels, products=2, weights=None)).eval()
    found = made.inspect(images(1, channels), generator())
    assert found.image.shape == (1, channels, 64, 64)
    assert found.map.shape == (1, 1, 64, 64)
    assert found.score.shape == (1,)
    assert found.map.dtype == found.image.dtype == torch.float32


def test_a_part_that_is_its_own_restoration_has_no_evidence() -> None:
    made = model()
    made.restore = lambda images, rng: images
    found = made.inspect(images(), generator())
    assert found.map.abs().max() < 1e-3
    assert found.score.abs().max() < 1e-3


def test_the_map_is_the_blurred_sum_of_cosine_distances_over_three_levels() -> None:
    made = model()
    levels = [torch.zeros(2, 4, side, side) for side in (16, 8, 4)]
    for level in levels:
        level[:, 0] = 1
        level[1, :2, :, : level.shape[3] // 2] = torch.tensor([0.0, 1.0]).view(2, 1, 1)  # at right angles

    class Levels(nn.Module):
        def forward(self, x: Tensor) -> list[Tensor]:
            return [level[:1] if x.mean() > 0 else level[1:] for level in levels]

    made.features = Levels()
    distance = made.distance(torch.ones(1, 1, 64, 64), -torch.ones(1, 1, 64, 64))
    assert cosine_distance(levels[0][:1], levels[0][1:]).mean().item() == pytest.approx(0.5, abs=1e-3)
    assert torch.allclose(distance[..., :16], torch.tensor(3.0), atol=1e-2)
    assert torch.allclose(distance[..., 48:], torch.tensor(0.0), atol=1e-2)
    assert distance[0, 0, 0, 31:33].mean().item() == pytest.approx(1.5, abs=0.1)


def test_the_score_is_the_maximum_after_eight_pools_that_follow_the_picture_s_size() -> None:
    maps = torch.rand(2, 1, 256, 256, generator=generator())
    pooled = maps
    for _ in range(8):
        pooled = F.avg_pool2d(pooled, 8, 1)
    assert pooled.shape[-1] == 200
    assert torch.allclose(pooled_maximum(maps), pooled.amax((1, 2, 3)))
    spot = torch.zeros(1, 1, 64, 64)
    spot[..., 30:34, 30:34] = 1
    large = F.interpolate(spot, scale_factor=4.0)
    assert pooled_maximum(spot).item() == pytest.approx(pooled_maximum(large).item(), rel=0.15)


@pytest.mark.slow
def test_a_short_training_lowers_both_losses_and_tells_planted_defects() -> None:
    rng = np.random.default_rng(0)
    woven_tiles = np.stack([woven(rng)[8:72, 8:72] for _ in range(64)])
    tiles = as_tiles(woven_tiles)
    torch.manual_seed(0)
    made = build(NANO)
    made.fit_statistics(tiles.sample(64))
    optimiser = torch.optim.AdamW(made.net.parameters(), lr=2e-3)
    losses = []
    for step in range(60):
        terms = made.loss(draw_batch(tiles, 8, 0.0, rng), generator(step))
        optimiser.zero_grad()
        sum(terms.values()).backward()
        optimiser.step()
        losses.append([terms["trunk"].item(), terms["guided"].item()])
    assert (np.mean(losses[-10:], 0) < 0.75 * np.mean(losses[:10], 0)).all()
    good = np.stack([woven(rng)[8:72, 8:72] for _ in range(6)])
    bad = np.stack([scratched(woven(rng), rng)[0][8:72, 8:72] for _ in range(6)])
    made.eval()
    scores = [made.inspect(to_images(part), generator(1)).score for part in (good, bad)]
    assert scores[1].mean() > scores[0].mean() + 2 * scores[0].std()
