"""Training is the same, bit for bit, cut or not, and never takes a torn or foreign checkpoint."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from agent.errors import PlumblineError
from models.training import checkpoint
from models.training.checkpoint import CheckpointError
from models.training.fit import (
    CHECKPOINT,
    COST,
    LOG,
    DivergedError,
    Draw,
    ProcessesError,
    fit,
    new_fabric,
    read_cost,
)
from models.training.plans import TEACHERS, Plan

PLAN = Plan(images=160, batch=8, rate=0.02, seed=3)
STEPS = 20

Losses = Callable[[nn.Module, int, Draw], dict[str, Tensor]]


def small_net(seed: int = 0) -> nn.Module:
    """With BatchNorm, whose buffers must survive, and dropout, which takes no generator."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 1))


def sum_of_inputs(seen: list[float] | None = None) -> Losses:
    def losses(net: nn.Module, count: int, draw: Draw) -> dict[str, Tensor]:
        x = torch.randn(count, 4, generator=draw.torch) + float(draw.numpy.normal()) * 0.1
        loss = (net(x).float() - x.sum(1, keepdim=True)).square().mean()
        if seen is not None:
            seen.append(loss.item())
        return {"error": loss}

    return losses


def trained(run: Path, plan: Plan = PLAN, *, cuts: tuple[int, ...] = (), init: int = 0) -> nn.Module:
    """Trained into `run`, cut after so many steps each time and begun again from another start."""
    for cut in cuts:
        net = small_net(init)
        fit(net, sum_of_inputs(), plan, run, label="test", fabric=new_fabric(), stop_after=cut)
        init += 1
        torch.manual_seed(init * 17)
    net = small_net(init)
    return fit(net, sum_of_inputs(), plan, run, label="test", fabric=new_fabric())


def same(one: Any, two: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(same(a, b) for a, b in zip(one, two, strict=True))
    return bool(one == two)


def test_the_loss_falls(tmp_path: Path) -> None:
    net, seen = small_net(), []  # type: tuple[nn.Module, list[float]]
    plan = dataclasses.replace(PLAN, images=1600)
    fit(net, sum_of_inputs(seen), plan, tmp_path, label="test", fabric=new_fabric())
    assert len(seen) == 200
    assert sum(seen[-20:]) / 20 < 0.3 * sum(seen[:5]) / 5  # the first five hardly learn: the rate warms up


@pytest.mark.parametrize("cuts", [(7,), (1, 1), (5, 5, 5), (19,), (20,)])
def test_a_run_that_was_cut_and_resumed_equals_one_that_was_not(
    tmp_path: Path, cuts: tuple[int, ...]
) -> None:
    whole = trained(tmp_path / "whole")
    pieces = trained(tmp_path / "pieces", cuts=cuts)
    assert same(whole.state_dict(), pieces.state_dict())
    assert same(
        checkpoint.load(tmp_path / "whole" / CHECKPOINT), checkpoint.load(tmp_path / "pieces" / CHECKPOINT)
    )


def test_a_run_resumes_from_its_last_checkpoint_after_a_crash(tmp_path: Path) -> None:
    plan = dataclasses.replace(PLAN, checkpoint_every=6)
    whole = trained(tmp_path / "whole", plan)

    def crashing(net: nn.Module, count: int, draw: Draw) -> dict[str, Tensor]:
        terms = sum_of_inputs()(net, count, draw)
        crashing.steps += 1  # type: ignore[attr-defined]
        if crashing.steps == 15:  # type: ignore[attr-defined]
            raise KeyboardInterrupt
        return terms

    crashing.steps = 0  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt):
        fit(small_net(), crashing, plan, tmp_path / "crashed", label="test", fabric=new_fabric())
    state = checkpoint.load(tmp_path / "crashed" / CHECKPOINT)
    assert state is not None
    assert state["step"] == 12
    assert same(whole.state_dict(), trained(tmp_path / "crashed", plan, init=9).state_dict())


def test_two_runs_of_one_seed_are_equal_and_another_seed_is_not(tmp_path: Path) -> None:
    one, two = trained(tmp_path / "one"), trained(tmp_path / "two")
    other = trained(tmp_path / "other", dataclasses.replace(PLAN, seed=4))
    assert same(one.state_dict(), two.state_dict())
    assert not same(one.state_dict(), other.state_dict())


def test_a_finished_run_is_given_back_without_another_step(tmp_path: Path) -> None:
    first = trained(tmp_path)
    net = small_net(5)

    def never(*_: object) -> dict[str, Tensor]:
        raise AssertionError("a finished run trains no more")

    again = fit(net, never, PLAN, tmp_path, label="test", fabric=new_fabric())
    assert same(first.state_dict(), again.state_dict())


