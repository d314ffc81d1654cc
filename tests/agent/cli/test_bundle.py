"""`plumbline bundle` shows what strangers wrote, and nothing of it acts on the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.bundle.bundle import MANIFEST, manifest_bytes, write_bundle
from agent.cli.main import app
from agent.foreign import shown
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
def test_errors_of_a_manifest_have_no_effect_on_the_terminal(tmp_path: Path, text: str) -> None:
    files = small_files()
    write_bundle(tmp_path / "x", small_manifest(files), files, None)
    assert (tmp_path / "x" / MANIFEST).read_bytes() == manifest_bytes(small_manifest(files))
    (tmp_path / "x" / MANIFEST).write_text(text)
    done = CliRunner().invoke(app, ["bundle", "verify", str(tmp_path / "x")])
    assert done.exit_code == 1
    assert "\x1b" not in done.stderr and "\r" not in done.stderr and len(done.stderr.splitlines()) == 1
