"""TensorRT-RTX takes the shipped graph in every precision for SM86 and SM89, without a word of warning."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from agent.bundle.bundle import open_bundle
from models.shipping.variants import PRECISIONS, typed_graph
from tests.models.shipping.broken_graphs import BROKEN, REFUSED_BY_TENSORRT
from tests.tensorrt.environments import ROOT, RTX, answer, is_made

pytestmark = pytest.mark.skipif(not is_made(RTX), reason="needs the environment of `make trt-check`")
SAMPLE = ROOT / "models" / "bundles" / "elpv"


@pytest.mark.parametrize("precision", ["f32", *PRECISIONS])
def test_the_sample_s_graph_is_parsed_and_built(precision: str, tmp_path: Path) -> None:
    bundle = open_bundle(SAMPLE)
    graph = bundle.model
    if precision != "f32":
        graph = typed_graph(bundle.model, precision, bundle.golden()[0][:2])  # type: ignore[arg-type]
    (tmp_path / "model.onnx").write_bytes(graph)
    found = answer(RTX, "tests.tensorrt.build", str(tmp_path / "model.onnx"))
    assert found["parsed"]
    assert found["engine_bytes"] > 1_000_000
    assert found["messages"] == []


@pytest.mark.parametrize("rule", REFUSED_BY_TENSORRT)
def test_what_the_lint_refuses_for_tensorrt_s_sake_is_refused_by_it(rule: str, tmp_path: Path) -> None:
    onnx.save(BROKEN[rule], tmp_path / "model.onnx")
    found = answer(RTX, "tests.tensorrt.build", str(tmp_path / "model.onnx"))
    assert not found["engine_bytes"]
    assert found["messages"]
