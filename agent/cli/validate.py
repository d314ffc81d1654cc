"""`plumbline validate`: a settings file, and what it names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.options import Json, tell_apart
from agent.cli.terminal import say, say_json
from agent.foreign import stored


def validate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="settings, see config/agent.yaml")],
    files: Annotated[
        bool,
        typer.Option("--files/--no-files", help="look at the bundle, folders and secrets that it names, too"),
    ] = True,
    as_json: Json = False,
) -> None:
    """All problems of a settings file at once, and of what it points to.

    With --json: file, digest, files_looked_at; or error, exit_code, problems.
    """
    from agent.settings import settings

    wanted, places = settings.load_with_places(file)
    if files:
        from agent.doctor import references

        missing = [places.line(keys, words) for keys, words in references.problems(wanted)]
        if missing:
            raise settings.SettingsError(missing)
    tell_apart(file)
    if as_json:
        say_json({"file": stored(str(file)), "digest": wanted.digest(), "files_looked_at": files})
        return
    unseen = "" if files else "; the files and folders that it names were not looked at"
    say(f"{file}: good, digest {wanted.digest()[:12]}{unseen}")
