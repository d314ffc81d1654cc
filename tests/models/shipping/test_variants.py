"""A bundle in other precisions: each with its own threshold, or not served in it at all."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import yaml

from agent.bundle.bundle import MANIFEST, Bundle, BundleError, open_bundle, parse_manifest, write_bundle
from agent.cli.main import app as device
from agent.engines.engine import EngineUnavailable, check_golden
from agent.engines.open import open_engine
from agent.settings import settings
from models.cli.main import app as lab
from models.data.held import good_shares
from models.data.threshold import calibrate
from models.judging.nearby import nearby_scores
from models.parts.precision import has_bf16
from models.shipping.lint import lint
from models.shipping.variants import PRECISIONS, VariantError, by_openvino_bf16, by_session, typed_graph
from tests.fakes import FakeEngine
from tests.models.workshop import Workshop, run, run_lab

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
SAMPLE = Path(__file__).parents[3] / "models" / "bundles" / "elpv"
HAS_BF16 = has_bf16(torch.device("cpu"))


@pytest.fixture(scope="module")
def varied(made: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The small bundle with f16 and int8, by the command."""
    out = tmp_path_factory.mktemp("variants") / "bundle"
    run_lab(
        "variants", made.bundle, "--data", made.data, "--out", out,
        "--precision", "f16", "--precision", "int8", "--key", made.private,
    )  # fmt: skip
    return open_bundle(out)


def test_what_was_exported_stays_and_the_release_number_grows(made: Workshop, varied: Bundle) -> None:
    before = open_bundle(made.bundle)
    assert varied.model == before.model
    assert varied.manifest.threshold == before.manifest.threshold
    assert varied.manifest.counter == before.manifest.counter + 1
    assert set(before.manifest.variants or {}) <= set(varied.manifest.variants or {})


@pytest.mark.parametrize("precision", ["f16", "int8"])
def test_a_variant_reproduces_its_own_golden_scores_and_threshold(varied: Bundle, precision: str) -> None:
    own = varied.at(precision)
    assert lint(onnx.load_from_string(own.model)) == []
    tiles, scores = own.golden()
    assert np.allclose(by_session(own.model)(tiles).scores, scores, rtol=1e-4)
    assert own.manifest.threshold.source.endswith(f"in {precision} on ONNX Runtime")
    assert own.manifest.threshold.good_frames == varied.manifest.threshold.good_frames
    assert own.sha256 == varied.sha256  # the bundle's identity, in whatever precision it serves


def test_a_variant_s_threshold_is_that_of_held_back_parts_in_every_state(
    made: Workshop, varied: Bundle
) -> None:
    own = varied.at("f16")
    held = good_shares([made.data]).threshold
    scores = nearby_scores(held, by_session(own.model), own.manifest.input)
    wanted, as_they_are = (
        calibrate(some, target=own.manifest.threshold.target_false_reject_rate, source="").raw
        for some in (scores.max(1), scores[:, 0])
    )
    assert own.manifest.threshold.raw == pytest.approx(wanted, rel=1e-5)
    assert wanted > as_they_are


def test_in_f32_a_bundle_is_itself(varied: Bundle) -> None:
    assert varied.at("f32") is varied


def test_a_precision_without_a_threshold_is_refused_with_what_there_is(varied: Bundle) -> None:
    with pytest.raises(
        BundleError, match=r"no threshold for fp8, only for f32, .*f16, int8; set engine.preci"
    ):
        varied.at("fp8")
    with pytest.raises(EngineUnavailable, match="no threshold for fp8"):
        check_golden(FakeEngine(precision="fp8"), varied)


def test_the_exporter_calibrates_bf16_where_this_machine_serves_it(made: Workshop) -> None:
    bundle = open_bundle(made.bundle)
    engine = open_engine(bundle, settings.Engine())
    assert bundle.at(engine.describe().precision).manifest.threshold.raw > 0
    assert ("bf16" in (bundle.manifest.variants or {})) == HAS_BF16


def test_a_bundle_from_before_variants_is_served_as_it_was() -> None:
    sample = open_bundle(SAMPLE)
    old = dataclasses.replace(sample, manifest=sample.manifest.model_copy(update={"variants": None}))
    assert old.at("bf16") is old


def test_a_manifest_from_before_variants_is_read(varied: Bundle) -> None:
    content = yaml.safe_load(varied.files[MANIFEST])
    del content["variants"]
    assert parse_manifest(yaml.safe_dump(content).encode(), name="old").variants is None


def test_a_variant_whose_graph_is_not_there_is_refused(varied: Bundle, tmp_path: Path) -> None:
    files = {name: varied.files[name] for name in varied.manifest.files if name != "model.f16.onnx"}
    digests = {name: one for name, one in varied.manifest.files.items() if name in files}
    manifest = varied.manifest.model_copy(update={"files": digests})
    write_bundle(tmp_path / "poor", manifest, files, None)
    with pytest.raises(BundleError, match=r"no model\.f16\.onnx"):
        open_bundle(tmp_path / "poor")


def test_info_shows_the_threshold_of_each(varied: Bundle) -> None:
    output = run(device, "bundle", "info", varied.path).output
    assert "threshold in f16" in output
    assert "threshold in int8" in output


def test_an_unknown_precision_is_refused_with_the_known_ones(made: Workshop, tmp_path: Path) -> None:
    arguments = ("variants", made.bundle, "--data", made.data, "--out", tmp_path / "b", "--precision", "fp4")
    result = run(lab, *arguments)
    assert result.exit_code == 2
    for name in PRECISIONS:
        assert name in result.output
    assert not (tmp_path / "b").exists()


def test_nothing_is_written_over(made: Workshop, varied: Bundle) -> None:
    with pytest.raises(BundleError, match="is there already"):
        run(lab, "variants", made.bundle, "--data", made.data, "--out", varied.path)


def test_a_graph_that_no_box_would_take_is_no_variant(varied: Bundle) -> None:
    model = onnx.load_from_string(varied.model)
    next(node for node in model.graph.node if node.op_type == "Relu").op_type = "Selu"
    with pytest.raises(VariantError, match="Selu is in no engine's list"):
        typed_graph(model.SerializeToString(), "f16", varied.golden()[0][:0])


@pytest.mark.skipif(not HAS_BF16, reason="needs bf16")
def test_openvino_says_that_it_computes_in_bf16(varied: Bundle) -> None:
    assert by_openvino_bf16(varied.model)(varied.golden()[0]).scores.shape == varied.golden()[1].shape
