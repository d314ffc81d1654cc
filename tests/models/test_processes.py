"""Training on several processes is training on one: the same batches, the same losses, the same model."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.cli.main import app as lab
from models.training.fit import LOG, ProcessesError
from models.training.train import WEIGHTS
from tests.models.tiny import write_tiny
from tests.models.workshop import run, run_lab


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("data") / "tiny")


def train_command(data: Path, out: Path) -> list[str]:
    said = ["train", "decodiff", "--data", str(data), "--preset", "nano", "--out", str(out)]
    return [*said, "--images", "48"]


def train_on_two(data: Path, out: Path) -> subprocess.CompletedProcess[str]:
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [sys.executable, *torchrun, "-m", "models", *train_command(data, out)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def losses(run: Path) -> list[float]:
    with (run / LOG).open(newline="") as file:
        return [float(row["deviation"]) for row in csv.DictReader(file)]


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one_with_the_same_batch(data: Path, tmp_path: Path) -> None:
    alone, both = tmp_path / "alone", tmp_path / "both"
    run_lab(*train_command(data, alone))
    done = train_on_two(data, both)
    assert done.returncode == 0, done.stderr
    assert len(losses(alone)) == 6
    assert losses(both) == pytest.approx(losses(alone), rel=2e-3)
    one, two = (torch.load(run / WEIGHTS, weights_only=True) for run in (alone, both))
    assert one.keys() == two.keys()
    for key, weights in one.items():
        assert torch.allclose(weights.float(), two[key].float(), atol=5e-3), key


@pytest.mark.parametrize("rank", range(3))
def test_processes_that_do_not_divide_the_batch_are_refused_before_they_join(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: int
) -> None:
    for name, value in {"WORLD_SIZE": 3, "LOCAL_WORLD_SIZE": 3, "RANK": rank, "LOCAL_RANK": rank}.items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(ProcessesError, match="of 8 in 2 shards cannot be spread over 3 processes"):
        run(lab, *train_command(data, tmp_path / "run"))
    assert not (tmp_path / "run").exists()
