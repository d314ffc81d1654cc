"""GLAD asks for the good latent, and every picture gets the chain, the step and the fusion of its own."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from models.data.batches import to_images
from models.methods.glad import PRESETS, Glad, adapted, build, fuse, timesteps
from models.parts.defects.anomalies import spoil
from models.parts.maps import nearby_distance, percentile
from models.parts.schedule import cosine, scaled_linear
from tests.models.methods.stand_ins import Remembered, batch, generator, images
from tests.models.tiny import scratched, woven

NANO = PRESETS["nano"]
SEEDS = st.integers(0, 2**31)


def randn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator(seed))


def nano(**changes: Any) -> Glad:
    torch.manual_seed(0)
    model = build(dataclasses.replace(NANO, **changes)).eval()
    model.fit_statistics(images(4))
    return model


class Trained(nn.Module):
    """Stands for a trained network: a fixed answer that depends on the latent and on t."""

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return torch.tanh(x.roll(1, 2)) * (0.2 + t.view(-1, 1, 1, 1) / 1000)


@given(seed=SEEDS, t=st.integers(20, 999), table=st.sampled_from([cosine, scaled_linear]))
def test_the_target_denoises_to_the_good_latent_and_the_other_sign_doubles_the_defect(
    seed: int, t: int, table: Any
) -> None:
    schedule = table(1000)
    z_n, z_m, eps = (randn(seed + k, 2, 4, 8, 8).double() for k in range(3))
    s, n = schedule.signal[t].double(), schedule.noise[t].double()
    step = torch.full((2,), t)
    x_t = schedule.mix(z_m, eps, step)
    target = schedule.residual(x_t, z_n, step)
    assert torch.allclose(target, eps + s / n * (z_m - z_n))
    assert torch.allclose(schedule.clean(x_t, target, step), z_n)
    other_sign = eps - s / n * (z_m - z_n)
    assert torch.allclose(schedule.clean(x_t, other_sign, step), 2 * z_m - z_n)


@pytest.mark.parametrize("blend", [False, True])
def test_training_shows_the_spoilt_latent_and_asks_for_the_good_one(blend: bool) -> None:
    model = nano(blend=blend)
    model.net = Remembered()
    good, seen = images(4), images(4, seed=1)
    loss = model.loss(batch(good, seen), generator(3))["residual"]
    (x_t, t), z_n, z_a = model.net.asked[0], model.codec.encode(good), model.codec.encode(seen)
    share = (t / 1000 if blend else torch.ones(4)).view(-1, 1, 1, 1)
    rng = generator(3)
    assert torch.equal(t, model.schedule.draw(4, rng))
    eps = torch.randn(z_n.shape, generator=rng)
    z_m = share * z_a + (1 - share) * z_n
    s, n = model.schedule.signal[t].view(-1, 1, 1, 1), model.schedule.noise[t].view(-1, 1, 1, 1)
    assert torch.allclose(x_t, s * z_m + n * eps, atol=1e-5)
    snr = (s / n) ** 2
    target = eps + s / n * (z_m - z_n)
    assert loss == pytest.approx(float((snr.clamp_max(5) / snr * target**2).mean()), rel=1e-4)


def test_a_perfect_answer_has_no_loss() -> None:
    model = nano()
    good = images(4)

    class Knows(nn.Module):
        def forward(self, x: Tensor, t: Tensor) -> Tensor:
            return model.schedule.residual(x, model.codec.encode(good), t)

    model.net = Knows()
    assert model.loss(batch(good, images(4, seed=1)), generator(5))["residual"].item() < 1e-9


def test_no_timestep_dominates_the_loss_of_a_defect() -> None:
    model = nano()
    model.net = Remembered()
    good, seen = images(1), images(1, seed=1)
    losses = []
    for t in (0, 10, 100, 400, 900):
        model.schedule = dataclasses.replace(
            cosine(1000), signal=cosine(1000).signal[t : t + 1], noise=cosine(1000).noise[t : t + 1]
        )
        losses.append(model.loss(batch(good, seen), generator())["residual"].item())
    assert max(losses) < 20  # without the weight it is about 50 000 at t = 0


def test_equal_seeds_give_equal_losses_and_others_do_not() -> None:
    model = nano()
    both = batch(images(4), images(4, seed=1))
    one, same, other = (model.loss(both, generator(seed))["residual"].item() for seed in (1, 1, 2))
    assert one == same != other


def test_half_of_the_training_pictures_are_spoilt() -> None:
    assert nano().spoilt_share == 0.5


@pytest.mark.parametrize(
    ("t", "abar"), [(100, 0.8942), (350, 0.5065), (500, 0.2763), (750, 0.0562), (999, 0.0047)]
)
def test_the_published_table_is_stable_diffusion_s(t: int, abar: float) -> None:
    assert float(scaled_linear(1000).signal[t] ** 2) == pytest.approx(abar, abs=5e-5)


@pytest.mark.parametrize(
    ("start", "steps", "first", "second", "fallback", "below"),
    [
        (750, 25, 721, 691, 350, 331),
        (600, 25, 577, 553, 350, 337),
        (850, 25, 817, 783, 350, 341),
        (450, 25, 433, 415, 200, 199),
        (450, 15, 421, 391, 200, 181),
        (650, 25, 625, 599, 350, 339),
        (500, 25, 481, 461, 250, 241),
    ],
)
def test_steps_are_the_published_ones(
    start: int, steps: int, first: int, second: int, fallback: int, below: int
) -> None:
    times = timesteps(start, steps)
    assert len(times) == steps
    assert (times[0], times[1], times[-1]) == (first, second, 1)
    assert len({a - b for a, b in itertools.pairwise(times)}) == 1
    assert next(t for t in times if t < fallback) == below


def test_noise_is_added_at_the_step_that_is_asked_first() -> None:
    model = nano()
    model.net = Remembered()
    z, noise = model.codec.encode(images()), randn(1, 2, 16, 16, 16)
    model.restore(z, noise, torch.tensor(torch.inf))
    x, t = model.net.asked[0]
    assert t.tolist() == [timesteps(NANO.start, NANO.steps)[0]] * 2
    assert torch.allclose(x, model.schedule.mix(z, noise, t))
    assert [int(t[0]) for _, t in model.net.asked] == list(timesteps(NANO.start, NANO.steps))


def test_an_undecided_chain_is_plain_ddim_and_ends_clean() -> None:
    model = nano(fallback=0)
    model.net = Trained()
    z, noise = model.codec.encode(images()), randn(1, 2, 16, 16, 16)
    times = timesteps(NANO.start, NANO.steps)
    x = model.schedule.mix(z, noise, torch.full((2,), times[0]))
    for now, following in itertools.pairwise(times):
        t = torch.full((2,), now)
        x = model.schedule.step(x, model.answer(x, t), t, torch.full((2,), following))
    last = torch.full((2,), times[-1])
    expected = model.schedule.clean(x, model.answer(x, last), last)
    assert torch.allclose(model.restore(z, noise, torch.tensor(torch.inf))[0], expected, atol=1e-4)


@given(seed=SEEDS, t=st.integers(0, 999))
def test_the_input_s_own_path_is_the_input_and_the_error_of_the_answer(seed: int, t: int) -> None:
    schedule = scaled_linear(1000)
    z, eps, e = (randn(seed + k, 2, 4, 8, 8).double() for k in range(3))
    step = torch.full((2,), t)
    own = schedule.clean(schedule.mix(z, eps, step), e, step)
    s, n = schedule.signal[t].double(), schedule.noise[t].double()
    assert torch.allclose(own - z, n / s * (eps - e))


def test_chain_and_input_agree_where_they_share_noise_and_step() -> None:
    model = nano()
    z, noise, t = model.codec.encode(images()), randn(1, 2, 16, 16, 16), torch.full((2,), 400)
    x = model.schedule.mix(z, noise, t)
    with torch.no_grad():
        e = model.net(x, t)
        chain, own = (model.schedule.clean(state, e, t) for state in (x, model.schedule.mix(z, noise, t)))
        assert model.disagreement(own, chain).abs().max() < 1e-4


@given(seed=SEEDS)
def test_a_fusion_is_the_input_where_they_agree_and_the_chain_where_they_do_not(seed: int) -> None:
    own, chain = randn(seed, 2, 4, 8, 8), randn(seed + 1, 2, 4, 8, 8)
    low, high = torch.full((2, 1, 4, 4), -9.0), torch.full((2, 1, 4, 4), 9.0)
    assert torch.allclose(fuse(own, chain, low, 0.05), own, atol=1e-6)
    assert torch.allclose(fuse(own, chain, high, 0.05), chain, atol=1e-6)
    assert torch.allclose(fuse(own, chain, low * 0, 0.05), (own + chain) / 2, atol=1e-6)
    assert torch.allclose(fuse(own, chain, high.bfloat16(), 0.05), chain, atol=1e-6)  # under autocast


def test_a_picture_within_the_threshold_is_set_back_at_the_fallback_and_one_beyond_at_once() -> None:
    model = nano()
    model.net = Trained()
    z, noise = model.codec.encode(images()), randn(1, 2, 16, 16, 16)
    compared: list[int] = []
    inner = model.disagreement

    def counting(own: Tensor, chain: Tensor) -> Tensor:
        compared.append(len(own))
        return inner(own, chain)

    model.disagreement = counting
    times = timesteps(NANO.start, NANO.steps)
    model.restore(z, noise, torch.tensor(torch.inf))
    until = next(index for index, t in enumerate(times) if t < NANO.fallback)
    assert compared == [2] * until  # the first step needs no comparison
    compared.clear()
    model.restore(z, noise, torch.tensor(-1.0))
    assert compared == [2]


def test_every_picture_is_decided_by_its_own_score() -> None:
    model = nano()
    model.net = Trained()
    z, noise = model.codec.encode(images(4)), randn(1, 1, 16, 16, 16).expand(4, -1, -1, -1)
    peaks = model.restore(z, noise, torch.tensor(torch.inf))[1]
    between = peaks.sort().values[1:3].mean()
    alone = torch.cat([model.restore(z[k : k + 1], noise[:1], between)[0] for k in range(4)])
    together = model.restore(z, noise, between)[0]
    kept = model.restore(z, noise, torch.tensor(torch.inf))[0]
    assert torch.allclose(together, alone, atol=1e-3)
    changed = (together - kept).abs().flatten(1).amax(1) > 1e-2
    assert changed.tolist() == (peaks > between).tolist()


def test_a_perfect_network_restores_the_good_part() -> None:
    model = nano()
    good = images()

    class Knows(nn.Module):
        def forward(self, x: Tensor, t: Tensor) -> Tensor:
            return model.schedule.residual(x, model.codec.encode(good), t)

    model.net = Knows()
    spoilt = good.clone()
    spoilt[:, :, 20:30, 20:40] = -1
    model.tau = torch.tensor(0.05)  # decided at once, so that the chain is free of the defect
    found = model.inspect(spoilt, generator())
    assert (found.image - good).abs()[:, :, 20:30, 20:40].mean() < 0.02
    assert found.map[:, 0, 20:30, 20:40].mean() > 3 * found.map[:, 0, 50:, 50:].mean()


def test_threshold_and_scale_are_taken_from_good_parts() -> None:
    model = nano()
    model.net = Trained()
    good = images(8)  # as many as are looked at together: a part at tau itself turns on the last digit
    model.fit_evidence(good, generator())
    z = model.codec.encode(good)
    noise = torch.randn(z[:1].shape, generator=generator()).expand_as(z)
    peaks = model.restore(z, noise, torch.tensor(torch.inf))[1]
    assert float(model.tau) == pytest.approx(float(percentile(peaks, 0.99)), abs=1e-3)
    restored = model.codec.decode(model.restore(z, noise, model.tau)[0])
    features, pixels = model.differences(good, restored)
    expected = percentile(features, 0.995) / percentile(pixels, 0.995)
    assert float(model.pixel_scale) == pytest.approx(float(expected), rel=1e-2)


def test_maps_are_the_sum_of_all_layers_in_both_directions_where_asked() -> None:
    a, b = images(), images(seed=1)
    one_way, both_ways = nano(), nano(both_directions=True)
    forward, reverse = one_way.differences(a, b)[0], one_way.differences(b, a)[0]
    assert torch.allclose(both_ways.differences(a, b)[0], forward + reverse, atol=1e-4)
    layers = zip(one_way.look(a), one_way.look(b), strict=True)
    wanted = sum(
        nn.functional.interpolate(nearby_distance(p, q), size=(64, 64), mode="bilinear") for p, q in layers
    )
    assert torch.allclose(forward, torch.as_tensor(wanted), atol=1e-2)


def test_a_map_has_the_picture_s_size_and_its_score_a_share_of_its_pixels() -> None:
    model = nano()
    model.net = Trained()
    found = model.inspect(images(), generator())
    assert found.map.shape == (2, 1, 64, 64)
    assert torch.isfinite(found.map).all()
    count = round(250 / 512**2 * 64**2)
    assert torch.allclose(found.score, found.map.flatten(1).sort(1).values[:, -count:].mean(1))


def test_inspecting_twice_gives_the_same_bits() -> None:
    model = nano()
    model.net = Trained()
    one, two = (model.inspect(images(), generator(7)) for _ in range(2))
    assert torch.equal(one.image, two.image)
    assert torch.equal(one.map, two.map)
    assert torch.equal(one.score, two.score)


def test_a_picture_s_result_does_not_depend_on_its_neighbours() -> None:
    model = nano()
    model.net = Trained()
    four = images(4)
    together = model.inspect(four, generator(7))
    for k in range(4):
        alone = model.inspect(four[k : k + 1], generator(7))
        assert torch.allclose(alone.map, together.map[k : k + 1], atol=5e-3)
        assert torch.allclose(alone.image, together.image[k : k + 1], atol=5e-3)


@pytest.mark.slow
def test_a_short_training_lowers_the_loss_and_tells_scratches_from_good() -> None:
    rng = np.random.default_rng(0)

    def crops(count: int) -> np.ndarray:
        return np.stack([woven(rng)[:64, :64] for _ in range(count)])

    good, held, fresh = crops(32), to_images(crops(16)), to_images(crops(8))
    bad = to_images(np.stack([scratched(woven(rng), rng)[0][8:72, 16:80] for _ in range(8)]))
    torch.manual_seed(0)
    model = build(NANO)
    model.fit_statistics(to_images(good))
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-3)
    losses = []
    for step in range(60):
        clean = good[rng.integers(0, len(good), 8)]
        spoilt = [spoil(one, clean[0], rng)[0] for one in clean[:4]]
        shown = batch(to_images(clean), to_images(np.stack([*spoilt, *clean[4:]])))
        optimiser.zero_grad()
        loss = model.loss(shown, generator(step))["residual"]
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
    assert np.median(losses[-20:]) < 0.85 * np.median(losses[:20])  # now and then a step is far off
    model.eval().fit_evidence(held, generator())
    scores = [model.inspect(some, generator()).score for some in (fresh, bad)]
    assert (scores[1][:, None] > scores[0][None]).float().mean() > 0.9


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("preset", ["nano", "edge"])
def test_presets_take_mono_and_colour(preset: str, channels: int) -> None:
    model = build(adapted(PRESETS[preset], channels=channels, products=1, weights=None)).eval()
    assert model.inspect(images(1, channels), generator()).image.shape == (1, channels, 64, 64)
