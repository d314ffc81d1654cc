"""`plumbline-lab sample elpv` writes what the documented figures are measured on."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from models.cli.main import app
from models.data.datasets import load_items


@pytest.mark.parametrize(
    ("options", "good", "defective"),
    [([], 479, 227), (["--kind", "mono"], 162, 97), (["--kind", "poly"], 317, 130)],
)
def test_the_sample_set_is_a_data_set_with_whole_runs_held_back(
    options: list[str], good: int, defective: int, tmp_path: Path
) -> None:
    done = CliRunner().invoke(app, ["sample", "elpv", "--out", str(tmp_path), *options])
    assert done.exit_code == 0, done.output
    judged = [item for item in load_items(tmp_path) if item.split == "test"]
    assert sum(item.is_good for item in judged) == good
    assert sum(not item.is_good for item in judged) == defective


def test_an_unknown_sample_set_is_refused_by_name(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["sample", "mvtec", "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert "there is: elpv" in done.output
