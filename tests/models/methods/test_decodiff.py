"""DeCo-Diff corrects the deviation from normality: what it hides, what it answers, how answers are summed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from models.methods import METHODS
from models.methods.decodiff import (
    PRESETS,
    DeCoDiff,
    adapted,
    build,
    deviation_net,
)
from models.parts.schedule import cosine
from models.parts.weights import WeightsError
from tests.models.methods.stand_ins import Remembered, batch, generator, images

NANO = PRESETS["nano"]
SEEDS = st.integers(0, 2**31)
CELLS = st.sampled_from([1, 2, 4, 8])


def latents(seed: int = 0) -> Tensor:
    return torch.randn(3, 5, 16, 16, generator=generator(seed))


class Trained(nn.Module):
    """Stands for a trained network: a fixed answer that depends on the latent and on t."""

    def forward(self, x: Tensor, t: Tensor, products: Tensor | None = None) -> Tensor:
        return torch.tanh(x.roll(1, 2)) * (0.2 + 0.05 * t.view(-1, 1, 1, 1))


def test_training_asks_for_the_residual_where_hidden_and_for_zero_elsewhere() -> None:
    model = build(NANO)
    good = images(4)
    model.fit_statistics(good)
    model.net = Remembered()
    loss = model.loss(batch(good), generator(3))["deviation"]
    (z_t, t), z = model.net.asked[0], model.codec.encode(good)
    target = (z_t - z) / cosine(10).noise[t].view(-1, 1, 1, 1)
    untouched = (z_t == z).all(1, keepdim=True).expand_as(z)
    assert untouched.any()
    assert not untouched.all()
    assert (target[untouched] == 0).all()
    assert torch.allclose(loss, target.square().mean())


def test_a_perfect_answer_has_no_loss() -> None:
    model = build(NANO)
    good = images(4)

    class Knows(nn.Module):
        def forward(self, x: Tensor, t: Tensor, products: Tensor) -> Tensor:
            return model.deviation.residual(x, model.codec.encode(good), t)

    model.net = Knows()
    assert model.loss(batch(good), generator(5))["deviation"].item() < 1e-9


def test_equal_seeds_give_equal_losses_and_others_do_not() -> None:
    model = build(NANO)
    good = images(4)
    one, same, other = (model.loss(batch(good), generator(seed))["deviation"].item() for seed in (1, 1, 2))
    assert one == same != other


@pytest.mark.parametrize("preset", ["nano", "edge"])
def test_an_untrained_net_restores_the_input_and_finds_nothing(preset: str) -> None:
    model = build(PRESETS[preset]).eval()
    good = images()
    model.fit_statistics(good)
    found = model.inspect(good, generator())
    assert torch.allclose(found.image, good, atol=1e-5)
    assert (found.map == 0).all()
    assert (found.score == 0).all()


@given(seed=SEEDS)
def test_the_correction_is_the_sum_with_the_published_weights(seed: int) -> None:
    model = DeCoDiff(NANO, build(NANO).codec)
    model.net = Trained()
    start = torch.randn(2, 16, 16, 16, generator=generator(seed))
    z = start.clone()
    for t, weight in zip((8, 6, 4, 2, 0), (0.09520, 0.18123, 0.24983, 0.29456, 0.16705), strict=True):
        z = z - weight * model.net(z, torch.full((2,), t))
    assert torch.allclose(model.correct(start), z, atol=1e-4)


def test_one_step_restoration_has_its_timestep_baked_in() -> None:
    model = build(dataclasses.replace(NANO, correction_steps=1))
    model.net = Trained()
    z = model.codec.encode(images())
    expected = z - 0.98788 * model.net(z, torch.full((2,), 8))
    assert torch.allclose(model.correct(z), expected, atol=1e-4)


def test_inspecting_twice_gives_the_same_bits() -> None:
    model = build(NANO).eval()
    model.net = Trained()
    one, two = (model.inspect(images(), generator(7)) for _ in range(2))
    assert torch.equal(one.image, two.image)
    assert torch.equal(one.map, two.map)
    assert torch.equal(one.score, two.score)


def test_maps_are_between_0_and_1_at_the_picture_s_size() -> None:
    model = build(NANO).eval()
    model.net = Trained()
    found = model.inspect(images(), generator())
    assert found.map.shape == (2, 1, 64, 64)
    assert 0 <= float(found.map.min()) < float(found.map.max()) <= 1 + 1e-6
    assert torch.allclose(found.score, found.map.flatten(1).sort(1).values[:, -NANO.top :].mean(1))


def test_clips_are_taken_from_good_parts() -> None:
    model = build(NANO).eval()
    model.net = Trained()
    model.fit_evidence(images(4), generator())
    z = model.codec.encode(images(4))
    latent = (model.correct(z) - z).abs().mean(1).flatten().sort().values
    assert float(model.latent_clip) == pytest.approx(float(latent[round(0.995 * len(latent)) - 1]))
    assert float(model.pixel_clip) != pytest.approx(0.4)


def test_a_network_that_corrects_nothing_finds_nothing_with_learned_clips() -> None:
    model = build(NANO).eval()  # untrained: it answers 0
    model.fit_evidence(images(4), generator())
    found = model.inspect(images(), generator())
    assert (found.map == 0).all()
    assert (found.score == 0).all()


def test_the_published_clips_are_kept_and_no_product_is_hidden() -> None:
    paper = PRESETS["paper"]
    assert (paper.learned_clips, paper.nameless) == (False, 0.0)
    model = DeCoDiff(dataclasses.replace(NANO, learned_clips=False), build(NANO).codec).eval()
    model.net = Trained()
    model.fit_evidence(images(4), generator())
    assert (float(model.pixel_clip), float(model.latent_clip)) == (pytest.approx(0.4), pytest.approx(0.2))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("preset", ["nano", "edge"])
def test_presets_take_mono_and_colour(preset: str, channels: int) -> None:
    model = build(adapted(PRESETS[preset], channels=channels, products=1, weights=None)).eval()
    assert model.inspect(images(1, channels), generator()).image.shape == (1, channels, 64, 64)


def test_the_published_net_has_the_published_size() -> None:
    with torch.device("meta"):
        net = deviation_net(PRESETS["paper"])
    assert sum(parameter.numel() for parameter in net.parameters()) == 394_991_876


def test_the_published_net_keeps_the_latent_s_shape_with_and_without_a_class() -> None:
    small = dataclasses.replace(PRESETS["paper"], widths=(32, 64, 64), context=16)
    net = deviation_net(small).eval()
    z, t = torch.randn(2, 4, 16, 16, generator=generator()), torch.tensor([0, 9])
    with torch.no_grad():
        assert net(z, t).shape == z.shape
        assert net(z, t, torch.tensor([0, 14])).shape == z.shape


def test_timesteps_follow_the_latents_to_their_device() -> None:
    with torch.device("meta"):
        net = deviation_net(dataclasses.replace(PRESETS["paper"], widths=(32, 64, 64), context=16))
        z = torch.randn(2, 4, 16, 16)
    assert net(z, torch.tensor([0, 9])).device.type == "meta"


def test_the_published_codec_s_absence_says_what_to_download(tmp_path: Path) -> None:
    config = dataclasses.replace(PRESETS["paper"], codec_path=str(tmp_path / "vae"))
    with pytest.raises(
        WeightsError, match=r"vae: no config\.json .* download the folder of stabilityai/sd-vae-ft-ema"
    ):
        build(config)


def test_every_method_offers_the_same_presets() -> None:
    for method in METHODS.values():
        assert set(method.PRESETS) == {"nano", "edge", "paper"}
        assert isinstance(method.build(method.PRESETS["nano"]), nn.Module)
