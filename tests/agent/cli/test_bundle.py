"""`plumbline bundle` says what a bundle is; what strangers wrote in it has no effect on the terminal."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from agent.bundle.bundle import MANIFEST, manifest_bytes, write_bundle
from agent.cli.main import app
from agent.foreign import shown
from tests.agent.cli.calling import Plumbline, config, named_in_help
from tests.agent.engines.small_bundle import (
    scores_of,
    small_files,
    small_manifest,
    small_tiles,
    write_small,
)

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


def station(folder: Path, **sections: object) -> Path:
    """Settings of a station that has a folder for bundles."""
    return config(
        folder,
        bundle="bundles/current",
        engine={"kind": "openvino", "cache": "engines"},
        outbox={"path": "outbox.sqlite3", "min_free_bytes": 0},
        **sections,
    )


def another(folder: Path, counter: int, **more: Any) -> Path:
    files = small_files(**more)
    manifest = small_manifest(files).model_copy(update={"counter": counter})
    write_bundle(folder / f"small-{counter}", manifest, files, None)
    return folder / f"small-{counter}"


def test_bundle_install_has_it_served_and_rollback_goes_back(
    plumbline: Plumbline, bundle: Path, tmp_path: Path
) -> None:
    settings = station(tmp_path)
    done = plumbline("bundle", "install", bundle, "-c", settings)
    assert (done.code, done.err) == (0, "")
    assert re.search(r"golden scores: openvino-(bf16|f32) within", done.out)  # as this processor serves
    assert "next reload (systemctl reload plumbline) or start" in done.out
    assert plumbline("bundle", "install", another(tmp_path, 2), "-c", settings).code == 0
    told = json.loads(plumbline("bundle", "status", "-c", settings, "--json").out)
    assert (told["current"]["counter"], told["previous"]["counter"]) == (2, 1)
    assert (told["state"], told["last"]["outcome"]) == ("idle", "applied")
    assert named_in_help(plumbline, "bundle", "status", fields=[*told, *told["current"]])
    back = plumbline("bundle", "rollback", "-c", settings)
    assert back.code == 0 and "gone back to small" in back.out
    assert "current: small" in plumbline("bundle", "status", "-c", settings).out
    again = plumbline("bundle", "install", bundle, "-c", settings)
    assert again.code == 0 and "in force already; nothing was changed" in again.out


def test_bundle_install_of_one_that_scores_otherwise_ends_with_1_and_changes_nothing(
    plumbline: Plumbline, bundle: Path, tmp_path: Path
) -> None:
    settings = station(tmp_path)
    plumbline("bundle", "install", bundle, "-c", settings)
    wrong = another(tmp_path, 2, scores=scores_of(small_tiles()) * np.float32(0.5))
    failed = plumbline("bundle", "install", wrong, "-c", settings)
    assert failed.code == 1 and "golden" in failed.complaint()
    status = plumbline("bundle", "status", "-c", settings)
    assert status.code == 0
    assert "current: small" in status.out and "counter 1" in status.out and "failed here: small" in status.out


def test_bundle_install_takes_what_the_settings_trust_alone(
    plumbline: Plumbline, bundle: Path, tmp_path: Path
) -> None:
    key = Ed25519PrivateKey.generate()
    pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (tmp_path / "key.pem").write_bytes(pem)
    open_to_all = station(tmp_path)
    assert plumbline("bundle", "install", bundle, "-c", open_to_all).code == 0
    settings = station(tmp_path, trust={"keys": ["key.pem"]})
    refused = plumbline("bundle", "install", another(tmp_path, 2), "-c", settings)
    assert refused.code == 1 and "not signed, and trust.keys wants" in refused.complaint()
    # The same model, signed by now: its signature is taken to where it lies.
    assert plumbline("bundle", "install", write_small(tmp_path / "s", key=key), "-c", settings).code == 0
    assert (tmp_path / "bundles" / "current" / "signature").exists()
    assert plumbline("bundle", "install", bundle, "-c", settings).code == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("install", "none"), "none: no such bundle"),
        (("rollback",), "no bundle was here before this one; install one"),
    ],
)
def test_bundle_install_and_rollback_end_with_2_where_there_is_nothing_to_install(
    words: tuple[str, ...], told: str, plumbline: Plumbline, tmp_path: Path
) -> None:
    ended = plumbline("bundle", *words, "-c", station(tmp_path))
    assert ended.code == 2 and told in ended.complaint()


def test_bundle_status_ends_with_1_where_no_bundle_or_a_damaged_one_is_in_force(
    plumbline: Plumbline, bundle: Path, tmp_path: Path
) -> None:
    settings = station(tmp_path)
    none = plumbline("bundle", "status", "-c", settings)
    assert (none.code, none.err) == (1, "") and "current: none" in none.out
    plumbline("bundle", "install", bundle, "-c", settings)
    (tmp_path / "bundles" / "current" / "model.onnx").write_bytes(b"rot")
    damaged = plumbline("bundle", "status", "-c", settings)
    assert damaged.code == 1 and "damaged: " in damaged.out and "copy the bundle again" in damaged.out


def test_settings_that_name_a_bundle_itself_say_how_to_have_them_installed(
    plumbline: Plumbline, bundle: Path, tmp_path: Path
) -> None:
    ended = plumbline("bundle", "install", bundle, "-c", config(tmp_path, bundle="small"))
    assert ended.code == 2 and "set `bundle` to FOLDER/current" in ended.complaint()