def test_the_average_follows_the_weights_and_copies_buffers(tmp_path: Path) -> None:
    before = small_net()
    net = small_net()
    average = fit(net, sum_of_inputs(), PLAN, tmp_path, label="test", fabric=new_fabric(), stop_after=1)
    assert not average.training
    for slow, start, fast in zip(average.parameters(), before.parameters(), net.parameters(), strict=True):
        assert torch.allclose(slow, 0.1 * start + 0.9 * fast)  # early on the average trusts the weights
    for kept, current in zip(average.buffers(), net.buffers(), strict=True):
        assert torch.equal(kept, current)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_last_checkpoint(
    tmp_path: Path, value: float
) -> None:
    net = small_net()
    fit(net, sum_of_inputs(), PLAN, tmp_path, label="test", fabric=new_fabric(), stop_after=3)
    before = (tmp_path / CHECKPOINT).read_bytes()

    def broken(net: nn.Module, count: int, draw: Draw) -> dict[str, Tensor]:
        return {"error": sum_of_inputs()(net, count, draw)["error"] * value}

    with pytest.raises(DivergedError, match=r"test: loss is .* at step 3; lower the rate"):
        fit(small_net(), broken, PLAN, tmp_path, label="test", fabric=new_fabric())
    assert (tmp_path / CHECKPOINT).read_bytes() == before


def test_the_rate_warms_up_and_then_only_falls() -> None:
    plan = Plan(images=1000, batch=10, rate=1.0, warm_up=0.1)
    rates = [plan.decay(step) for step in range(plan.steps)]
    assert rates[:10] == pytest.approx([0.1 * (step + 1) for step in range(10)])
    assert rates[10] == 1.0
    assert all(later < earlier for earlier, later in itertools.pairwise(rates[10:]))
    assert 0 < rates[-1] < 0.01


