"""The look at a graph before it ships: each rule has a graph that breaks it, and ours break none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from models.shipping.lint import RULES, lint
from tests.models.shipping.broken_graphs import BROKEN, KEPT, graph

SAMPLE = Path(__file__).parents[3] / "models" / "bundles" / "elpv" / "model.onnx"


@pytest.mark.parametrize("rule", BROKEN)
def test_a_graph_that_breaks_a_rule_is_told_by_that_rule_alone(rule: str) -> None:
    problems = lint(BROKEN[rule])
    assert problems
    assert {problem.split(":")[0] for problem in problems} == {rule}


@pytest.mark.parametrize("rule", KEPT)
def test_its_remedy_is_accepted(rule: str) -> None:
    assert lint(KEPT[rule]) == []


def test_every_rule_is_broken_by_some_graph() -> None:
    assert len(BROKEN) == len(RULES)


def test_shapes_that_depend_on_data_are_told() -> None:
    nodes = [helper.make_node("NonZero", ["x"], ["i"]), helper.make_node("Cast", ["i"], ["y"], to=1)]
    found = lint(graph(nodes, given=("n", 4), result=(2, "found")))
    assert any("NonZero makes shapes depend on data" in problem for problem in found)


def test_a_top_k_whose_size_is_computed_is_told() -> None:
    nodes = [helper.make_node("Abs", ["k"], ["c"]), helper.make_node("TopK", ["x", "c"], ["y", "i"])]
    made = graph(nodes, given=("n", 8), result=("n", 2), constants={"k": np.array([2], np.int64)})
    assert any("how many is not a constant" in problem for problem in lint(made))


def test_the_shipped_graph_breaks_no_rule() -> None:
    assert lint(onnx.load(SAMPLE)) == []


def test_looking_changes_nothing() -> None:
    model = onnx.load(SAMPLE)
    before = model.SerializeToString()
    lint(model)
    assert model.SerializeToString() == before
