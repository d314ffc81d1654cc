"""One model for several products, one student of several teachers: by the commands, from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from agent.bundle.bundle import open_bundle
from models.cli.main import app as lab
from models.data.datasets import DataError
from models.data.preflight import PreflightError
from models.training.train import RUN, STUDENT, RunError
from tests.models.small_memory import small_memory
from tests.models.tiny import write_tiny
from tests.models.workshop import WORSE_TOO, run, run_lab

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
    pytest.mark.usefixtures("yardsticks"),
]


@pytest.fixture(autouse=True)
def small_yardsticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held against them is not the point."""
    small_memory(monkeypatch)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two products, two teachers that know both, and their one student."""
    root = tmp_path_factory.mktemp("products")
    for seed, name in enumerate(("gasket", "washer")):
        write_tiny(root / name, seed=seed)
    for method in ("decodiff", "diffusionad"):
        run_lab("train", method, *data(root), "--preset", "nano", "--out", root / method, "--images", 64)
    teachers = (root / "decodiff", root / "diffusionad")
    run_lab("distill", *teachers, *data(root), "--out", root / "student", "--images", 160, WORSE_TOO)
    return root


def data(root: Path) -> list[object]:
    return ["--data", root / "washer", "--data", root / "gasket"]


def test_a_run_says_which_products_and_teachers_it_knows(both: Path) -> None:
    content = yaml.safe_load((both / "student" / RUN).read_text())
    assert content["data"] == ["gasket", "washer"]
    assert content["method"] == "decodiff+diffusionad"
    assert yaml.safe_load((both / "student" / STUDENT).read_text())["teachers"] == ["decodiff", "diffusionad"]


@pytest.mark.parametrize("product", ["gasket", "washer"])
def test_each_product_is_judged_by_itself(both: Path, tmp_path: Path, product: str) -> None:
    for model in ("decodiff", "student"):
        run_lab("evaluate", both / model, "--data", both / product, "--json", tmp_path / "figures.json")
        assert 0 <= json.loads((tmp_path / "figures.json").read_text())["image_auroc"] <= 1


def test_a_teacher_may_be_told_the_product(both: Path) -> None:
    run_lab("evaluate", both / "decodiff", "--data", both / "gasket", "--product", "gasket")
    with pytest.raises(PreflightError, match="knows gasket, washer, not 'nut'"):
        run(lab, "evaluate", both / "decodiff", "--data", both / "gasket", "--product", "nut")
    with pytest.raises(PreflightError, match="only a teacher's run can be told the product"):
        run(lab, "evaluate", both / "student", "--data", both / "gasket", "--product", "gasket")


def test_a_student_is_taught_on_the_products_of_its_teachers(both: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="the teachers know gasket, washer, the data are gasket"):
        run(lab, "distill", both / "decodiff", "--data", both / "gasket", "--out", tmp_path / "student")
    assert not (tmp_path / "student").exists()


def test_a_product_given_twice_is_refused(both: Path, tmp_path: Path) -> None:
    same = ["--data", both / "gasket", "--data", both / "gasket"]
    with pytest.raises(DataError, match="product 'gasket' stands twice"):
        run(lab, "train", "decodiff", *same, "--preset", "nano", "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_one_bundle_serves_all_its_products(both: Path) -> None:
    run_lab(
        "export", both / "student", *data(both), "--out", both / "bundle", "--name", "both", "--target", 0.3
    )
    assert open_bundle(both / "bundle").manifest.provenance.data == "gasket, washer"
