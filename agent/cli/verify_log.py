"""`plumbline verify-log` and `plumbline station-key`: whether records are those that the station made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.exit_codes import ExitCode
from agent.cli.options import Config, Json
from agent.cli.terminal import say, say_json

LARGEST = (1 << 53) - 1


def verify_log(
    place: Annotated[
        Path,
        typer.Argument(
            metavar="PLACE",
            help="an outbox, the folder of a folder gateway, JSON Lines of records as they came, or the "
            "database of deploy/mes",
        ),
    ],
    first: Annotated[
        int | None,
        typer.Option("--from", min=1, max=LARGEST, help="first record, by chain.number; default: all"),
    ] = None,
    last: Annotated[
        int | None,
        typer.Option("--to", min=1, max=LARGEST, help="last record, by chain.number; default: all"),
    ] = None,
    key: Annotated[
        list[Path] | None,
        typer.Option(help="the station's public key in PEM; again for each; default: what the heads name"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check the chain of records, and name its first broken link.

    With --json: path, whole, first_break, segments, unchained, odd, pictures, trusted.
    """
    from agent.chain.report import document, verify, words
    from agent.trust.keys import load_public_key

    if first is not None and last is not None and last < first:
        raise typer.BadParameter(f"--to {last} is before --from {first}")
    report = verify(place, keys=[load_public_key(one) for one in key or ()], first=first, last=last)
    if as_json:
        say_json(document(report))
    else:
        for line in words(report):
            say(line)
    if report.first_break is not None:
        raise typer.Exit(ExitCode.NOT_GOOD)


def station_key(config: Config, as_json: Json = False) -> None:
    """The public half of the key with which the station signs its chain of records, in PEM.

    With --json: path, key_id, public, pem.
    """
    from agent.chain.notary import key_file
    from agent.settings import settings
    from agent.trust.keys import key_id
    from agent.trust.private_keys import public_half, public_pem, station_public_key

    path = key_file(settings.load(config).outbox.path)
    key = station_public_key(path)
    pem = public_pem(key).decode()
    if as_json:
        say_json(
            {
                "path": str(public_half(path)),
                "key_id": key_id(key),
                "public": key.public_bytes_raw().hex(),
                "pem": pem,
            }
        )
        return
    typer.echo(pem, nl=False)
