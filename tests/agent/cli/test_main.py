"""Every command ends as its contract says; what a person got wrong is one clear line, never a trace."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from tests.agent.cli.calling import Ended, Plumbline, config, process
from tests.fakes import good_picture


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("simulate",), "--hours"),
        (("simulate",), "--speed"),
        (("simulate",), "--rate-hz"),
        (("demo",), "--duration"),
        (("bench",), "--seconds"),
        (("calibrate", "flat", "-c", "x", "--camera", "a"), "--exposure-us"),
        (("calibrate", "scale", "-c", "x", "--camera", "a"), "--pitch-mm"),
        (("outbox", "export", "-c", "x"), "--to"),
        (("simulate",), "--seed"),
    ],
)
@pytest.mark.parametrize("number", ["inf", "-inf", "nan", "-1", "1e300", "9" * 30, "x"])
def test_a_number_out_of_reason_is_a_usage_error(
    plumbline: Plumbline, words: tuple[str, ...], option: str, number: str
) -> None:
    ended = plumbline(*words, f"{option}={number}")
    assert ended.code == 2 and "Traceback" not in ended.err and option in ended.err


@pytest.mark.parametrize(
    "name", ["part[red].png", "lot[/b].png", "[line3].yaml", ":smile:.png", "a\x1b[31mb.png"]
)
def test_names_are_shown_as_they_are(plumbline: Plumbline, bundle: Path, tmp_path: Path, name: str) -> None:
    visible = name.replace("\x1b", "\\x1b")
    missing = plumbline("inspect", tmp_path / name, "--bundle", bundle)
    assert missing.code == 2 and visible in missing.complaint()
    missing = plumbline("validate", tmp_path / name)
    assert missing.code == 2 and f"{visible}: no such file" in missing.complaint()
    cv2.imwrite(str(tmp_path / "good.png"), good_picture(40, 40))
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / "good.png").rename(tmp_path / f"{name}.png")
    judged = plumbline("inspect", tmp_path / f"{name}.png", "--bundle", bundle)
    assert judged.code == 0 and Path(visible).name in judged.out
    file = config(tmp_path, bundle=str(bundle)).rename(tmp_path / f"{name}.yaml")
    assert f"{visible}.yaml: good" in plumbline("validate", "--no-files", file).out


def test_wrong_paths_are_told_before_anything_slow_is_imported(tmp_path: Path) -> None:
    script = """
import contextlib, io, json, sys
from agent.cli.main import main
for words in json.loads(sys.argv[1]):
    sys.argv = ["plumbline", *words]
    with contextlib.redirect_stderr(io.StringIO()) as told:
        try:
            main()
        except SystemExit as end:
            code = end.code
    print(json.dumps([code, told.getvalue(), [*{"torch", "cv2", "openvino", "numpy"} & set(sys.modules)]]))
"""
    called = (
        ("inspect", "none.png", "--bundle", "none"),
        ("inspect", str(tmp_path), "--bundle", "none"),
        ("bundle", "verify", "none", "--key", "none.pem"),
        ("calibrate", "flat", "-c", "none", "--camera", "a", "--white", "none.png"),
        ("calibrate", "scale", "-c", "none", "--camera", "a", "--pitch-mm", "1", "--source", "none.png"),
        ("validate", "none.yaml"),
    )
    ended = process("-c", script, json.dumps(called))
    for words, line in zip(called, ended.out.splitlines(), strict=True):
        code, told, imported = json.loads(line)
        assert (code, imported) == (2, []), words
        assert "none" in Ended(code=code, out="", err=told).complaint() and "source.path" not in told


def test_help_needs_neither_torch_nor_opencv_nor_openvino() -> None:
    script = """
import sys
from agent.cli.main import main
sys.argv = ["plumbline", "--help"]
try:
    main()
except SystemExit as end:
    assert end.code == 0
print({"torch", "cv2", "openvino", "numpy"} & set(sys.modules))
"""
    ended = process("-c", script)
    assert ended.code == 0 and ended.out.splitlines()[-1] == "set()", ended.err
