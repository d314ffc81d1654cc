"""The man page and the completion files, made from the command line's own help.

Runs in the building environment: `python manual.py TREE_OF_PLUMBLINE FOLDER SECONDS_OF_THE_DATE`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

COMPLETIONS = {
    "bash": "usr/share/bash-completion/completions/plumbline",
    "zsh": "usr/share/zsh/vendor-completions/_plumbline",
    "fish": "usr/share/fish/vendor_completions.d/plumbline.fish",
}
EVERYWHERE = {"help", "install_completion", "show_completion"}  # said once, or done by the package already
FILES = {
    "/etc/plumbline/agent.yaml": "Settings of plumbline.service.",
    "/etc/plumbline/NAME.yaml": "Settings of plumbline@NAME.service, for several stations on one machine.",
    "/etc/plumbline/secrets/": "Keys and passwords, root's alone; systemd hands them to the service.",
    "/var/lib/plumbline/": "State: the outbox with every record not delivered yet, archive, counters.",
    "/var/cache/plumbline/": "Compiled engines; made anew when they are missing.",
    "/opt/plumbline/current": "The environment in use; the one before lies beside it until the next upgrade.",
    "/usr/share/plumbline/bundles/elpv": "The sample model, of solar cells.",
    "/usr/share/doc/plumbline/agent.yaml": "Every setting with its default and what it does.",
}


def man_page(command: Any, version: str, date: str) -> str:
    """The whole command line as one page of roff; `command` is the click group of the program."""
    lines = [
        f'.TH PLUMBLINE 1 "{date}" "plumbline {_roff(version)}" "Plumbline"',
        ".ad l",  # a row of choices has no space that could be made wider
        ".SH NAME",
        r"plumbline \- inspection agent for production lines",
        ".SH SYNOPSIS",
        r".B plumbline",
        r"[\fIOPTION\fR]... \fICOMMAND\fR [\fIARGUMENT\fR]...",
        ".SH OPTIONS",
        *_options(command),
        ".SH COMMANDS",
    ]
    for path, one in _walk(command, "plumbline"):
        lines += [f".SS {_roff(path)} {_roff(_usage(one))}".rstrip(), *_text(one.help or ""), *_options(one)]
        lines += [".PP", *_text(one.epilog or "")] if one.epilog else []
    lines += [".SH EXIT STATUS", *_text((command.epilog or "").removeprefix("Exit codes: "))]
    lines += [".SH FILES"]
    for file, words in FILES.items():
        lines += [".TP", rf"\fI{_roff(file)}\fR", _roff(words)]
    lines += [".SH SEE ALSO", ".BR systemctl (1),", ".BR journalctl (1)"]
    return "\n".join(lines) + "\n"


def _walk(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every command that does something, by its words, in the order of the help."""
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from _walk(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def _usage(command: Any) -> str:
    return " ".join(word for word in command.collect_usage_pieces(command.context_class(command)) if word)


def _options(command: Any) -> Iterator[str]:
    context = command.context_class(command)
    for parameter in command.get_params(context):
        if parameter.name in EVERYWHERE:
            continue
        record = parameter.get_help_record(context)
        if record is not None:
            yield from (".TP", rf"\fB{_roff(record[0])}\fR", _roff(record[1]) or r"\&")


def _text(words: str) -> list[str]:
    """Paragraphs; a line never begins with what roff takes for a request."""
    made: list[str] = []
    for paragraph in words.split("\n\n"):
        made += [".PP", _roff(" ".join(paragraph.split()))]
    return made[1:]


def _roff(words: str) -> str:
    escaped = " ".join(words.split()).replace("\\", r"\e").replace("-", r"\-")
    escaped = escaped.replace("|", r"|\:")  # a long row of choices may be broken there
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped


def completion(shell: str) -> str:
    """What a shell loads to ask plumbline itself for what may follow."""
    return subprocess.run(
        [sys.executable, "-c", "from agent.cli.main import app; app(prog_name='plumbline')"],
        env=os.environ | {"_PLUMBLINE_COMPLETE": f"source_{shell}"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout


def main(tree: str, folder: str, epoch_s: str) -> None:
    """Write the man page and the completion files below `folder`."""
    os.environ["PYTHONPATH"] = tree
    sys.path.insert(0, tree)
    from typer.main import get_command

    from agent.cli.main import app
    from control import version

    app.rich_markup_mode = None
    date = datetime.fromtimestamp(int(epoch_s), tz=timezone.utc).strftime("%Y-%m-%d")
    page = Path(folder) / "usr/share/man/man1/plumbline.1"
    page.parent.mkdir(parents=True)
    page.write_text(man_page(get_command(app), version(), date), encoding="utf-8")
    for shell, file in COMPLETIONS.items():
        path = Path(folder) / file
        path.parent.mkdir(parents=True)
        path.write_text(completion(shell), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
