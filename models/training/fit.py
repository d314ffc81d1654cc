"""The one training loop: AdamW, warm-up and cosine decay, EMA, bf16 where native, resume, progress.

Every step draws its randomness from (seed, step, shard) alone: a run that was cut and resumed equals one
that was not, bit for bit, and a batch's shards give the same loss on one process as on several.
"""

from __future__ import annotations

import copy
import csv
import io
import itertools
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from agent.errors import PlumblineError
from models import store
from models.parts.precision import autocast
from models.stages import SILENT, Stages
from models.store import Place
from models.training import checkpoint
from models.training.checkpoint import CheckpointError
from models.training.plans import Plan

if TYPE_CHECKING:
    from lightning_fabric import Fabric

CHECKPOINT = "checkpoint.pt"
LOG = "losses.csv"
COST = "cost.json"

PATIENCE = timedelta(hours=2)  # of processes with one that calibrates or saves alone; `torchrun` sees deaths

M = TypeVar("M", bound=nn.Module)


class DivergedError(PlumblineError):
    """Training has left the finite numbers."""


class ProcessesError(PlumblineError):
    """The plan cannot be spread over this many processes."""


@dataclass(frozen=True, kw_only=True)
class Draw:
    """The randomness of one shard of one step."""

    shard: int
    torch: torch.Generator
    numpy: np.random.Generator

    @staticmethod
    def at(seed: int, step: int, shard: int = 0) -> Draw:
        return Draw(
            shard=shard,
            torch=torch.Generator().manual_seed((seed * 1_000_003 + step) * 64 + shard),
            numpy=np.random.default_rng((seed, step, shard)),
        )


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a run has cost so far, over all its resumptions."""

    images: int
    seconds: float
    peak_memory_bytes: int  # resident, of the largest process that worked on it


def processes() -> int:
    """How many `torchrun` has started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def refuse_uneven(plan: Plan, over: int) -> None:
    """Raises ProcessesError where the plan's shards do not divide the batch, or `over` processes them.

    Asked before the processes join, each of them refuses by itself and none waits for another.
    """
    if plan.shards % over or plan.batch % plan.shards:
        raise ProcessesError(
            f"a batch of {plan.batch} in {plan.shards} shards cannot be spread over {over} "
            "processes; give a number of shards that divides the batch and that the processes divide"
        )


def own_shards(plan: Plan, fabric: Fabric) -> list[int]:
    """The shards that this process works on: shard s is of process s modulo their number."""
    return list(range(fabric.global_rank, plan.shards, fabric.world_size))


