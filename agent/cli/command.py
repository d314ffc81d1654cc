"""`plumbline command`: ask a station through its broker, as an MES does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from agent.cli.exit_codes import ExitCode
from agent.cli.options import Json
from agent.cli.terminal import finite, say, say_json
from agent.errors import PlumblineError


def names() -> list[str]:
    """For the shell's completion."""
    from agent.contract.arguments import COMMANDS

    return [*COMMANDS]


def command(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="one of --list", autocompletion=names)
    ] = None,
    pairs: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE...", help="its arguments; a VALUE is text, a number or JSON"),
    ] = None,
    args: Annotated[
        str | None, typer.Option(metavar="JSON", help="its arguments as one JSON object; default: none")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", help="settings: broker, credentials and identity count; default: none"
        ),
    ] = None,
    timeout_s: Annotated[
        float,
        typer.Option("--timeout", min=1, max=3600, callback=finite, help="seconds to wait for the answer"),
    ] = 10.0,
    list_: Annotated[bool, typer.Option("--list", help="show the commands and their arguments")] = False,
    as_json: Json = False,
) -> None:
    """Have a station do something, and print its answer.

    With --json: schema, id, name, code, message, data, expiry_checked; with --list: name, does, arguments.
    """
    if list_:
        _show(as_json=as_json)
        return
    if name is None:
        raise typer.BadParameter("give the NAME of a command; --list shows them")
    if config is None:
        raise typer.BadParameter("give --config: the settings say which station, and at which broker")
    content = _of_json(args) if args is not None else _of_pairs(name, pairs or [])
    if args is not None and pairs:
        raise typer.BadParameter("give either KEY=VALUE or --args, not both")
    answer = _ask(config, name, content, timeout_s)
    if as_json:
        say_json(answer)
    else:
        say(f"{answer['code']} {answer.get('message')}")
        if answer.get("data"):
            say(json.dumps(answer["data"], ensure_ascii=False))
    if answer["code"] != 200:
        raise typer.Exit(ExitCode.NOT_GOOD)


def _ask(config: Path, name: str, args: Any, timeout_s: float) -> dict[str, Any]:
    from agent.clock import SystemClock, new_uuid7
    from agent.contract.topics import Topics
    from agent.remote import asking
    from agent.settings import settings

    wanted, clock = settings.load(config), SystemClock()
    topics = Topics(**wanted.identity.model_dump())
    id_ = new_uuid7(clock)
    payload = json.dumps(asking.request(args, id_=id_, timeout_s=timeout_s, clock=clock)).encode()
    if (refused := asking.refused(topics, name, payload, clock)) is not None:
        raise PlumblineError(refused.message)
    return asking.ask(wanted.mqtt, topics, name, payload, id_=id_, timeout_s=timeout_s, clock=clock)


def _show(*, as_json: bool) -> None:
    from agent.contract.arguments import COMMANDS

    schemas = {name: model.model_json_schema() for name, model in COMMANDS.items()}
    if as_json:
        say_json(
            [
                {"name": name, "does": one["description"], "arguments": one["properties"]}
                for name, one in schemas.items()
            ]
        )
        return
    for name, one in schemas.items():
        say(f"{name}: {' '.join(one['description'].split())}")
        for key, field in one["properties"].items():
            need = "" if key in one.get("required", ()) else " (may be left out)"
            say(f"  {key}{need}: {field['description']}")


def _of_json(text: str) -> Any:
    from agent.contract import strict_json

    try:
        return strict_json.parse(text.encode(errors="surrogateescape"))
    except strict_json.StrictJsonError as error:
        raise typer.BadParameter(f"--args is not strict JSON: {error}") from error


def _of_pairs(name: str, pairs: list[str]) -> dict[str, Any]:
    from agent.contract.arguments import COMMANDS

    fields = COMMANDS[name].model_json_schema()["properties"] if name in COMMANDS else {}
    given: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise typer.BadParameter(f"{pair!r}: give KEY=VALUE")
        if key in given:
            raise typer.BadParameter(f"{key}: it is given twice")
        given[key] = _value(value, fields.get(key, {}))
    return given


def _value(text: str, field: dict[str, Any]) -> Any:
    """A field for text takes a serial number of digits as it is; `null` is none where none may be said."""
    kinds = {one.get("type") for one in field.get("anyOf", [field])}
    if "string" in kinds:
        return None if text == "null" and "null" in kinds else text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
