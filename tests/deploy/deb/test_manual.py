"""The man page and completion files are the command line's own words."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from agent.cli.main import app
from manual import COMPLETIONS, man_page
from tools import ROOT

MANUAL = ROOT / "deploy" / "deb" / "manual.py"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("manual")
    subprocess.run([sys.executable, MANUAL, ROOT, folder, "1700000000"], check=True)
    return folder


def commands(group: Any, path: str = "plumbline") -> list[str]:
    found = []
    for name, command in group.commands.items():
        found += commands(command, f"{path} {name}") if hasattr(command, "commands") else [f"{path} {name}"]
    return found


def test_every_command_has_its_section_and_every_option_its_line(made: Path) -> None:
    page = (made / "usr/share/man/man1/plumbline.1").read_text().replace(r"\-", "-")
    named = commands(get_command(app))
    assert len(named) > 15
    for command in named:
        assert f"\n.SS {command} " in page, command
    assert "\n\\fB-c, --config <path>\\fR\n" in page
    assert '.TH PLUMBLINE 1 "2023-11-14" "plumbline ' in page


def test_the_page_reads_without_a_warning(made: Path) -> None:
    groff = shutil.which("groff")
    if groff is None:
        pytest.skip("groff is not here: apt-get install groff-base")
    page = made / "usr/share/man/man1/plumbline.1"
    told = subprocess.run([groff, "-man", "-Tutf8", "-ww", page], capture_output=True, text=True, check=True)
    assert told.stderr == ""
    assert "until SIGTERM" in told.stdout


def test_words_that_roff_would_obey_are_words() -> None:
    tried = typer.Typer()

    @tried.command()
    def first() -> None:
        r""".SH not a section \fBnot bold."""

    @tried.command()
    def second() -> None:
        """'quoted."""

    page = man_page(get_command(tried), "1", "2023-11-14")
    assert "\n\\&.SH not a section \\efBnot bold.\n" in page
    assert "\n\\&'quoted.\n" in page


@pytest.mark.parametrize(
    ("shell", "words"), [("bash", "complete "), ("zsh", "#compdef plumbline"), ("fish", "complete ")]
)
def test_shells_ask_the_program_itself(made: Path, shell: str, words: str) -> None:
    text = (made / COMPLETIONS[shell]).read_text()
    assert words in text
    assert f"_PLUMBLINE_COMPLETE=complete_{shell}" in text


def test_bash_completes_a_command_with_it(made: Path) -> None:
    program = made / "bin" / "plumbline"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from agent.cli.main import main\nmain()\n"
    )
    program.chmod(0o755)
    script = (
        f". {made / COMPLETIONS['bash']}; COMP_WORDS=(plumbline outb); COMP_CWORD=1; "
        '_plumbline_completion plumbline; echo "${COMPREPLY[@]}"'
    )
    told = subprocess.run(
        ["bash", "-c", script],
        env={"PATH": f"{program.parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == "outbox", told.stderr
