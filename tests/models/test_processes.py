"""Training on several processes is training on one: the same batches, the same losses, the same model."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.training.fit import LOG
from models.training.train import WEIGHTS
from tests.models.tiny import write_tiny


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("data") / "tiny")


def train(data: Path, out: Path, *launcher: str) -> subprocess.CompletedProcess[str]:
    arguments = ["train", "decodiff", "--data", str(data), "--preset", "nano", "--out", str(out)]
    return subprocess.run(
        [sys.executable, *launcher, "-m", "models", *arguments, "--images", "48"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def torchrun(processes: int) -> list[str]:
    return ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]


def losses(run: Path) -> list[float]:
    with (run / LOG).open(newline="") as file:
        return [float(row["deviation"]) for row in csv.DictReader(file)]


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one_with_the_same_batch(data: Path, tmp_path: Path) -> None:
    alone, both = tmp_path / "alone", tmp_path / "both"
    for done in (train(data, alone), train(data, both, *torchrun(2))):
        assert done.returncode == 0, done.stderr
    assert len(losses(alone)) == 6
    assert losses(both) == pytest.approx(losses(alone), rel=2e-3)
    one, two = (torch.load(run / WEIGHTS, weights_only=True) for run in (alone, both))
    assert one.keys() == two.keys()
    for key, weights in one.items():
        assert torch.allclose(weights.float(), two[key].float(), atol=5e-3), key


@pytest.mark.slow
def test_processes_that_do_not_divide_the_batch_are_refused(data: Path, tmp_path: Path) -> None:
    done = train(data, tmp_path / "run", *torchrun(3))
    assert done.returncode != 0
    assert "a batch of 8 in 2 shards cannot be spread over 3 processes" in done.stderr
    assert not (tmp_path / "run" / WEIGHTS).exists()
