"""`plumbline-lab sample elpv` writes what the documented figures are measured on."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from models.cli.main import app
from models.data.datasets import load_items


@pytest.mark.parametrize(
    ("options", "good", "defective"),
    [
        ([], 479, 227),
        (["--kind", "mono"], 162, 97),
        (["--kind", "poly"], 317, 130),
        (["--development"], 243, 118),  # of the runs that train
    ],
)
def test_the_sample_set_is_a_data_set_with_whole_runs_held_back(
    options: list[str], good: int, defective: int, tmp_path: Path
) -> None:
    done = CliRunner().invoke(app, ["sample", "elpv", "--out", str(tmp_path), *options])
    assert done.exit_code == 0, done.output
    judged = [item for item in load_items(tmp_path) if item.split == "test"]
    assert sum(item.is_good for item in judged) == good
    assert sum(not item.is_good for item in judged) == defective


def test_a_picture_of_the_same_name_that_is_another_is_not_written_over(tmp_path: Path) -> None:
    args = ["sample", "elpv", "--out", str(tmp_path), "--kind", "mono"]
    assert CliRunner().invoke(app, args).exit_code == CliRunner().invoke(app, args).exit_code == 0
    mine = min((tmp_path / "test" / "good").iterdir())
    mine.write_bytes(b"mine")
    done = CliRunner().invoke(app, args)
    assert done.exit_code != 0 and "another picture" in str(done.exception)
    assert mine.read_bytes() == b"mine"


def test_cells_for_development_are_not_mixed_with_those_of_the_test(tmp_path: Path) -> None:
    args = ["sample", "elpv", "--out", str(tmp_path)]
    assert CliRunner().invoke(app, [*args, "--kind", "mono"]).exit_code == 0
    before = sorted(tmp_path.rglob("*.png"))
    done = CliRunner().invoke(app, [*args, "--development"])
    assert done.exit_code != 0 and "in another split" in str(done.exception)
    assert {path.parent.name for path in before} == {"good", "defective"}


def test_an_unknown_sample_set_is_refused_by_name(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["sample", "mvtec", "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert "there is: elpv" in done.output
