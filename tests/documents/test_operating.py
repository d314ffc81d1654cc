"""OPERATING.md names what the code says and takes, so that it cannot fall behind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import get_args

import click
import pytest
import typer

from agent.cli.exit_codes import MEANINGS
from agent.cli.main import app
from agent.schemas.printed import printed
from agent.status.health import GROUNDS, HealthState
from tests.documents.blocks import ROOT, documents

TEXT = (ROOT / "OPERATING.md").read_text(encoding="utf-8")


def commands(command: click.Command, words: str = "plumbline") -> Iterator[str]:
    """Every command of the command line, as it is typed."""
    below = getattr(command, "commands", {})
    for name, one in below.items():
        yield from commands(one, f"{words} {name}")
    if not below:
        yield words


def kinds(section: str) -> list[str]:
    """What `kind` may be in the settings of one section."""
    schema = printed("settings")["$defs"]
    return [
        name
        for title, part in schema.items()
        if title.endswith(section) and "kind" in part["properties"]
        for name in [part["properties"]["kind"].get("const")]
        if name
    ]


@pytest.mark.parametrize("command", sorted(commands(typer.main.get_command(app))))
def test_every_command_stands_in_a_document(command: str) -> None:
    told = "\n".join((ROOT / name).read_text(encoding="utf-8") for name in documents())
    assert re.search(rf"{command}\b", told)


@pytest.mark.parametrize("words", GROUNDS.values())
def test_every_ground_on_which_frames_are_not_judged_stands_there_with_its_remedy(words: str) -> None:
    assert f"| ... {words} |" in TEXT


@pytest.mark.parametrize("section", ["Source", "Gateway"])
def test_every_kind_of_camera_and_gateway_stands_there(section: str) -> None:
    assert len(kinds(section)) == 5
    assert [kind for kind in kinds(section) if f"`{kind}`" not in TEXT] == []


def test_every_state_stands_there() -> None:
    assert [state for state in get_args(HealthState) if f"`{state}`" not in TEXT] == []


def test_every_exit_code_stands_there() -> None:
    assert [int(code) for code in MEANINGS if not re.search(rf"^\| {code:d} \|", TEXT, re.MULTILINE)] == []
