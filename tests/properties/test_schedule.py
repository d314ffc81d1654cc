"""One identity, x_t = s x0 + n p, carries every method: its forms agree, its tables are as published."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDIMScheduler
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.parts.schedule import Schedule, cosine, linear

SCHEDULES = {
    "linear": linear(1000),
    "cosine": cosine(1000),
    "decodiff": cosine(10),
    "decodiff deviations": cosine(10).unscaled(),
}
NAMES = st.sampled_from(sorted(SCHEDULES))
SEEDS = st.integers(0, 2**31)


def drawn(name: str, seed: int) -> tuple[Schedule, Tensor, Tensor, Tensor, Tensor]:
    """A schedule with x0, p and two timesteps, in float64 so that only the algebra is judged."""
    schedule = SCHEDULES[name]
    schedule = Schedule(signal=schedule.signal.double(), noise=schedule.noise.double())
    rng = torch.Generator().manual_seed(seed)
    x0, p = torch.randn(2, 3, 4, 5, 6, generator=rng, dtype=torch.float64)
    return schedule, x0, p, schedule.draw(3, rng), schedule.draw(3, rng)


@given(name=NAMES, seed=SEEDS)
def test_cleaning_undoes_mixing(name: str, seed: int) -> None:
    schedule, x0, p, t, _ = drawn(name, seed)
    assert torch.allclose(schedule.clean(schedule.mix(x0, p, t), p, t), x0, atol=1e-9)


@given(name=NAMES, seed=SEEDS)
def test_the_residual_is_what_was_mixed_in(name: str, seed: int) -> None:
    schedule, x0, p, t, _ = drawn(name, seed)
    assert torch.allclose(schedule.residual(schedule.mix(x0, p, t), x0, t), p, atol=1e-9)


@given(name=NAMES, seed=SEEDS)
def test_the_residual_against_any_truth_cleans_to_that_truth(name: str, seed: int) -> None:
    schedule, truth, x_t, t, _ = drawn(name, seed)
    assert torch.allclose(schedule.clean(x_t, schedule.residual(x_t, truth, t), t), truth, atol=1e-9)


@given(name=NAMES, seed=SEEDS)
def test_a_step_lands_where_mixing_would(name: str, seed: int) -> None:
    schedule, x0, p, t, t_next = drawn(name, seed)
    stepped = schedule.step(schedule.mix(x0, p, t), p, t, t_next)
    assert torch.allclose(stepped, schedule.mix(x0, p, t_next), atol=1e-9)


@given(name=NAMES, seed=SEEDS)
def test_each_sample_has_its_own_timestep(name: str, seed: int) -> None:
    schedule, x0, p, t, _ = drawn(name, seed)
    whole = schedule.mix(x0, p, t)
    for index in range(len(t)):
        one = schedule.mix(x0[index : index + 1], p[index : index + 1], t[index : index + 1])
        assert torch.equal(whole[index : index + 1], one)


@pytest.mark.parametrize("timesteps", [25, 100, 1000])
def test_the_linear_table_is_that_of_diffusers(timesteps: int) -> None:
    scale = 1000 / timesteps
    theirs = DDIMScheduler(
        num_train_timesteps=timesteps, beta_schedule="linear", beta_start=1e-4 * scale, beta_end=0.02 * scale
    )
    assert torch.allclose(linear(timesteps).signal ** 2, theirs.alphas_cumprod, atol=2e-6)


@pytest.mark.parametrize("timesteps", [10, 100, 1000])
def test_the_cosine_table_is_that_of_diffusers(timesteps: int) -> None:
    theirs = DDIMScheduler(num_train_timesteps=timesteps, beta_schedule="squaredcos_cap_v2")
    assert torch.allclose(cosine(timesteps).signal ** 2, theirs.alphas_cumprod, atol=2e-6)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_noise_grows_and_signal_never_vanishes(schedule: Schedule) -> None:
    assert (schedule.noise.diff() > 0).all()
    assert (schedule.signal.diff() <= 0).all()
    assert (schedule.signal > 0).all()


@pytest.mark.parametrize("timesteps", [1, 10, 20])
def test_linear_betas_above_1_are_refused(timesteps: int) -> None:
    with pytest.raises(
        ValueError, match=f"timesteps: {timesteps} is too few for linear betas; give more than 20"
    ):
        linear(timesteps)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("steps", [1, 2, 5, 10, 50])
@pytest.mark.parametrize(
    ("ours", "beta_schedule"),
    [(linear(1000), "linear"), (cosine(1000), "squaredcos_cap_v2")],
    ids=["linear", "cosine"],
)
def test_sampling_equals_that_of_diffusers(ours: Schedule, beta_schedule: str, steps: int, seed: int) -> None:
    theirs = DDIMScheduler(
        num_train_timesteps=1000,
        beta_schedule=beta_schedule,
        beta_start=1e-4,
        beta_end=0.02,
        clip_sample=False,
        set_alpha_to_one=True,
    )
    theirs.set_timesteps(steps)
    times = ours.countdown(steps)
    assert list(times) == theirs.timesteps.tolist()

    def model(x: Tensor, t: int) -> Tensor:
        return torch.sin(3 * x + t) * 0.3

    start = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    expected = start
    for t in theirs.timesteps.tolist():
        expected = theirs.step(model(expected, t), t, expected, eta=0.0).prev_sample

    x = start
    for t, t_next in zip(times, (*times[1:], None), strict=True):
        now = torch.full((2,), t)
        p = model(x, t)
        x = ours.clean(x, p, now) if t_next is None else ours.step(x, p, now, torch.full((2,), t_next))
    # Early signal rates are near zero, so both divide by them and lose the same digits.
    assert torch.allclose(x, expected, rtol=2e-3, atol=2e-3 * float(expected.abs().max()))


def test_decodiff_has_the_published_table() -> None:
    published = [0.97209, 0.89871, 0.78691, 0.64748, 0.49384, 0.34081, 0.20312, 0.09405, 0.02409, 0.00002]
    abar = cosine(10).signal.double() ** 2
    assert [round(value, 5) for value in abar.tolist()] == published
    assert torch.allclose(
        abar + cosine(10).noise.double() ** 2, torch.ones(10, dtype=torch.float64), atol=1e-6
    )


def test_diffusionad_has_the_published_table() -> None:
    abar = linear(1000).signal.double() ** 2
    assert round(float(abar[200]), 6) == 0.656347
    assert round(float(abar[400]), 6) == 0.193572


@pytest.mark.parametrize(
    ("steps", "kept"), [(5, (8, 6, 4, 2, 0)), (10, (9, 8, 7, 6, 5, 4, 3, 2, 1, 0)), (2, (5, 0)), (1, (0,))]
)
def test_the_countdown_is_even_and_ends_at_0(steps: int, kept: tuple[int, ...]) -> None:
    assert cosine(10).countdown(steps) == kept


@pytest.mark.parametrize("steps", [0, -1, 11])
def test_a_countdown_of_too_few_or_many_steps_is_refused(steps: int) -> None:
    with pytest.raises(ValueError, match=f"steps: {steps} is not between 1 and 10"):
        cosine(10).countdown(steps)


@given(seed=SEEDS, t=st.integers(0, 9))
def test_partial_corruption_is_the_formula_of_the_paper(seed: int, t: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    z, n = torch.randn(2, 2, 4, 8, 8, generator=rng)
    m = (torch.rand(2, 1, 8, 8, generator=rng) < 0.4).float()
    abar = [0.97209, 0.89871, 0.78691, 0.64748, 0.49384, 0.34081, 0.20312, 0.09405, 0.02409, 0.00002][t]
    a, s = abar**0.5, (1 - abar) ** 0.5
    k = (1 - a) / s
    z_t = (1 - m) * z + m * (a * z + s * n)
    eta = m * (n - k * z)

    corruption, times = cosine(10), torch.full((2,), t)
    ours = torch.where(m.bool(), corruption.mix(z, n, times), z)
    assert torch.allclose(ours, z_t, atol=2e-3)
    assert torch.allclose(corruption.unscaled().residual(ours, z, times), eta, atol=5e-3)
    assert torch.equal(corruption.unscaled().residual(z, z, times), torch.zeros_like(z))
