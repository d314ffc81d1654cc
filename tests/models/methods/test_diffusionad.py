"""DiffusionAD restores in one step from two noise levels, and a segmenter judges the blend of the two."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from models.data.batches import draw_batch, to_images
from models.methods.diffusionad import (
    PRESETS,
    DiffusionAD,
    DiffusionADConfig,
    adapted,
    build,
    denoiser,
    top_count,
)
from models.parts.batch import Batch
from models.parts.weights import WeightsError
from models.training.fit import fit, new_fabric
from models.training.plans import NANO as NANO_PLAN
from models.training.plans import TEACHERS
from tests.models.methods.stand_ins import Remembered, generator, images, stirred
from tests.models.tiny import as_tiles, scratched, woven

NANO = PRESETS["nano"]
SMALL_PUBLISHED = dataclasses.replace(PRESETS["paper"], widths=(32, 32, 64, 64), segmenter_widths=(8, 16))
SEEDS = st.integers(0, 2**31)


def batch(seen: Tensor, spoilt: tuple[int, ...] = ()) -> Batch:
    """Pictures of which those in `spoilt` have a defect in a corner."""
    mask = torch.zeros_like(seen[:, :1])
    for index in spoilt:
        mask[index, :, :9, :9] = 1
    return Batch(clean=seen, seen=seen, mask=mask, products=torch.zeros(len(seen), dtype=torch.long))


def shaken(config: DiffusionADConfig) -> DiffusionAD:
    """With weights that answer something, as training would leave them."""
    torch.manual_seed(0)
    model: DiffusionAD = stirred(build(config), seed=5)
    return model.eval()


class Fixed(nn.Module):
    """Answers the same whatever it is asked."""

    def __init__(self, answer: Tensor) -> None:
        super().__init__()
        self.answer = nn.Parameter(answer)

    def forward(self, *asked: Tensor) -> Tensor:
        return self.answer


def test_the_schedule_has_the_published_constants() -> None:
    schedule = build(NANO).schedule
    assert schedule.signal[200].square().item() == pytest.approx(0.656347, abs=1e-6)
    assert schedule.signal[400].square().item() == pytest.approx(0.193572, abs=1e-6)
    assert schedule.noise[200].square().item() == pytest.approx(0.343653, abs=1e-6)
    config = PRESETS["paper"]
    assert (config.fine_at, config.coarse_at, config.guidance) == (200, 400, 1.0)


@given(seed=SEEDS, t_s=st.integers(0, 299), t_b=st.integers(300, 999), guidance=st.floats(0, 2))
def test_the_blend_is_norm_guidance(seed: int, t_s: int, t_b: int, guidance: float) -> None:
    model = shaken(dataclasses.replace(NANO, widths=(8, 8), guidance=guidance))
    schedule, t = model.schedule, torch.tensor([t_s, t_s, t_b, t_b])
    noise = torch.randn(4, 1, 16, 16, generator=generator(seed))
    x_t = schedule.mix(images(2, seed=seed)[..., :16, :16].repeat(2, 1, 1, 1), noise, t)
    with torch.no_grad():
        answer = 3 * model.denoiser(x_t, t)
    (x_s, x_b), (eps_s, eps_b) = x_t.chunk(2), answer.chunk(2)
    (s_s, s_b), (n_s, n_b) = schedule.signal[[t_s, t_b]], schedule.noise[[t_s, t_b]]
    coarse = ((x_b - n_b * eps_b) / s_b).clamp(-1, 1)
    again = s_s * coarse + n_s * eps_s
    eps = eps_s - n_s * guidance * (again - x_s)
    expected = ((x_s - n_s * eps) / s_s).clamp(-1, 1)
    assert torch.allclose(model.guided(x_t, answer, t), expected, atol=1e-5)


@pytest.mark.parametrize("coarse_below", [600, 1000])
def test_training_asks_once_for_both_noise_levels_of_every_picture(coarse_below: int) -> None:
    model = build(dataclasses.replace(NANO, coarse_below=coarse_below))
    model.denoiser = net = Remembered()
    for seed in range(20):
        model.loss(batch(images(8)), generator(seed))
    assert [x.shape for x, _ in net.asked] == [(16, 1, 64, 64)] * 20
    fine, coarse = torch.stack([t for _, t in net.asked]).chunk(2, 1)
    assert 0 <= fine.min() < 20
    assert 280 < fine.max() < 300
    assert 300 <= coarse.min() < 320
    assert coarse_below - 40 < coarse.max() < coarse_below


def test_the_noise_loss_is_that_of_the_good_pictures() -> None:
    model = build(NANO)
    model.denoiser = net = Remembered()
    seen = images(4)
    loss = model.loss(batch(seen, spoilt=(1, 2)), generator(3))["noise"]
    x_t, t = net.asked[0]
    target = model.schedule.residual(x_t, seen.repeat(2, 1, 1, 1), t)
    small, big = target.square().mean((1, 2, 3)).chunk(2)
    assert loss.item() == pytest.approx((small + big)[[0, 3]].mean().item(), rel=1e-5)
    assert (small + big)[[1, 2]].mean().item() != pytest.approx(loss.item(), rel=1e-5)


def test_a_batch_without_a_good_picture_has_no_noise_loss() -> None:
    loss = build(NANO).loss(batch(images(3), spoilt=(0, 1, 2)), generator())
    assert loss["noise"] == 0
    assert loss["mask"] > 0


def test_a_perfect_answer_has_no_noise_loss_and_restores_the_picture() -> None:
    model, seen = build(NANO), images(4)

    class Knows(nn.Module):
        def forward(self, x: Tensor, t: Tensor) -> Tensor:
            return model.schedule.residual(x, seen.repeat(2, 1, 1, 1), t)

    model.denoiser = Knows()
    assert model.loss(batch(seen), generator(5))["noise"].item() < 1e-9
    assert torch.allclose(model.eval().inspect(seen, generator()).image, seen, atol=1e-5)


def test_the_mask_loss_is_the_published_sum() -> None:
    model = build(NANO).eval()
    model.denoiser = Fixed(torch.zeros(8, 1, 64, 64))
    logits = torch.linspace(-3, 3, 4 * 64 * 64).view(4, 1, 64, 64)
    model.segmenter = Fixed(logits)
    whole = batch(images(4), spoilt=(0, 2))
    entropy = F.binary_cross_entropy_with_logits(logits, whole.mask, reduction="none")
    focal = (0.5 * (1 - torch.exp(-entropy)) ** 4 * entropy).mean()
    difference = (torch.sigmoid(logits) - whole.mask).abs()
    expected = 5 * focal + (difference.square() / 2).mean()
    assert model.loss(whole, generator())["mask"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_mask_loss_reaches_the_denoiser_through_both_levels_of_every_picture() -> None:
    model = build(NANO)
    model.denoiser = net = Fixed(torch.zeros(8, 1, 64, 64))
    model.loss(batch(images(4), spoilt=(1, 2)), generator())["mask"].backward()
    assert net.answer.grad is not None
    assert (net.answer.grad.abs().flatten(1).amax(1) > 0).all()


def test_spoilt_pictures_alone_train_the_denoiser_too() -> None:
    model = build(NANO)
    loss = model.loss(batch(images(2), spoilt=(0, 1)), generator())
    sum(loss.values(), torch.zeros(())).backward()
    moved = [one.grad for one in model.denoiser.parameters() if one.grad is not None]
    assert any(gradient.abs().max() > 0 for gradient in moved)


def test_equal_seeds_give_equal_losses_and_others_do_not() -> None:
    model = shaken(NANO)
    whole = batch(images(4), spoilt=(1,))
    one, same, other = (model.loss(whole, generator(seed)) for seed in (1, 1, 2))
    for term in ("noise", "mask"):
        assert one[term].item() == same[term].item() != other[term].item()


@pytest.mark.parametrize("config", [NANO, PRESETS["edge"], SMALL_PUBLISHED], ids=["nano", "edge", "paper"])
def test_an_untrained_denoiser_only_scales_the_noised_picture(config: DiffusionADConfig) -> None:
    model = build(config).eval()
    x_t = torch.randn(2, model.config.channels, 64, 64, generator=generator())
    t = torch.tensor([200, 400])
    with torch.no_grad():
        restored = model.schedule.clean(x_t, model.denoiser(x_t, t), t)
    abar = torch.tensor([0.656347, 0.193572]).view(-1, 1, 1, 1)
    assert torch.allclose(restored, x_t / abar.sqrt(), rtol=1e-5)


def test_inspecting_twice_gives_the_same_bits_and_other_noise_gives_others() -> None:
    model = shaken(NANO)
    one, two, other = (model.inspect(images(), generator(seed)) for seed in (7, 7, 8))
    assert torch.equal(one.image, two.image)
    assert torch.equal(one.map, two.map)
    assert torch.equal(one.score, two.score)
    assert not torch.equal(one.map, other.map)


def test_a_picture_s_result_does_not_depend_on_the_others() -> None:
    model = shaken(dataclasses.replace(NANO, noises=2))
    together = model.inspect(images(3), generator())
    for index in range(3):
        alone = model.inspect(images(3)[index : index + 1], generator())
        assert torch.allclose(alone.image[0], together.image[index], atol=1e-5)
        assert torch.allclose(alone.map[0], together.map[index], atol=1e-5)
        assert torch.allclose(alone.score[0], together.score[index], atol=1e-5)


def test_more_noises_are_averaged() -> None:
    once, thrice = (shaken(dataclasses.replace(NANO, noises=count)) for count in (1, 3))
    rng = generator(4)
    apart = [once.inspect(images(), rng) for _ in range(3)]
    found = thrice.inspect(images(), generator(4))
    assert not torch.allclose(apart[0].map, apart[1].map)
    assert torch.allclose(found.image, torch.stack([one.image for one in apart]).mean(0), atol=1e-6)
    assert torch.allclose(found.map, torch.stack([one.map for one in apart]).mean(0), atol=1e-6)


def test_a_score_is_the_mean_of_as_many_pixels_as_50_are_of_256_by_256() -> None:
    assert [top_count(side, side) for side in (32, 64, 128, 256, 512)] == [5, 5, 12, 50, 200]
    found = shaken(NANO).inspect(images(), generator())
    assert torch.allclose(found.score, found.map.flatten(1).sort(1).values[:, -5:].mean(1))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("preset", ["nano", "edge"])
def test_presets_take_mono_and_colour(preset: str, channels: int) -> None:
    model = shaken(adapted(PRESETS[preset], channels=channels, products=2, weights=None))
    found = model.inspect(images(2, channels), generator(), torch.tensor([0, 1]))
    assert found.image.shape == (2, channels, 64, 64)
    assert found.image.abs().max() <= 1
    assert found.map.shape == (2, 1, 64, 64)
    assert 0 < found.map.min() < found.map.max() < 1
    loss = model.loss(batch(images(2, channels), spoilt=(0,)), generator())
    assert all(torch.isfinite(term) for term in loss.values())


def test_the_published_denoiser_has_the_published_size_and_cost() -> None:
    with torch.device("meta"):
        net = denoiser(PRESETS["paper"])
        x, t = torch.empty(1, 3, 256, 256), torch.tensor([200])
    assert sum(parameter.numel() for parameter in net.parameters()) == 131_654_403
    assert [part.heads for part in net.modules() if isinstance(part, Attention)] == [4] * 16
    with torch.no_grad(), FlopCounterMode(display=False) as cost:
        net(x, t)
    assert cost.get_total_flops() / 1e9 == pytest.approx(563.2, abs=0.05)


def test_the_published_method_is_built_whole() -> None:
    with torch.device("meta"):
        model = build(adapted(PRESETS["paper"], channels=3, products=1, weights=None))
    assert sum(parameter.numel() for parameter in model.parameters()) == 131_654_403 + 28_373_569
    for prefix in TEACHERS["diffusionad", "paper"].rates:
        assert any(name.startswith(prefix) for name, _ in model.named_parameters())


def test_the_published_form_learns_and_judges_like_ours() -> None:
    model = build(SMALL_PUBLISHED)
    loss = model.loss(batch(images(2, 3), spoilt=(0,)), generator())
    sum(loss.values(), torch.zeros(())).backward()
    found = shaken(SMALL_PUBLISHED).inspect(images(2, 3), generator())
    assert found.image.shape == (2, 3, 64, 64)
    assert found.map.shape == (2, 1, 64, 64)


@pytest.mark.parametrize("preset", ["nano", "edge", "paper"])
def test_weights_are_refused_because_none_are_published(preset: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"DiffusionAD has no published weights; leave --weights out"):
        adapted(PRESETS[preset], channels=3, products=1, weights=tmp_path)


@pytest.mark.slow
def test_a_short_training_restores_better_and_scores_planted_defects_above_good_parts(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = np.stack([woven(rng)[:64, :64] for _ in range(24)])
    tiles = as_tiles(pixels)
    torch.manual_seed(0)
    model = build(NANO)
    average = fit(
        model,
        lambda module, count, draw: module.loss(
            draw_batch(tiles, count, model.spoilt_share, draw.numpy), draw.torch
        ),
        dataclasses.replace(NANO_PLAN, images=512),
        tmp_path,
        label="nano",
        fabric=new_fabric(),
    )
    losses = np.genfromtxt(tmp_path / "losses.csv", delimiter=",", names=True)
    assert losses["noise"][-10:].mean() < 0.3 * losses["noise"][:10].mean()
    assert losses["mask"][-10:].mean() < 0.7 * losses["mask"][:10].mean()
    good = [woven(rng) for _ in range(16)]
    bad = [scratched(woven(rng), rng)[0] for _ in range(16)]
    fine, poor = (
        average.inspect(to_images(np.stack([one[:64, :64] for one in some])), generator()).score
        for some in (good, bad)
    )
    assert (poor[:, None] > fine[None]).float().mean() > 0.8
