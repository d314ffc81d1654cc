"""torch-tensorrt would make one engine of the student, with every operator in it."""

from __future__ import annotations

import pytest

from tests.tensorrt.environments import DRYRUN, answer, is_made

pytestmark = pytest.mark.skipif(not is_made(DRYRUN), reason="needs the environment of `make trt-dryrun`")


def test_the_student_is_one_engine_without_a_graph_break() -> None:
    found = answer(DRYRUN, "tests.tensorrt.dryrun")
    for batch in ("batch 1", "batch 4"):
        assert found[batch]["operators"] > 200
        assert found[batch]["supported"] == found[batch]["operators"]
        assert found[batch]["engines"] == 1
