"""The engine that would serve proves itself; one that does not is wrong."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from agent.doctor.checks import engine
from tests.agent.doctor.sites import Driver, machine, site, states, told
from tests.agent.engines.small_bundle import scores_of, small_tiles, write_small

CPU = {"kind": "onnxruntime"}


def test_an_engine_that_gives_the_golden_scores_is_good(tmp_path: Path) -> None:
    write_small(tmp_path / "bundle")
    assert "golden scores within" in told(engine.golden, site(tmp_path, engine=CPU), "ok").words


def test_what_it_compiled_is_kept_for_the_agent_and_found_the_next_time(tmp_path: Path) -> None:
    write_small(tmp_path / "bundle")
    one = site(tmp_path, engine={"kind": "openvino", "precision": "f32"})
    assert "compiled in" in told(engine.golden, one, "ok").words
    assert "from the cache" in told(engine.golden, one, "ok").words


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_another_users_compiled_engines_are_neither_used_nor_thrown_away(tmp_path: Path) -> None:
    write_small(tmp_path / "bundle")
    one = site(tmp_path, engine={"kind": "openvino", "precision": "f32"})
    told(engine.golden, one, "ok")
    (entry,) = (tmp_path / "engines").iterdir()
    for place in (tmp_path / "engines", entry):
        os.chown(place, 65534, 65534)
    before = entry.stat()
    assert "compiled in" in told(engine.golden, one, "ok").words
    assert entry.stat() == before


def test_an_engine_with_other_scores_than_golden_is_wrong(tmp_path: Path) -> None:
    scores = scores_of(small_tiles()) + np.float32(0.2)
    write_small(tmp_path / "bundle", scores=scores)
    said = [*engine.golden(site(tmp_path, engine=CPU))]
    assert said[0].state == "wrong" and "golden scores" in said[0].words


def test_an_engine_that_this_machine_cannot_have_is_wrong(tmp_path: Path) -> None:
    write_small(tmp_path / "bundle")
    found = [*engine.golden(site(tmp_path, engine={"kind": "tensorrt"}))]
    assert found[0].state == "wrong" and found[0].words.startswith("engine.kind: tensorrt needs")


def test_a_driver_that_does_not_work_is_wrong_and_the_cpu_proves_itself(tmp_path: Path) -> None:
    write_small(tmp_path / "bundle")
    one = site(tmp_path, on=machine(tmp_path, load=Driver(999)))
    assert states(engine.golden, one) == ["wrong", "ok"]


def test_without_a_bundle_that_may_run_it_is_skipped(tmp_path: Path) -> None:
    assert states(engine.golden, site(tmp_path)) == ["skipped"]


def test_packages_of_another_environment_are_noted(tmp_path: Path) -> None:
    own = Path(np.__file__).parents[1]
    assert states(engine.packages, site(tmp_path, on=machine(tmp_path, prefix=own))) == ["ok"]
    said = told(engine.packages, site(tmp_path, on=machine(tmp_path, prefix=tmp_path)), "note")
    assert "numpy" in said.words and sys.prefix not in said.remedy
