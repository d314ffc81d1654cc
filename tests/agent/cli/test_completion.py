"""What shells complete: commands, options, choices, and cameras of the settings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("plumbline")
LAB = Path(sys.executable).with_name("plumbline-lab")


def completed(line: str, program: Path = PROGRAM) -> list[str]:
    """As bash asks: the line so far, and the place of the word that is written."""
    words = line.split(" ")
    name = program.name.replace("-", "_").upper()
    asked = {
        f"_{name}_COMPLETE": "complete_bash",
        "COMP_WORDS": line.replace(" ", "\n"),
        "COMP_CWORD": str(len(words) - 1),
    }
    done = subprocess.run([program], env={**os.environ, **asked}, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "choices"),
    [
        ("plumbline out", ["outbox"]),
        ("plumbline outbox re", ["replay"]),
        ("plumbline schema me", ["metrics"]),
        ("plumbline schema st", ["status"]),
        ("plumbline demo --camera g", ["gige"]),
        ("plumbline validate --no", ["--no-files"]),
    ],
)
def test_bash_is_told_commands_options_and_choices(line: str, choices: list[str]) -> None:
    assert completed(line) == choices


def test_bash_is_told_the_commands_and_methods_of_the_workshop() -> None:
    assert completed("plumbline-lab di", LAB) == ["distill"]
    assert completed("plumbline-lab train gl", LAB) == ["glad"]


def test_bash_is_told_the_cameras_of_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "station.yaml"
    source = "{kind: folder, path: frames}"
    file.write_text(f"cameras:\n- {{name: top, source: {source}}}\n- {{name: side, source: {source}}}\n")
    assert completed(f"plumbline calibrate flat -c {file} --camera t") == ["top"]
    file.write_text("mqtt: {port: 0}\n")
    assert completed(f"plumbline calibrate flat -c {file} --camera t") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("program", [PROGRAM, LAB], ids=lambda program: program.name)
def test_the_script_for_a_shell_names_the_program(shell: str, program: Path) -> None:
    name = program.name.replace("-", "_").upper()
    done = subprocess.run(
        [program],
        env={**os.environ, f"_{name}_COMPLETE": f"source_{shell}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert program.name in done.stdout and f"_{name}_COMPLETE=complete_{shell}" in done.stdout


def test_bash_itself_completes_with_the_script_of_the_program() -> None:
    asked = """
eval "$(_PLUMBLINE_COMPLETE=source_bash plumbline)"
complete -p plumbline
COMP_WORDS=(plumbline schema ver) COMP_CWORD=2
_plumbline_completion plumbline
echo "${COMPREPLY[@]}"
"""
    path = f"{PROGRAM.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", asked], env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["complete -o default -F _plumbline_completion plumbline", "verdict"]
