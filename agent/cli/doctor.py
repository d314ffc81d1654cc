"""`plumbline doctor`: what stands in this station's way, with the remedy."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.exit_codes import ExitCode
from agent.cli.options import Json
from agent.cli.terminal import console, is_plain, say, say_json
from agent.foreign import shown, stored

if TYPE_CHECKING:
    from agent.doctor.check import Check
    from agent.doctor.finding import Finding

COLOURS = {"ok": "green", "note": "yellow", "wrong": "bold red", "skipped": "dim"}


def families() -> list[str]:
    """For the shell's completion."""
    from agent.doctor.checks.table import FAMILIES

    return [*FAMILIES]


def doctor(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            help="settings; default: /etc/plumbline/agent.yaml, and where it is not there the machine alone",
        ),
    ] = None,
    family: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="only this family of checks; may be repeated; default: all",
            autocompletion=families,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Look at everything a station stands on, and say what is wrong and what to do.

    Each finding is ok, a note, wrong, or was skipped. Changes nothing, and works beside a running agent.
    With --json: settings, wrong, notes, seconds, findings, each with family, check, state, words, remedy.
    """
    from agent.doctor.checks.table import CHECKS, FAMILIES
    from agent.doctor.doctor import look
    from agent.doctor.machine import Machine
    from agent.doctor.site import site_of
    from agent.doctor.visitor import become_agent, take_credentials

    if unknown := set(family or ()) - set(FAMILIES):
        raise typer.BadParameter(f"--family {', '.join(sorted(unknown))}: it is one of {', '.join(FAMILIES)}")
    started = time.monotonic()
    site = site_of(_settings_file(config), Machine())
    wanted = [check for check in CHECKS if not family or check.family in family]
    told: dict[Check, list[Finding]] = {check: [] for check in wanted}
    user: str | None = None
    with console().status("") as status:
        for check in wanted:
            if check.as_root:
                told[check] += look(site, [check])
        if site.known is not None:
            user = become_agent(site.known)
        take_credentials(site.unit)
        for check in wanted:
            status.update(f"{check.family}: {check.name}")
            if not check.as_root:
                told[check] += look(site, [check])
    found = [one for check in wanted for one in told[check]]
    seconds = time.monotonic() - started
    wrong, notes = (sum(one.state == state for one in found) for state in ("wrong", "note"))
    if as_json:
        say_json(
            {
                "settings": None if site.file is None else stored(str(site.file)),
                "wrong": wrong,
                "notes": notes,
                "seconds": round(seconds, 1),
                "findings": [_content(one) for one in found],
            }
        )
    else:
        _lines(found) if is_plain() else _table(found)
        good = sum(one.state == "ok" for one in found)
        unseen = len(found) - good - notes - wrong
        eyes = "" if user is None else f", as the user {user}"
        say(f"{wrong} wrong, {notes} to note, {good} good, {unseen} not looked at; {seconds:.1f} s{eyes}")
    if wrong:
        raise typer.Exit(ExitCode.NOT_GOOD)


def _settings_file(config: Path | None) -> Path | None:
    from agent.settings.places import settings_file

    if config is not None:
        return config
    usual = settings_file(os.environ)
    return usual if os.path.lexists(usual) else None


def _content(one: Finding) -> dict[str, Any]:
    return {
        "family": one.family,
        "check": one.check,
        "state": one.state,
        "words": stored(one.words),
        "remedy": stored(one.remedy),
    }


def _lines(found: list[Finding]) -> None:
    for one in found:
        remedy = f"; {one.remedy}" if one.remedy else ""
        say(f"{one.state:7} {one.family}: {one.check}: {one.words}{remedy}")


def _table(found: list[Finding]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("", "looked at", "found", "what to do", box=None, padding=(0, 2, 0, 0))
    before = ""
    for one in found:
        if before not in ("", one.family):
            table.add_section()
        name = (
            f"{one.family}: {one.check}" if one.family != before else f"{' ' * len(one.family)}  {one.check}"
        )
        before = one.family
        table.add_row(
            Text(one.state, style=COLOURS[one.state]), name, Text(shown(one.words)), Text(shown(one.remedy))
        )
    console().print(table)
