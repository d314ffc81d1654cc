"""A bundle that was changed, or that nobody here trusts, is wrong."""

from __future__ import annotations

from pathlib import Path

from agent.doctor.checks import bundle
from tests.agent.doctor.sites import site, states, told
from tests.agent.engines.small_bundle import write_small


def test_a_whole_bundle_is_good(tmp_path: Path) -> None:
    write_small(tmp_path / "bundle")
    one = site(tmp_path)
    assert states(bundle.digests, one) == ["ok"]
    assert bundle.usable(one) is not None


def test_a_changed_file_is_wrong(tmp_path: Path) -> None:
    model = write_small(tmp_path / "bundle") / "model.onnx"
    model.write_bytes(model.read_bytes() + b"\0")
    said = told(bundle.digests, site(tmp_path), "wrong")
    assert "model.onnx" in said.words and "copy the bundle again" in said.remedy
    assert states(bundle.trust, site(tmp_path)) == ["skipped"]
    assert bundle.usable(site(tmp_path)) is None


def test_an_unsigned_bundle_is_a_note_without_keys_and_wrong_with_them(tmp_path: Path) -> None:
    write_small(tmp_path / "bundle")
    assert states(bundle.trust, site(tmp_path)) == ["note"]
    assert states(bundle.trust, site(tmp_path, trust={"keys": ["none.pem"]})) == ["wrong"]


def test_a_bundle_that_is_older_than_allowed_is_wrong(tmp_path: Path) -> None:
    write_small(tmp_path / "bundle")
    one = site(tmp_path, trust={"lowest_counter": 99})
    assert "counter" in told(bundle.trust, one, "wrong").words
    assert bundle.usable(one) is None
