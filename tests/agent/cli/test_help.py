"""The help of every command says its defaults and how it ends; the version is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest
import typer

from agent.cli.exit_codes import MEANINGS
from agent.cli.main import app as device
from agent.settings.camera import MAX_MEGAPIXELS
from models.cli.main import app as lab
from models.data.held import TARGET
from tests.agent.cli.calling import Plumbline, process

PROGRAMS = {"agent": typer.main.get_command(device), "models": typer.main.get_command(lab)}


def commands(program: str) -> Iterator[tuple[str, ...]]:
    """The words of every command and group."""

    def below(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield words
        for name, inner in getattr(command, "commands", {}).items():
            yield from below(inner, (*words, name))

    yield from below(PROGRAMS[program], (program,))


def found(words: tuple[str, ...]) -> Any:
    command: Any = PROGRAMS[words[0]]
    for word in words[1:]:
        command = command.commands[word]
    return command


UNSET = ("help", "show_completion", "install_completion")
ALL = [*commands("agent"), *commands("models")]


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_the_help_of_every_command_says_its_exit_codes(words: tuple[str, ...]) -> None:
    epilog = found(words).epilog
    assert epilog.startswith("Exit codes: 0 done") and "; 2 " in epilog
    if len(words) == 1:
        assert all(f"{code:d} {meaning}" in epilog for code, meaning in MEANINGS.items())


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_option_says_what_it_is_and_its_default(words: tuple[str, ...]) -> None:
    for option in found(words).params:
        said = f"{' '.join(words)} {option.name}"
        assert option.help, said
        is_switch = option.default is False or option.name in UNSET
        if option.param_type_name == "option" and not option.required and not is_switch:
            assert option.show_default and (option.default is not None or "default:" in option.help), said


def test_what_the_help_prints_has_defaults_and_codes(plumbline: Plumbline) -> None:
    out = plumbline("bench", "--help").out
    assert "[default: 10.0; " in out and "default: the sample" in out
    assert out.rstrip().endswith("Exit codes: 0 done; 2 wrong argument, setting or file.")


def test_defaults_that_the_help_says_itself_are_those_of_the_code(plumbline: Plumbline) -> None:
    (target,) = [one for one in found(("models", "export")).params if one.name == "target"]
    assert f"default: {TARGET:g}, or what so few can" in target.help
    assert f"default: {MAX_MEGAPIXELS:g}, as of cameras" in plumbline("inspect", "--help").out


@pytest.mark.parametrize("module", ["agent", "models"])
def test_the_version_is_told_without_anything_else(module: str) -> None:
    ended = process("-m", module, "--version")
    assert (ended.code, ended.out, ended.err) == (0, f"plumbline {version('plumbline')}\n", "")


def test_a_wrong_command_line_is_told_as_json_where_json_was_asked_for(plumbline: Plumbline) -> None:
    ended = plumbline("bundle", "info", "--json")
    told = json.loads(ended.out)
    assert (ended.code, ended.err, told["exit_code"]) == (2, "", 2) and "BUNDLE" in told["error"]
