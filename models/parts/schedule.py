"""One linear identity carries every method: x_t = s_t * x0 + n_t * p.

p is what the network predicts. `mix` corrupts, `clean` restores in one step, `residual` is the
training target, `step` is the deterministic DDIM step (Song et al. 2021, eq. 12 with sigma = 0).
Ordinary diffusion has s = sqrt(abar), n = sqrt(1 - abar), p = eps; DeCo-Diff has s = 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The tables s and n, one entry for each timestep; all methods take t as (B,) integers."""

    signal: Tensor  # (T,) s_t
    noise: Tensor  # (T,) n_t

    def __len__(self) -> int:
        return len(self.signal)

    def mix(self, x0: Tensor, p: Tensor, t: Tensor) -> Tensor:
        """x_t = s_t x0 + n_t p, shapes (B, C, H, W)."""
        return _at(self.signal, t, x0) * x0 + _at(self.noise, t, x0) * p

    def clean(self, x_t: Tensor, p: Tensor, t: Tensor) -> Tensor:
        """x0 = (x_t - n_t p) / s_t: the restoration that p stands for."""
        return (x_t - _at(self.noise, t, x_t) * p) / _at(self.signal, t, x_t)

    def residual(self, x_t: Tensor, x0: Tensor, t: Tensor) -> Tensor:
        """p = (x_t - s_t x0) / n_t: what a perfect network answers for x_t when x0 is the truth."""
        return (x_t - _at(self.signal, t, x_t) * x0) / _at(self.noise, t, x_t)

    def step(self, x_t: Tensor, p: Tensor, t: Tensor, t_next: Tensor) -> Tensor:
        """From t to t_next along the same p."""
        return self.mix(self.clean(x_t, p, t), p, t_next)

    def draw(self, count: int, rng: torch.Generator) -> Tensor:
        """Uniform timesteps, (count,)."""
        return torch.randint(len(self), (count,), generator=rng)

    def countdown(self, steps: int) -> tuple[int, ...]:
        """`steps` evenly spaced timesteps, falling, ending at 0: 5 of 10 are 8, 6, 4, 2, 0."""
        if not 1 <= steps <= len(self):
            raise ValueError(f"steps: {steps} is not between 1 and {len(self)}")
        stride = len(self) // steps
        return tuple(reversed(range(0, stride * steps, stride)))

    def unscaled(self) -> Schedule:
        """The same noise levels with s = 1: DeCo-Diff's deviations."""
        return replace(self, signal=torch.ones_like(self.signal))


def from_alphas_cumprod(alphas_cumprod: Tensor) -> Schedule:
    """s = sqrt(abar), n = sqrt(1 - abar), in float32 from a float64 table."""
    return Schedule(signal=alphas_cumprod.sqrt().float(), noise=(1 - alphas_cumprod).sqrt().float())


def linear(timesteps: int, first: float = 1e-4, last: float = 0.02) -> Schedule:
    """Linear betas (DDPM, Ho et al. 2020); the ends are meant for 1000 steps and scaled by 1000/T.

    Raises ValueError when that makes a beta 1 or more, after which no signal is left.
    """
    scale = 1000 / timesteps
    if last * scale >= 1:
        raise ValueError(
            f"timesteps: {timesteps} is too few for linear betas; give more than {last * 1000:g}"
        )
    betas = torch.linspace(first * scale, last * scale, timesteps, dtype=torch.float64)
    return from_alphas_cumprod(torch.cumprod(1 - betas, 0))


def scaled_linear(timesteps: int, first: float = 0.00085, last: float = 0.012) -> Schedule:
    """Betas whose square roots are linear: Stable Diffusion 1.x, made for its latents and 1000 steps."""
    betas = torch.linspace(first**0.5, last**0.5, timesteps, dtype=torch.float64) ** 2
    return from_alphas_cumprod(torch.cumprod(1 - betas, 0))


def cosine(timesteps: int) -> Schedule:
    """Squared-cosine abar with offset 0.008 and beta at most 0.999 (Nichol & Dhariwal 2021, eq. 17)."""

    def abar(u: float) -> float:
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    betas = [min(1 - abar((t + 1) / timesteps) / abar(t / timesteps), 0.999) for t in range(timesteps)]
    return from_alphas_cumprod(torch.cumprod(1 - torch.tensor(betas, dtype=torch.float64), 0))


def _at(table: Tensor, t: Tensor, like: Tensor) -> Tensor:
    return table.to(like.device)[t.to(like.device)].view(-1, *[1] * (like.ndim - 1))
