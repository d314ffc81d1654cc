"""`plumbline bundle` says what a bundle is; what strangers wrote in it has no effect on the terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.bundle.bundle import MANIFEST, manifest_bytes, write_bundle
from agent.cli.main import app
from agent.foreign import shown
from tests.agent.cli.calling import Plumbline, named_in_help
from tests.agent.engines.small_bundle import small_files, small_manifest

NASTY = "\x1b[2J[bold red]CE[/bold red] [/x] \u202e\u2028 [link=http://x]y[/link]"


@pytest.mark.parametrize("field", ["licence", "method", "preset", "created", "features", "commands"])
def test_info_shows_free_text_of_the_manifest_as_it_stands(tmp_path: Path, field: str) -> None:
    files = small_files()
    manifest = small_manifest(files)
    value: object = (NASTY,) if field == "commands" else NASTY
    if field == "licence":
        manifest = manifest.model_copy(update={field: value})
    else:
        provenance = manifest.provenance.model_copy(update={field: value})
        manifest = manifest.model_copy(update={"provenance": provenance})
    write_bundle(tmp_path / "x", manifest, files, None)
    done = CliRunner().invoke(app, ["bundle", "info", str(tmp_path / "x")], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    assert shown(NASTY) in done.output and "\x1b" not in done.output


@pytest.mark.parametrize(
    "text",
    [
        'format: "\\e[31m"\n',
        '"\\e[31m": 1\n',
        'format: plumbline.bundle/1\nname: "[/b]\\r"\n',
        '"a\\e": 1\n"a\\e": 2\n',
    ],
)
def test_errors_of_a_manifest_have_no_effect_on_the_terminal(
    plumbline: Plumbline, tmp_path: Path, text: str
) -> None:
    files = small_files()
    write_bundle(tmp_path / "x", small_manifest(files), files, None)
    assert (tmp_path / "x" / MANIFEST).read_bytes() == manifest_bytes(small_manifest(files))
    (tmp_path / "x" / MANIFEST).write_text(text)
    ended = plumbline("bundle", "verify", tmp_path / "x")
    assert ended.code == 1
    assert "\x1b" not in ended.err and "\r" not in ended.err and ended.complaint()


def test_bundle_info_says_what_is_inside(plumbline: Plumbline, bundle: Path) -> None:
    ended = plumbline("bundle", "info", bundle)
    assert (ended.code, ended.err) == (0, "")
    assert "CC0-1.0" in ended.out and "0.5000" in ended.out


def test_bundle_info_of_a_missing_path_says_so(plumbline: Plumbline, tmp_path: Path) -> None:
    ended = plumbline("bundle", "info", tmp_path / "none")
    assert ended.code == 2 and "none: no such bundle" in ended.complaint()


def test_bundle_verify_runs_the_golden_tiles_here(plumbline: Plumbline, bundle: Path) -> None:
    ended = plumbline("bundle", "verify", bundle)
    assert ended.code == 0, ended.err
    assert "3 files match" in ended.out and "openvino-f32 within" in ended.out


def test_bundle_verify_ends_with_1_when_the_bundle_was_changed(plumbline: Plumbline, bundle: Path) -> None:
    (bundle / "model.onnx").write_bytes(b"another model")
    ended = plumbline("bundle", "verify", bundle)
    assert ended.code == 1 and "model.onnx" in ended.complaint() and "copy the bundle again" in ended.err


@pytest.mark.parametrize(
    "words", [("none",), ("empty",), ("small", "--key", "none.pem"), ("small", "--key", "key.pem")]
)
def test_bundle_verify_ends_with_2_where_an_argument_is_wrong(
    plumbline: Plumbline, bundle: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "key.pem").write_text("no key")
    ended = plumbline(
        "bundle", "verify", *(word if word.startswith("-") else tmp_path / word for word in words)
    )
    assert ended.code == 2 and words[-1] in ended.complaint()


def test_bundle_info_and_verify_as_json(plumbline: Plumbline, bundle: Path) -> None:
    info = json.loads(plumbline("bundle", "info", bundle, "--json").out)
    assert (info["licence"], info["thresholds"]["f32"]["raw"]) == ("CC0-1.0", 0.5)
    assert named_in_help(plumbline, "bundle", "info", fields=info)
    done = json.loads(plumbline("bundle", "verify", bundle, "--json").out)
    assert (done["sha256"], done["files"]) == (info["sha256"], 3)
    assert named_in_help(plumbline, "bundle", "verify", fields=done)
    assert done["signature"] == {"is_checked": False, "claimed_by": []}
    assert done["golden"][0]["engine"] == "openvino-f32" and done["golden"][0]["difference"] < 1e-3
    (bundle / "model.onnx").write_bytes(b"another model")
    failed = plumbline("bundle", "verify", bundle, "--json")
    assert (failed.code, failed.err) == (1, "")
    told = json.loads(failed.out)
    assert told["exit_code"] == 1 and "model.onnx" in told["error"]
