"""`plumbline page`: who may sign in at the page, and which screens show it without."""

from __future__ import annotations

import sys
import unicodedata
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from agent.cli.exit_codes import exits
from agent.cli.options import Config, Json
from agent.cli.terminal import say, say_json
from agent.errors import PlumblineError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agent.page.sessions.accounts import AccountsFile
    from agent.page.sessions.roles import Role

T = TypeVar("T")

MAX_CHARACTERS = 4096  # on standard input
AT_ONCE = "it holds at once; whoever was signed in by it is signed out"

app = typer.Typer(
    no_args_is_help=True,
    help="Say who may sign in at the page, and which screens show it without.",
    epilog=exits("see each command"),
)
user = typer.Typer(
    no_args_is_help=True, help="Accounts of people: viewer, operator or engineer.", epilog=exits()
)
kiosk = typer.Typer(
    no_args_is_help=True, help="Screens that show the page and change nothing.", epilog=exits()
)
app.add_typer(user, name="user")
app.add_typer(kiosk, name="kiosk")

Name = Annotated[str, typer.Argument(metavar="NAME", help="of a-z, 0-9, dot, _ and -")]


def roles() -> list[str]:
    """For the shell's completion."""
    from agent.page.sessions.roles import ROLES

    return [*ROLES]


@user.command(epilog=exits())
def add(
    name: Name,
    config: Config,
    role: Annotated[
        str,
        typer.Option(help="viewer looks, operator also marks, engineer changes all", autocompletion=roles),
    ] = "viewer",
) -> None:
    """Make an account; the password is asked for, or read from standard input."""
    file = _file(config)
    if name in file.now().accounts:
        raise PlumblineError(f"{name}: there is such an account; plumbline page user passwd changes it")
    file.put(name, _role(role), _password())
    say(f"{name} may sign in as {role}")


@user.command(epilog=exits())
def passwd(
    name: Name,
    config: Config,
    role: Annotated[
        str | None, typer.Option(help="another role, too; default: as it was", autocompletion=roles)
    ] = None,
) -> None:
    """Give an account another password, and another role where that is wanted."""
    file = _file(config)
    account = _known(name, file.now().accounts, "account")
    file.put(name, account.role if role is None else _role(role), _password())
    say(f"{name} has another password; {AT_ONCE}")


@user.command(epilog=exits())
def remove(name: Name, config: Config) -> None:
    """Take an account away."""
    file = _file(config)
    _known(name, file.now().accounts, "account")
    file.remove(name, "accounts")
    say(f"{name} is removed; {AT_ONCE}")


@kiosk.command(name="add", epilog=exits())
def add_kiosk(
    name: Name,
    config: Config,
    addresses: Annotated[
        str,
        typer.Option("--from", metavar="RANGE", help="where its screen is, such as 10.1.2.7 or 10.1.2.0/24"),
    ],
) -> None:
    """Make an address that shows the page without signing in; it is told once, and never again."""
    token = _file(config).put_kiosk(name, addresses)
    say(f"open it once on that screen, behind the page's address: kiosk/{token}")


@kiosk.command(name="remove", epilog=exits())
def remove_kiosk(name: Name, config: Config) -> None:
    """Take a kiosk's address away; its screen goes dark at once."""
    file = _file(config)
    _known(name, file.now().kiosks, "kiosk")
    file.remove(name, "kiosks")
    say(f"{name} is removed; it holds at once")


@app.command(name="list", epilog=exits())
def list_(config: Config, as_json: Json = False) -> None:
    """Who may sign in and as what, and the kiosks.

    With --json: accounts; kiosks.
    """
    found = _file(config).now()
    if as_json:
        say_json(
            {
                "accounts": [{"name": name, "role": one.role} for name, one in found.accounts.items()],
                "kiosks": [{"name": name, "addresses": one.addresses} for name, one in found.kiosks.items()],
            }
        )
        return
    for name, account in found.accounts.items():
        say(f"{name}  {account.role}")
    for name, screen in found.kiosks.items():
        say(f"{name}  kiosk, from {screen.addresses}")
    if found.is_empty:
        say("nobody; plumbline page user add makes an account")


def _known(name: str, among: Mapping[str, T], what: str) -> T:
    if name not in among:
        raise PlumblineError(f"{name}: there is no such {what}; see plumbline page list")
    return among[name]


def _file(config: Path) -> AccountsFile:
    from agent.page.sessions.accounts import AccountsFile, path_of
    from agent.settings import settings

    return AccountsFile(path_of(settings.load(config)))


def _role(text: str) -> Role:
    from agent.page.sessions.roles import ROLES

    found = next((one for one in ROLES if one == text), None)
    if found is None:
        raise typer.BadParameter(f"--role: it is one of {', '.join(ROLES)}")
    return found


def _password() -> str:
    if sys.stdin.isatty():
        said: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        return said
    try:
        said = sys.stdin.read(MAX_CHARACTERS).removeprefix("\ufeff").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise PlumblineError(
            "the password on standard input is not UTF-8; give it in one line of that"
        ) from error
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in said):
        raise PlumblineError(
            "the password on standard input has several lines or control characters; give it in one line"
        )
    return said