def new_fabric() -> Fabric:
    """One process, or one of those that `torchrun` has started."""
    from lightning_fabric import Fabric  # over a second to import, for those that train alone
    from lightning_fabric.strategies.ddp import DDPStrategy

    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    world = processes()
    strategy = DDPStrategy(find_unused_parameters=True, timeout=PATIENCE) if world > 1 else "auto"
    fabric = Fabric(devices=local, num_nodes=max(1, world // local), strategy=strategy)
    fabric.launch()
    return fabric


def part(fabric: Fabric) -> None:
    """End what several processes did together: a group that is left to the interpreter's end may abort it."""
    fabric.barrier()
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def fit(
    module: M,
    losses: Callable[[Any, int, Draw], dict[str, Tensor]],
    plan: Plan,
    run: Place,
    *,
    label: str,
    fabric: Fabric,
    stages: Stages = SILENT,
    stop_after: int | None = None,
) -> M:
    """Train `module` in place on the sum of `losses`; returns the EMA copy, in eval mode.

    `losses(module, count, draw)` gives the terms of `count` pictures; the module's `loss` may be called on
    what it is given. Resumes from `run/checkpoint.pt` when it is there. `stop_after` ends this call after so
    many steps with a checkpoint, as a cut would. Raises DivergedError when a loss is not finite and
    ProcessesError when the plan's shards do not divide among the processes.
    """
    refuse_uneven(plan, fabric.world_size)
    own = own_shards(plan, fabric)
    torch.use_deterministic_algorithms(True)
    average = copy.deepcopy(module).requires_grad_(False)
    optimiser = torch.optim.AdamW(_groups(module, plan), weight_decay=plan.weight_decay)
    first = _resume(run / CHECKPOINT, module, average, optimiser)
    if (begun := fabric.broadcast(first)) != first:
        raise ProcessesError(
            f"{run}: process {fabric.global_rank} finds the checkpoint of step {first}, the first process "
            f"that of step {begun}; give an --out that every machine sees, such as s3://BUCKET/RUN"
        )
    last = plan.steps if stop_after is None else min(plan.steps, first + stop_after)
    trained = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    module.train()
    wrapped, optimiser_ = fabric.setup(module, optimiser)
    if hasattr(module, "loss"):
        wrapped.mark_forward_method("loss")
    book = _Book(run, first, plan.batch) if fabric.global_rank == 0 else None
    with stages.stage(label, plan.steps, first) as told:
        for step in range(first, last):
            for group in optimiser.param_groups:
                group["lr"] = group["initial_lr"] * plan.decay(step)
            optimiser_.zero_grad()
            found = _gradients(wrapped, losses, plan, step, own, fabric)
            if not all(torch.isfinite(term) for term in found.values()):
                raise DivergedError(f"{label}: loss is {_words(found)} at step {step}; lower the rate")
            nn.utils.clip_grad_norm_(trained, plan.clip)
            optimiser_.step()
            _follow(average, module, min(plan.ema, (1 + step) / (10 + step)))
            means = {name: float(fabric.all_reduce(value)) for name, value in found.items()}  # type: ignore[arg-type]
            if book is not None:
                book.note(step, means)
                if (step + 1) % plan.checkpoint_every == 0 or step + 1 == last:
                    with _in_words(run):
                        book.close_page(step + 1)  # first: a cut between the two is mended on resumption
                        _save(run / CHECKPOINT, step + 1, module, average, optimiser)
            told(_words(means))
    fabric.barrier()
    return average.eval()


def _gradients(
    wrapped: Any,
    losses: Callable[[Any, int, Draw], dict[str, Tensor]],
    plan: Plan,
    step: int,
    own: list[int],
    fabric: Fabric,
) -> dict[str, Tensor]:
    """Add up the gradients of this process's shards; returns the mean of each term over them."""
    means: dict[str, Tensor] = {}
    for shard in own:
        draw = Draw.at(plan.seed, step, shard)
        torch.manual_seed(draw.torch.initial_seed())  # dropout takes no generator
        with autocast(fabric.device), fabric.no_backward_sync(wrapped, enabled=shard != own[-1]):
            terms = losses(wrapped, plan.batch // plan.shards, draw)
            fabric.backward(torch.stack([term.float() for term in terms.values()]).sum() / len(own))
        for name, term in terms.items():
            means[name] = means.get(name, 0) + term.detach().float() / len(own)
    return means


def read_cost(run: Place) -> Cost:
    """What training the run has cost. Raises FileNotFoundError for a run that never saved."""
    return Cost(**json.loads((run / COST).read_text()))


@contextmanager
def _in_words(run: Place) -> Iterator[None]:
    """Whatever keeps a folder of this machine from being written, in words."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(
            f"{run}: cannot be written ({error.strerror}); make room or check its permissions, then the same "
            "command goes on from the last checkpoint"
        ) from error


class _Book:
    """The run's losses and cost on disk, one page for each checkpoint; a cut page is written again."""

    def __init__(self, run: Place, first: int, batch: int) -> None:
        self.run, self.batch, self.started = run, batch, time.monotonic()
        self.rows: list[dict[str, float]] = []
        self.before = Cost(images=0, seconds=0.0, peak_memory_bytes=0)
        if first and (run / COST).is_file():
            self.before = read_cost(run)
        self.text = ""  # of the whole log
        if (run / LOG).is_file():
            rows = csv.DictReader((run / LOG).read_text().splitlines())
            self.text = _lines(list(itertools.islice(rows, first)), begins=True)  # a row for each step
            store.write(run / LOG, self.text.encode())

    def note(self, step: int, terms: dict[str, float]) -> None:
        self.rows.append({"step": step, **terms})

    def close_page(self, steps: int) -> None:
        more = _lines(self.rows, begins=not self.text)
        self.text, self.rows = self.text + more, []
        self._add(more)
        unit = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        cost = Cost(
            images=steps * self.batch,
            seconds=round(self.before.seconds + time.monotonic() - self.started, 3),
            peak_memory_bytes=max(self.before.peak_memory_bytes, peak),
        )
        store.write(self.run / COST, (json.dumps(asdict(cost)) + "\n").encode())

    def _add(self, more: str) -> None:
        """Lines to the end of a file; to a store, which appends nothing, all of it anew."""
        log = self.run / LOG
        if not isinstance(log, Path):
            store.write(log, self.text.encode())
            return
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", newline="") as file:
            file.write(more)


def _lines(rows: Sequence[Mapping[str, Any]], *, begins: bool) -> str:
    if not rows:
        return ""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    if begins:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _groups(module: nn.Module, plan: Plan) -> list[dict[str, Any]]:
    """The trained parameters by learning rate: the longest prefix in `plan.rates` decides."""
    groups: dict[str, list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            prefix = max((one for one in plan.rates if name.startswith(one)), key=len, default="")
            groups.setdefault(prefix, []).append(parameter)
    rates = {"": plan.rate, **plan.rates}
    return [
        {"params": parameters, "lr": rates[prefix], "initial_lr": rates[prefix]}
        for prefix, parameters in groups.items()
    ]


def _words(terms: Mapping[str, Tensor | float]) -> str:
    return " ".join(f"{name} {float(value):.4f}" for name, value in terms.items())


def _follow(average: nn.Module, module: nn.Module, keep: float) -> None:
    """Exponential moving average of the weights; buffers such as BatchNorm's are copied."""
    with torch.no_grad():
        for slow, fast in zip(average.parameters(), module.parameters(), strict=True):
            slow.lerp_(fast, 1 - keep)
        for kept, current in zip(average.buffers(), module.buffers(), strict=True):
            kept.copy_(current)


def _save(
    path: Place, step: int, module: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer
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


def _resume(path: Place, module: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer) -> int:
    state = checkpoint.load(path)
    if state is None:
        return 0
    checkpoint.fill(module, state["module"], path)
    checkpoint.fill(average, state["average"], path)
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])
