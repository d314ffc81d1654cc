"""A wrong argument is answered before anything heavy is imported, in words about this command's option."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.demo.demo import SAMPLE_BUNDLE
from agent.errors import PlumblineError
from models.cli.main import app
from models.methods import METHODS
from tests.models.tiny import write_tiny


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    write_tiny(tmp_path / "tiny")
    (tmp_path / "file").write_text("x")
    (tmp_path / "run").mkdir()
    (tmp_path / "good").mkdir()
    (tmp_path / "bundle").symlink_to(SAMPLE_BUNDLE)
    for kind in ("teacher", "student"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "run.yaml").write_text("data: [tiny]")
        (tmp_path / kind / "weights.pt").touch()
    (tmp_path / "student/student.yaml").touch()
    for path in sorted((tmp_path / "tiny/train/good").iterdir()):
        (tmp_path / "good" / path.name).write_bytes(path.read_bytes())
    return tmp_path


WRONG = [
    ("train glad --data absent --out out", "absent: does not exist"),
    ("train glad --data file --out out", "is a file"),
    ("train glad --data run --out out", "is empty"),
    ("train glad --data tiny --out file", "as --out"),
    ("train glad --data tiny --out file/below", "as --out"),
    ("train glad --data tiny --out out --weights absent", "check --weights"),
    ("distill absent --data tiny --out out", "absent: does not exist"),
    ("distill run --data tiny --out out", "no finished teacher"),
    ("export run --data tiny --out out", "no finished student"),
    ("evaluate absent --data tiny", "absent: does not exist"),
    ("evaluate run --data tiny", "neither a bundle nor a finished run"),
    ("evaluate file --data tiny", "nor a readable .plumb file"),
    ("evaluate bundle --data good", "needs good and defective pictures"),
    ("evaluate bundle --data tiny --json no/such.json", "check --json"),
    ("evaluate bundle --data tiny --json run", "as --json"),
    ("evaluate bundle --data tiny --report file", "as --report"),
    ("evaluate bundle --data tiny --product nut", "only a teacher's run can be told the product"),
    ("evaluate teacher --data tiny --product nut", "knows tiny, not 'nut'"),
    ("train glad --data tiny --out student", "holds a student"),
    ("distill teacher --data tiny --out teacher", "holds a teacher"),
    ("export student --data tiny --out out --key absent", "check --key"),
    ("export student --data tiny --out out --key file", "not a readable Ed25519 private key"),
    ("export student --data tiny --out run", "run"),
    ("export student --data absent --out out", "absent: does not exist"),
    ("variants absent --data tiny --out out", "check the argument BUNDLE"),
    ("variants run --data tiny --out out", "holds no bundle"),
    ("variants bundle --data absent --out out", "absent: does not exist"),
    ("variants bundle --data tiny --out run", "run"),
    ("variants bundle --data tiny --out out --key file", "not a readable Ed25519 private key"),
    ("variants bundle --data tiny --out file/out", "as --out"),
]


@pytest.mark.parametrize(("words", "said"), WRONG)
def test_a_wrong_argument_is_named(
    tiny: Path, words: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny)
    result = CliRunner().invoke(app, words.split())
    assert isinstance(result.exception, PlumblineError)
    assert said in str(result.exception)
    assert not (tiny / "out").exists()


def test_nothing_heavy_is_imported_before_the_cheap_checks() -> None:
    heavy = "{'torch', 'diffusers', 'onnx', 'openvino'}"
    code = f"import sys, models.cli.main; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("method", [*METHODS, "patchcore"])
def test_the_methods_of_the_command_are_those_there_are(tiny: Path, method: str) -> None:
    result = CliRunner().invoke(
        app, ["train", method, "--data", str(tiny / "absent"), "--out", str(tiny / "out")]
    )
    assert (result.exit_code == 2) == (method not in METHODS)
