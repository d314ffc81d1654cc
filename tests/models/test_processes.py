"""Training on several processes is training on one: the same batches, the same losses, the same model."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from models.cli.main import app as lab
from models.store import ObjectPath, Place, place
from models.student.distill import load_student
from models.training import checkpoint
from models.training.fit import LOG, ProcessesError
from models.training.train import WEIGHTS, RunError
from tests.models.tiny import write_tiny
from tests.models.workshop import WORSE_TOO, run, run_lab
from tests.stores import SECRET, environment, working


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of a store."""
    with working() as endpoint:
        for name, value in environment(endpoint).items():
            monkeypatch.setenv(name, value)
        there = place("s3://plant/runs")
        assert isinstance(there, ObjectPath)
        there.files.mkdir("plant")
        yield str(there)


def train_command(data: Path, out: Path | str) -> list[str]:
    said = ["train", "decodiff", "--data", str(data), "--preset", "nano", "--out", str(out)]
    return [*said, "--images", "48"]


def on_two(command: list[str]) -> subprocess.CompletedProcess[str]:
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [sys.executable, *torchrun, "-m", "models", *command],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def losses(run: Place) -> list[float]:
    return [float(row["deviation"]) for row in csv.DictReader((run / LOG).read_text().splitlines())]


@pytest.mark.slow
def test_two_processes_that_write_to_a_store_learn_what_one_learns_in_a_folder(
    data: Path, tmp_path: Path, plant: str
) -> None:
    alone, both = tmp_path / "alone", place(f"{plant}/both")
    run_lab(*train_command(data, alone))
    done = on_two(train_command(data, str(both)))
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert len(losses(alone)) == 6
    assert losses(both)[0] == pytest.approx(losses(alone)[0], rel=1e-6)  # the same batch, before any step
    assert losses(both) == pytest.approx(losses(alone), rel=2e-3)
    one, two = (checkpoint.load(run / WEIGHTS) for run in (alone, both))
    assert one is not None
    assert two is not None
    assert one.keys() == two.keys()
    for key, weights in one.items():
        assert torch.allclose(weights.float(), two[key].float(), atol=5e-3), key

    student = f"{plant}/student"
    run_lab("distill", both, "--data", data, "--out", student, "--images", 16, "--shards", 2, WORSE_TOO)
    load_student(place(student))
    with pytest.raises(RunError, match="s3://plant/runs/student: holds a run with another shards"):
        run(lab, "distill", both, "--data", data, "--out", student, "--images", 16, WORSE_TOO)


@pytest.mark.parametrize("rank", range(3))
def test_processes_that_do_not_divide_the_batch_are_refused_before_they_join(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: int
) -> None:
    for name, value in {"WORLD_SIZE": 3, "LOCAL_WORLD_SIZE": 3, "RANK": rank, "LOCAL_RANK": rank}.items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(ProcessesError, match="of 8 in 2 shards cannot be spread over 3 processes"):
        run(lab, *train_command(data, tmp_path / "run"))
    assert not (tmp_path / "run").exists()
