"""A run in a store: the same weights as in a folder, whenever it was killed, and nothing torn is taken."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from fsspec.implementations.memory import MemoryFileSystem
from torch import Tensor, nn

from models import store
from models.store import ObjectPath, StoreError, place
from models.training import checkpoint
from models.training.checkpoint import CheckpointError
from models.training.fit import CHECKPOINT, COST, LOG, Draw, fit, new_fabric, read_cost
from models.training.plans import Plan
from models.training.train import RunError, claim, read_run
from tests.stores import environment, working

PLAN = Plan(images=40, batch=8, rate=0.02, seed=3, checkpoint_every=2)
PAGES = 3  # of two steps and one more
RUN = "run.yaml"


class Killed(BaseException):
    """The end of the process, which nothing catches."""


class Files:
    """A store in memory whose client is killed before or after the put of this number."""

    def __init__(self, files: Any, *, before: int = -1, after: int = -1) -> None:
        self.files, self.before, self.after, self.puts = files, before, after, 0

    def __getattr__(self, name: str) -> Any:
        if name not in ("pipe_file", "put_file"):
            return getattr(self.files, name)

        def put(*arguments: Any, **options: Any) -> Any:
            number, self.puts = self.puts, self.puts + 1
            if number == self.before:
                raise Killed
            found = getattr(self.files, name)(*arguments, **options)
            if number == self.after:
                raise Killed
            return found

        return put


@pytest.fixture
def memory() -> Iterator[MemoryFileSystem]:
    files = MemoryFileSystem(skip_instance_cache=True)
    files.store, files.pseudo_dirs = {}, [""]  # those of the class are for all
    yield files


def at(files: Any) -> ObjectPath:
    return ObjectPath(bucket="plant", key="runs/a", files=files)


def net(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 1))


def losses(net: nn.Module, count: int, draw: Draw) -> dict[str, Tensor]:
    x = torch.randn(count, 4, generator=draw.torch) + float(draw.numpy.normal()) * 0.1
    return {"error": (net(x).float() - x.sum(1, keepdim=True)).square().mean()}


def trained(run: Any, *, seed: int = 0, plan: Plan = PLAN) -> dict[str, Tensor]:
    done = fit(net(seed), losses, plan, run, label="test", fabric=new_fabric())
    found: dict[str, Tensor] = done.state_dict()
    return found


def equal(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


def test_a_run_in_a_store_is_the_run_in_a_folder(tmp_path: Path, memory: MemoryFileSystem) -> None:
    here, there = trained(tmp_path), trained(at(memory))
    assert equal(here, there)
    assert (at(memory) / LOG).read_bytes() == (tmp_path / LOG).read_bytes()
    assert read_cost(at(memory)).images == read_cost(tmp_path).images == PLAN.images
    assert {name.rpartition("/")[2] for name in memory.store} == {CHECKPOINT, COST, LOG}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("put", range(3 * PAGES))
def test_a_run_that_is_killed_at_any_put_goes_on_as_if_it_had_not_been(
    tmp_path: Path, memory: MemoryFileSystem, put: int, when: str
) -> None:
    whole = trained(tmp_path)
    with pytest.raises(Killed):
        trained(at(Files(memory, **{when: put})))
    assert equal(trained(at(memory)), whole)
    assert (at(memory) / LOG).read_bytes() == (tmp_path / LOG).read_bytes()
    assert read_cost(at(memory)).images == PLAN.images


def test_a_put_that_fails_leaves_the_checkpoint_before(memory: MemoryFileSystem) -> None:
    run = at(memory)
    checkpoint.save(run / CHECKPOINT, {"step": 1})
    with pytest.raises(AttributeError):
        checkpoint.save(run / CHECKPOINT, {"step": 2, "torn": lambda: None})
    with pytest.raises(Killed):
        checkpoint.save(at(Files(memory, before=0)) / CHECKPOINT, {"step": 3})
    assert checkpoint.load(run / CHECKPOINT) == {"step": 1}


@pytest.mark.parametrize("content", ["torn", "empty", "text"])
def test_a_checkpoint_that_is_torn_in_the_store_is_refused_and_stays(
    memory: MemoryFileSystem, content: str
) -> None:
    path = at(memory) / CHECKPOINT
    checkpoint.save(path, {"step": 2, "weights": torch.zeros(1000)})
    torn = {"torn": path.read_bytes()[:900], "empty": b"", "text": b"no checkpoint"}[content]
    path.put(torn)
    with pytest.raises(CheckpointError, match=r"s3://plant/runs/a/checkpoint\.pt: damaged.*remove it"):
        trained(at(memory))
    assert path.read_bytes() == torn
    assert [name.rpartition("/")[2] for name in memory.store] == [CHECKPOINT]  # nothing was begun anew


def test_a_store_that_ends_in_the_middle_ends_the_run_in_words_and_the_same_command_goes_on(
    tmp_path: Path, memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "WAITS_S", ())

    class Away(Files):
        def __getattr__(self, name: str) -> Any:
            if self.puts >= 4:
                raise ConnectionError
            return super().__getattr__(name)

    with pytest.raises(StoreError, match=r"does not answer.*then the same command goes on from the last"):
        trained(at(Away(memory)))
    state = checkpoint.load(at(memory) / CHECKPOINT)
    assert state is not None
    assert state["step"] == 2
    assert equal(trained(at(memory), seed=5), trained(tmp_path))


def test_a_temporary_folder_that_takes_nothing_is_told(
    memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/proc/nowhere")
    with pytest.raises(CheckpointError, match=r"passes through /proc/nowhere.*set TMPDIR"):
        checkpoint.save(at(memory) / CHECKPOINT, {"step": 1})
    assert memory.store == {}


def test_a_folder_that_takes_no_more_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(tmp_path, plan=dataclasses.replace(PLAN, images=16))
    before = (tmp_path / CHECKPOINT).read_bytes()
    (tmp_path / CHECKPOINT).with_suffix(".partial").symlink_to("/dev/full")
    with pytest.raises(CheckpointError, match=r"No space left on device.*make room.*then the same command"):
        trained(tmp_path)
    assert (tmp_path / CHECKPOINT).read_bytes() == before


def test_a_claim_holds_for_whoever_comes_second(memory: MemoryFileSystem) -> None:
    path = at(memory) / RUN
    claim(path, {"seed": 1, "data": ["nut"]})
    claim(path, {"seed": 1, "data": ["nut"]}, write=False)
    with pytest.raises(RunError, match=r"s3://plant/runs/a: holds a run with another seed; choose another"):
        claim(path, {"seed": 2, "data": ["nut"]})


def test_of_two_that_claim_at_once_one_is_refused(
    memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both see that nothing is there; the store lets one of them put."""
    path = at(memory) / RUN
    claim(path, {"seed": 1})
    seen = itertools.chain([False], itertools.repeat(True))
    monkeypatch.setattr(ObjectPath, "is_file", lambda self: next(seen))
    with pytest.raises(RunError, match="another seed"):
        claim(path, {"seed": 2})
    assert path.read_text() == "seed: 1\n"


@pytest.mark.parametrize("content", [b"", b"seed: [", b"\xff\xfe", b"- a list"])
def test_a_description_that_is_torn_is_refused(memory: MemoryFileSystem, content: bytes) -> None:
    (at(memory) / RUN).put(content)
    with pytest.raises(RunError, match="not what a run says of itself"):
        claim(at(memory) / RUN, {"seed": 1})
    with pytest.raises(RunError, match="not what a run says of itself"):
        read_run(at(memory))


def test_an_s3_store_keeps_a_run_that_is_cut_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with working() as endpoint:
        for name, value in environment(endpoint).items():
            monkeypatch.setenv(name, value)
        run = place("s3://plant/runs/a")
        assert isinstance(run, ObjectPath)
        run.files.mkdir("plant")
        cut: Callable[..., Any] = fit
        cut(net(), losses, PLAN, run, label="test", fabric=new_fabric(), stop_after=3)
        assert equal(trained(run, seed=7), trained(tmp_path))
        assert (run / LOG).read_bytes() == (tmp_path / LOG).read_bytes()
        claim(run / RUN, {"seed": 1})
        with pytest.raises(RunError, match="another seed"):
            claim(run / RUN, {"seed": 2})
