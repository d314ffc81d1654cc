"""`plumbline command`: ask a station through its broker, as an MES does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from agent.cli.exit_codes import ExitCode
from agent.cli.options import Json
from agent.cli.terminal import finite, say, say_json
from agent.errors import PlumblineError
from agent.foreign import shown


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
        typer.Option("--timeout", min=1, max=86_400, callback=finite, help="seconds to wait for the answer"),
    ] = 10.0,
    to_sign: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="send nothing: write it for plumbline-lab keys sign, good for --timeout; default: none",
        ),
    ] = None,
    issuer: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="with --to-sign: who asks, of a-z, 0-9, _ and -; default: none"),
    ] = None,
    signed: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="send this signed command in place of NAME; default: none"),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="show the commands and their arguments")] = False,
    as_json: Json = False,
) -> None:
    """Have a station do something, and print its answer.

    One that takes long is answered with 202 while it is being done; the last answer counts.
    With --json: schema, id, name, code, message, data, expiry_checked; with --list: name, does, arguments.
    """
    if list_:
        _show(as_json=as_json)
        return
    if name is None and signed is None:
        raise typer.BadParameter("give the NAME of a command; --list shows them")
    if config is None:
        raise typer.BadParameter("give --config: the settings say which station, and at which broker")
    if (to_sign is None) != (issuer is None):
        raise typer.BadParameter("--to-sign and --issuer go together")
    tell = _silent if as_json else _tell
    if signed is not None:
        if name is not None or to_sign is not None:
            raise typer.BadParameter("--signed holds all of the command; leave NAME and --to-sign out")
        answer = _send(config, signed, timeout_s, tell)
    else:
        assert name is not None
        if args is not None and pairs:
            raise typer.BadParameter("give either KEY=VALUE or --args, not both")
        content = _of_json(args) if args is not None else _of_pairs(name, pairs or [])
        if to_sign is not None and issuer is not None:
            _write(config, name, content, to_sign, issuer, timeout_s)
            return
        answer = ask_station(config, name, content, timeout_s, tell)
    if as_json:
        say_json(answer)
    else:
        say(f"{answer['code']} {answer.get('message')}")
        if answer.get("data"):
            say(json.dumps(answer["data"], ensure_ascii=False))
    if answer["code"] != 200:
        raise typer.Exit(ExitCode.NOT_GOOD)


def _silent(answer: dict[str, Any]) -> None:
    """One JSON document is printed, which is the last answer."""


def _tell(answer: dict[str, Any]) -> None:
    data = answer.get("data")
    say(f"{answer['code']} {answer.get('message')}{' ' if data else ''}{json.dumps(data) if data else ''}")


def _write(config: Path, name: str, args: Any, file: Path, issuer: str, valid_s: float) -> None:
    from agent.clock import SystemClock, new_uuid7
    from agent.contract.topics import Topics
    from agent.remote.commands import asking
    from agent.settings import settings

    wanted, clock = settings.load(config), SystemClock()
    topics, id_ = Topics(**wanted.identity.model_dump()), new_uuid7(clock)
    plain = json.dumps(asking.request(args, id_=id_, timeout_s=valid_s, clock=clock)).encode()
    if (refused := asking.refused(topics, name, plain, clock)) is not None:
        raise PlumblineError(refused.message)
    content = asking.to_sign(topics, name, args, issuer=issuer, id_=id_, valid_s=valid_s, clock=clock)
    try:
        with file.open("xb") as made:
            made.write(content)
    except FileExistsError as error:
        raise PlumblineError(
            f"{shown(str(file))}: is there already; give another file with --to-sign"
        ) from error
    except OSError as error:
        raise PlumblineError(f"{shown(str(file))}: not written: {error.strerror}; check --to-sign") from error
    say(f"{file}: have it signed with plumbline-lab keys sign, and sent with --signed within {valid_s:g} s")


def _send(
    config: Path, file: Path, timeout_s: float, tell: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    from agent.clock import SystemClock
    from agent.contract.topics import Topics
    from agent.remote.commands import asking
    from agent.remote.commands.admission import MAXIMUM_BYTES
    from agent.settings import bounded, settings

    wanted, clock = settings.load(config), SystemClock()
    topics = Topics(**wanted.identity.model_dump())
    try:
        data = bounded.read(file, max_bytes=MAXIMUM_BYTES)
    except bounded.UnreadableError as error:
        raise PlumblineError(f"{shown(str(file))}: not read: {shown(str(error))}; check --signed") from error
    asked = asking.read_signed(data, topics)
    return asking.ask(
        wanted.mqtt, topics, asked.name, data, id_=asked.id, timeout_s=timeout_s, clock=clock, under_way=tell
    )


def ask_station(
    config: Path, name: str, args: Any, timeout_s: float, tell: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Its last answer, through the broker of the settings. Raises PlumblineError."""
    from agent.clock import SystemClock, new_uuid7
    from agent.contract.topics import Topics
    from agent.remote.commands import asking
    from agent.settings import settings

    wanted, clock = settings.load(config), SystemClock()
    topics = Topics(**wanted.identity.model_dump())
    id_ = new_uuid7(clock)
    payload = json.dumps(asking.request(args, id_=id_, timeout_s=timeout_s, clock=clock)).encode()
    if (refused := asking.refused(topics, name, payload, clock)) is not None:
        raise PlumblineError(refused.message)
    return asking.ask(
        wanted.mqtt, topics, name, payload, id_=id_, timeout_s=timeout_s, clock=clock, under_way=tell
    )


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