def test_the_published_rates_keep_their_course() -> None:
    decodiff, glad = TEACHERS["decodiff", "paper"], TEACHERS["glad", "paper"]
    epoch = decodiff.steps / 800
    rates = [decodiff.decay(round(epoch * at)) for at in (100, 400, 800)]
    assert rates == pytest.approx([0.986, 0.758, 0.255], abs=0.002)  # by the authors' scheduler
    assert {glad.decay(step) for step in (0, 1, glad.steps // 2, glad.steps - 1)} == {1.0}


@pytest.mark.parametrize(("images", "batch", "steps"), [(160, 8, 20), (161, 8, 21), (1, 8, 1)])
def test_a_budget_is_in_images(images: int, batch: int, steps: int) -> None:
    assert Plan(images=images, batch=batch).steps == steps


def test_a_batch_in_shards_is_the_mean_of_its_shards(tmp_path: Path) -> None:
    """So several processes, one shard each, learn what one process learns of all."""
    whole: list[float] = []
    plan = dataclasses.replace(PLAN, shards=4)
    fit(small_net(), sum_of_inputs(whole), plan, tmp_path, label="test", fabric=new_fabric(), stop_after=1)
    assert len(whole) == 4
    with (tmp_path / LOG).open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["error"]) == pytest.approx(sum(whole) / 4, rel=1e-6)


def test_shards_that_do_not_divide_the_batch_are_refused(tmp_path: Path) -> None:
    plan = dataclasses.replace(PLAN, shards=3)
    with pytest.raises(ProcessesError, match="a batch of 8 in 3 shards"):
        fit(small_net(), sum_of_inputs(), plan, tmp_path, label="test", fabric=new_fabric())


def test_parameters_learn_at_the_rate_of_their_name(tmp_path: Path) -> None:
    plan = dataclasses.replace(PLAN, rates={"0.": 0.0}, weight_decay=0.0)
    net = small_net()
    fit(net, sum_of_inputs(), plan, tmp_path, label="test", fabric=new_fabric())
    start = small_net()
    assert torch.equal(net[0].weight, start[0].weight)
    assert not torch.equal(net[4].weight, start[4].weight)


def test_the_losses_of_every_step_are_kept_once_however_often_the_run_was_cut(tmp_path: Path) -> None:
    plan = dataclasses.replace(PLAN, checkpoint_every=6)
    trained(tmp_path / "whole", plan)
    trained(tmp_path / "pieces", plan, cuts=(4, 5))
    whole, pieces = ((tmp_path / one / LOG).read_text() for one in ("whole", "pieces"))
    assert whole == pieces
    assert [row.split(",")[0] for row in whole.split()] == ["step", *map(str, range(STEPS))]


def test_losses_after_the_last_checkpoint_are_written_anew(tmp_path: Path) -> None:
    trained(tmp_path / "whole")
    net = small_net()
    fit(net, sum_of_inputs(), PLAN, tmp_path / "cut", label="test", fabric=new_fabric(), stop_after=7)
    with (tmp_path / "cut" / LOG).open("a") as file:
        file.write("7,99.0\n")  # as if the power went between this and the checkpoint
    trained(tmp_path / "cut")
    assert (tmp_path / "cut" / LOG).read_text() == (tmp_path / "whole" / LOG).read_text()


@pytest.mark.parametrize("lost", [LOG, COST])
def test_a_run_whose_book_was_lost_with_the_power_still_resumes(tmp_path: Path, lost: str) -> None:
    whole = trained(tmp_path / "whole")
    cut = tmp_path / "cut"
    fit(small_net(), sum_of_inputs(), PLAN, cut, label="test", fabric=new_fabric(), stop_after=7)
    (cut / lost).unlink()
    assert same(whole.state_dict(), trained(cut).state_dict())
    assert read_cost(cut).images == PLAN.images


def test_cost_adds_up_over_resumptions(tmp_path: Path) -> None:
    trained(tmp_path, cuts=(7,))
    first = json.loads((tmp_path / COST).read_text())
    assert first["images"] == PLAN.images
    assert first["seconds"] > 0
    assert read_cost(tmp_path).peak_memory_bytes > 50_000_000


def test_a_weight_that_was_changed_on_the_disk_is_damage_and_no_weight(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    checkpoint.save(path, {"weights": torch.full((1000,), 0.25)})
    content = bytearray(path.read_bytes())
    place = content.index(torch.full((4,), 0.25).numpy().tobytes()) + 1000
    content[place] ^= 64
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"state\.pt: damaged"):
        checkpoint.load(path)


def test_a_checkpoint_of_another_shape_is_refused_by_name(tmp_path: Path) -> None:
    trained(tmp_path)
    other = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Dropout(0.1), nn.Linear(3, 1))
    before = (tmp_path / CHECKPOINT).read_bytes()
    with pytest.raises(CheckpointError, match=r"checkpoint\.pt: of another shape"):
        fit(other, sum_of_inputs(), PLAN, tmp_path, label="test", fabric=new_fabric())
    assert (tmp_path / CHECKPOINT).read_bytes() == before


def test_a_checkpoint_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "run" / "checkpoint.pt"
    checkpoint.save(path, {"step": 1})
    with pytest.raises(AttributeError):
        checkpoint.save(path, {"step": 2, "torn": lambda: None})  # fails half-way through writing
    assert checkpoint.load(path) == {"step": 1}
    path.with_suffix(".partial").write_bytes(b"torn by a power cut")
    assert checkpoint.load(path) == {"step": 1}
    checkpoint.save(path, {"step": 3})
    assert checkpoint.load(path) == {"step": 3}
    assert [file.name for file in path.parent.iterdir()] == ["checkpoint.pt"]


def test_no_checkpoint_is_no_state(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path / "checkpoint.pt") is None


@pytest.mark.parametrize("content", ["pickle", "torn", "empty", "text"])
def test_a_checkpoint_that_is_torn_or_holds_objects_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "checkpoint.pt"
    if content == "pickle":
        torch.save({"step": Path("an object")}, path)
    else:
        checkpoint.save(path, {"step": 1, "weights": torch.zeros(1000)})
        path.write_bytes({"torn": path.read_bytes()[:900], "empty": b"", "text": b"no checkpoint"}[content])
    with pytest.raises(PlumblineError, match=r"checkpoint\.pt: .*remove it"):
        checkpoint.load(path)


def test_a_process_that_does_not_see_the_checkpoint_of_the_first_one_is_told(tmp_path: Path) -> None:
    """On another machine, where the folder is another: it would train from the start, beside the others."""
    fabric = new_fabric()

    class Second:
        global_rank, world_size, device = 0, 1, fabric.device

        def broadcast(self, first: int) -> int:
            return first + 12

    with pytest.raises(
        ProcessesError, match=r"finds the checkpoint of step 0, .* that of step 12; give an --out"
    ):
        fit(small_net(), sum_of_inputs(), PLAN, tmp_path, label="test", fabric=Second())  # type: ignore[arg-type]
