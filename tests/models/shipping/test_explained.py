"""The explaining form says what the student computes; the graph that judges keeps every byte."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from onnx import helper

from agent.bundle.bundle import MODEL, Bundle, open_bundle
from agent.bundle.files import BundleError
from agent.cli.main import app as device
from agent.engines.engine import largest_difference
from agent.explain.form import GOOD, GRAPH, check_form, explains, open_form, read_good
from models.shipping.explained import SHARES, explanation
from models.shipping.explaining import NotExplainable, following, good_of
from models.shipping.export import shipped
from models.student.distill import load_student
from models.student.student import EVIDENCE
from tests.models.workshop import Workshop, run, run_lab

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
SAMPLE = Path(__file__).parents[3] / "models" / "bundles" / "elpv"


def test_an_export_has_an_explaining_form_of_its_good_parts(bundle: Bundle) -> None:
    good = read_good(bundle)
    assert [kind.name for kind in good.kinds] == list(EVIDENCE)
    assert sum(kind.weight for kind in good.kinds) == pytest.approx(1, abs=1e-5)  # of both sums
    assert (
        good.shares == SHARES and good.frames == bundle.manifest.threshold.good_frames + 1
    )  # for statistics
    assert check_form(bundle) <= bundle.manifest.golden.tolerance_f32


def test_evidence_and_features_are_those_of_the_student(made: Workshop, bundle: Bundle) -> None:
    student = shipped(load_student(made.student)[1])
    tiles = bundle.golden()[0]
    found = open_form(bundle).explain(tiles)
    with torch.no_grad():
        x = torch.from_numpy(tiles).float().permute(0, 3, 1, 2) / 127.5 - 1
        _, raw = student.evidence(x)
        standard = (raw - student.mean.view(1, -1, 1, 1)) / student.spread.view(1, -1, 1, 1)
        look = student.look(x)
        scaled = [
            level / student.usual(stage).sqrt().view(1, -1, 1, 1)
            for level, stage in zip(look[1:3], (2, 4), strict=True)
        ]
        features = torch.cat([scaled[0], F.interpolate(scaled[1], scale_factor=2.0, mode="nearest")], 1)
    assert np.allclose(found.evidence, standard.numpy(), atol=2e-2)
    assert np.abs(found.features - features.numpy()).max() <= 1e-3 * float(features.abs().max())


@pytest.mark.slow
def test_the_command_gives_any_bundle_one_and_nothing_else_changes(made: Workshop, tmp_path: Path) -> None:
    before = open_bundle(made.bundle)
    run_lab("explaining", made.bundle, "--out", tmp_path / "plain", "--key", made.private)
    run_lab("explaining", made.bundle, "--data", made.data, "--out", tmp_path / "measured")
    plain, measured = open_bundle(tmp_path / "plain"), open_bundle(tmp_path / "measured")
    assert plain.files["signature"] and "signature" not in measured.files
    for after in (plain, measured):
        assert after.manifest.counter == before.manifest.counter + 1
        assert after.manifest.threshold == before.manifest.threshold
        same = set(before.manifest.files) - {GRAPH, GOOD}
        assert all(after.files[name] == before.files[name] for name in same)
    assert read_good(plain).frames == 0 and read_good(plain).shares == ()
    assert measured.files[GOOD] == before.files[GOOD] and measured.files[GRAPH] == before.files[GRAPH]
    assert "explaining form: within" in run(device, "bundle", "verify", tmp_path / "measured").output


def test_a_bundle_is_never_written_over(made: Workshop) -> None:
    with pytest.raises(BundleError, match="is there already"):
        run_lab("explaining", made.bundle, "--out", made.bundle)


def test_the_shipped_one_is_what_the_workshop_makes_of_its_graph() -> None:
    sample = open_bundle(SAMPLE)
    assert explains(sample)
    model = onnx.load_from_string(sample.model)
    assert sample.files[GRAPH] == following(model)
    found, made = read_good(sample), good_of(model)
    assert found.groups == made.groups
    assert [(kind.name, kind.weight) for kind in found.kinds] == [
        (kind.name, kind.weight) for kind in made.kinds
    ]


@pytest.mark.parametrize("operator", ["ReduceSum", "Log", "Sub", "Pow"])
def test_a_graph_that_is_made_otherwise_is_refused(operator: str) -> None:
    model = onnx.load_from_string(open_bundle(SAMPLE).model)
    for node in model.graph.node:
        if node.op_type == operator:
            node.op_type = "Abs"
    with pytest.raises(NotExplainable):
        following(model)


def test_a_graph_without_a_map_is_refused() -> None:
    graph = helper.make_graph([helper.make_node("Abs", ["x"], ["y"])], "none", [], [])
    with pytest.raises(NotExplainable, match="no blurred sum of evidence"):
        following(helper.make_model(graph))


@pytest.mark.slow
def test_the_sample_keeps_the_golden_scores_of_before(made: Workshop) -> None:
    sample = open_bundle(SAMPLE)
    tiles, scores = sample.golden()
    found = open_form(sample).explain(tiles).scores
    assert largest_difference(found, scores, sample.manifest.threshold.raw) < 1e-5
    assert explanation(sample, ())[GRAPH] == sample.files[GRAPH]
    assert sha256(sample.files[MODEL]).digest() == sha256((SAMPLE / MODEL).read_bytes()).digest()
