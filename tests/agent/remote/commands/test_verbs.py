"""A command has two halves: what may be said, in the contract, and what it does. Neither stands alone."""

from __future__ import annotations

import typing

import pytest

from agent.contract.arguments import COMMANDS
from agent.remote.commands.verbs import VERBS


def test_every_command_of_the_contract_does_something() -> None:
    missing = COMMANDS.keys() - VERBS.keys()
    assert not missing, f"agent/remote/commands/verbs.py: VERBS has no row for {missing}"


def test_everything_that_is_done_is_a_command_of_the_contract() -> None:
    missing = VERBS.keys() - COMMANDS.keys()
    assert not missing, f"agent/contract/arguments.py: COMMANDS has no row for {missing}"


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_takes_the_arguments_that_its_command_has(name: str) -> None:
    taken = typing.get_type_hints(VERBS[name].does)["asked"]
    assert taken is COMMANDS[name], f"agent/remote/commands/verbs.py: {name} takes {taken.__name__}"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_what_it_does_and_answers_and_has_an_example_that_it_takes(name: str) -> None:
    arguments, place = COMMANDS[name], f"{COMMANDS[name].__module__}: {COMMANDS[name].__name__}"
    assert arguments.__dict__.get("__doc__"), f"{place} says nothing"
    for said in ("example", "answer"):
        assert said in arguments.__dict__, f"{place} has no `{said}`"
    assert arguments.model_validate(dict(arguments.example))
