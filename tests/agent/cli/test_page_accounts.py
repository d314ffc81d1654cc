"""A password from another machine's file is the password alone; what cannot be one makes no account."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from agent.page.sessions import passwords
from agent.page.sessions.accounts import AccountsFile
from tests.agent.cli.calling import Plumbline, config

SAID = "geheim-\u00e9-12345"


def accounts(folder: Path) -> AccountsFile:
    (file,) = folder.glob("*-accounts.json")
    return AccountsFile(file)


@pytest.mark.parametrize("text", [SAID, f"{SAID}\n", f"\ufeff{SAID}\r\n"])
def test_a_byte_order_mark_and_the_lines_end_are_no_part_of_a_password(
    plumbline: Plumbline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    done = plumbline("page", "user", "add", "anna", "--role", "viewer", "-c", config(tmp_path))
    assert done.code == 0, done.err
    assert passwords.is_right(SAID, accounts(tmp_path).now().accounts["anna"].password)


@pytest.mark.parametrize(
    "text", ["", "geheim12345\nmore\n", "geheim\t12345", "geheim12345\udcff", "x" * 5000]
)
def test_what_is_no_password_makes_no_account(
    plumbline: Plumbline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    done = plumbline("page", "user", "add", "anna", "--role", "viewer", "-c", config(tmp_path))
    assert done.code == 2 and "the password" in done.err and len(done.err.splitlines()) == 1
    assert not list(tmp_path.glob("*-accounts.json"))
