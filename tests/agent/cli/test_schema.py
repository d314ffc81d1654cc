"""`plumbline schema` prints the contract."""

from __future__ import annotations

import json
import re
from typing import get_args

import jsonschema
import pytest

from agent.schemas.contracts import Contract
from tests.agent.cli.calling import CONFIG, Plumbline


def test_every_contract_that_there_is_can_be_asked_for(plumbline: Plumbline) -> None:
    (offered,) = re.findall(r"<([a-z|-]+)>", plumbline("schema", "--help").out)
    assert offered.split("|") == list(get_args(Contract))


@pytest.mark.parametrize(
    "what", ["settings", "verdict", "head", "signed-command", "status", "desired-bundle"]
)
def test_schema_prints_a_valid_json_schema(plumbline: Plumbline, what: str) -> None:
    ended = plumbline("schema", what)
    assert (ended.code, ended.err) == (0, "")
    jsonschema.Draft202012Validator.check_schema(json.loads(ended.out))


def test_the_schema_of_settings_is_the_file_in_config(plumbline: Plumbline) -> None:
    assert plumbline("schema", "settings").out == (CONFIG / "agent.schema.json").read_text(encoding="utf-8")


def test_an_unknown_schema_or_command_is_a_usage_error(plumbline: Plumbline) -> None:
    for words in (["schema", "weather"], ["fly"], ["validate"], ["run", "fast"]):
        ended = plumbline(*words)
        assert ended.code == 2 and "Traceback" not in ended.err


def test_the_words_for_an_unknown_schema_are_ours(plumbline: Plumbline) -> None:
    ended = plumbline("schema", "nonsense")
    assert "'nonsense' is not one of 'settings', 'verdict'" in ended.err and "Value error" not in ended.err
