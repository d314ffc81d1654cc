"""The one training loop: AdamW, warm-up and cosine decay, EMA, bf16 where native, resume, progress.

Steps are counted in images, so the batch size never changes what a budget means. Every step draws its
randomness from (seed, step) alone: a run that was cut and resumed equals one that was not, bit for bit.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from agent.errors import PlumblineError
from models import checkpoint
from models.precision import autocast

CHECKPOINT = "checkpoint.pt"

M = TypeVar("M", bound=nn.Module)


class DivergedError(PlumblineError):
    """Training has left the finite numbers."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long and how fast to train."""

    images: int  # training pictures shown in all
    batch: int = 8
    rate: float = 4e-4  # AdamW's
    weight_decay: float = 1e-4
    warm_up: float = 0.03  # share of the run
    ema: float = 0.998
    clip: float = 1.0  # gradient norm
    seed: int = 0
    checkpoint_every: int = 100  # steps

    @property
    def steps(self) -> int:
        return max(1, math.ceil(self.images / self.batch))

    def rate_at(self, step: int) -> float:
        warm = max(1, round(self.warm_up * self.steps))
        if step < warm:
            return self.rate * (step + 1) / warm
        return self.rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self.steps - warm)))


@dataclass(frozen=True, kw_only=True)
class Draw:
    """One step's own randomness."""

    torch: torch.Generator
    numpy: np.random.Generator

    @staticmethod
    def at(seed: int, step: int) -> Draw:
        return Draw(
            torch=torch.Generator().manual_seed(seed * 1_000_003 + step),
            numpy=np.random.default_rng((seed, step)),
        )


def fit(
    module: M,
    losses: Callable[[Draw], dict[str, Tensor]],
    plan: Plan,
    run: Path,
    *,
    label: str,
    stop_after: int | None = None,
) -> M:
    """Train `module` in place on the sum of `losses`; returns the EMA copy, in eval mode.

    Resumes from `run/checkpoint.pt` when it is there. `stop_after` ends this call after so many
    steps with a checkpoint, as a cut would. Raises DivergedError when a loss is not finite.
    """
    torch.use_deterministic_algorithms(True)
    device = next(module.parameters()).device
    average = copy.deepcopy(module).requires_grad_(False)
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=plan.rate, weight_decay=plan.weight_decay)
    first = _resume(run / CHECKPOINT, module, average, optimiser)
    last = plan.steps if stop_after is None else min(plan.steps, first + stop_after)
    module.train()
    with _progress() as progress:
        bar = progress.add_task(label, total=plan.steps, completed=first, terms="")
        for step in range(first, last):
            for group in optimiser.param_groups:
                group["lr"] = plan.rate_at(step)
            torch.manual_seed(plan.seed * 1_000_003 + step)  # dropout takes no generator
            with autocast(device):
                terms = losses(Draw.at(plan.seed, step))
            total = torch.stack([term.float() for term in terms.values()]).sum()
            if not torch.isfinite(total):
                raise DivergedError(f"{label}: loss is {total.item()} at step {step}; lower the rate")
            optimiser.zero_grad()
            total.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(trained, plan.clip)
            optimiser.step()
            _follow(average, module, min(plan.ema, (1 + step) / (10 + step)))
            if (step + 1) % plan.checkpoint_every == 0 or step + 1 == last:
                _save(run / CHECKPOINT, step + 1, module, average, optimiser)
            words = " ".join(f"{name} {value.item():.4f}" for name, value in terms.items())
            progress.update(bar, advance=1, terms=words)
    return average.eval()


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[terms]}"),
    )


def _follow(average: nn.Module, module: nn.Module, keep: float) -> None:
    """Exponential moving average of the weights; buffers such as BatchNorm's are copied."""
    with torch.no_grad():
        for slow, fast in zip(average.parameters(), module.parameters(), strict=True):
            slow.lerp_(fast, 1 - keep)
        for kept, current in zip(average.buffers(), module.buffers(), strict=True):
            kept.copy_(current)


def _save(
    path: Path, step: int, module: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer
) -> None:
    checkpoint.save(
        path,
        {
            "step": step,
            "module": module.state_dict(),
            "average": average.state_dict(),
            "optimiser": optimiser.state_dict(),
        },
    )


def _resume(path: Path, module: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer) -> int:
    state = checkpoint.load(path)
    if state is None:
        return 0
    module.load_state_dict(state["module"])
    average.load_state_dict(state["average"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])
