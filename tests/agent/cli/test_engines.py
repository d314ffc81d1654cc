"""`plumbline engines` builds, lists and prunes."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from tests.agent.cli.calling import Plumbline, named_in_help
from tests.agent.engines.small_bundle import write_small


def test_engines_are_built_listed_and_pruned(plumbline: Plumbline, tmp_path: Path) -> None:
    write_small(tmp_path / "small")
    config = tmp_path / "station.yaml"
    wanted = {"version": 1, "bundle": "small", "engine": {"kind": "openvino", "threads": 1}}
    config.write_text(yaml.safe_dump(wanted))
    assert "0 engines, 0.0 MB" in plumbline("engines", "list", "-c", config).out
    built = plumbline("engines", "build", "-c", config)
    assert built.code == 0 and "compiled in" in built.out and "golden scores within" in built.out
    assert "from the cache in" in plumbline("engines", "build", "-c", config).out
    (told,) = json.loads(plumbline("engines", "list", "-c", config, "--json").out)["engines"]
    assert (told["is_good"], told["engine"]) == (True, "openvino")
    assert named_in_help(plumbline, "engines", "list", fields=["folder", "engines", *told])
    listed = plumbline("engines", "list", "-c", config)
    assert "1 engines" in listed.out and "openvino" in listed.out
    (file,) = (tmp_path / "engines").iterdir()
    kept = plumbline("engines", "prune", "-c", config)
    assert "0 deleted, 1 kept" in kept.out
    file.write_bytes(file.read_bytes()[:-1])
    pruned = plumbline("engines", "prune", "-c", config)
    assert f"deleted {file}" in pruned.out and "1 deleted, 0 kept" in pruned.out
    plumbline("engines", "build", "-c", config)
    assert "1 deleted, 0 kept" in plumbline("engines", "prune", "-c", config, "--all").out


def test_an_engine_that_cannot_be_had_ends_the_build_with_the_remedy(
    plumbline: Plumbline, tmp_path: Path
) -> None:
    write_small(tmp_path / "small")
    config = tmp_path / "station.yaml"
    wanted = {"version": 1, "bundle": "small", "engine": {"kind": "torch_tensorrt", "device": "cpu"}}
    config.write_text(yaml.safe_dump(wanted))
    ended = plumbline("engines", "build", "-c", config)
    assert ended.code == 2
    assert "engine.device: torch_tensorrt does not run on cpu; set auto or another kind" in ended.complaint()
