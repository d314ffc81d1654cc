"""How a program begins and ends: help that suits where it goes, errors as lines or JSON, exit codes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import typer

from agent.address import masked_text
from agent.cli.exit_codes import ExitCode, NotGood
from agent.cli.terminal import UNCUT, complain, is_plain, say_json
from agent.errors import PlumblineError
from agent.foreign import stored

UsageError: Any = typer.BadParameter.__base__  # of click, or of the one inside newer Typers
UNFIT = "Value error, "  # said by pydantic, in which newer Typers check choices


def run(app: typer.Typer, program: str, *, json_errors: bool) -> ExitCode:
    """Run the command of this process; a known problem is printed without a trace.

    With `json_errors` a problem is a JSON document on standard output where the command line has --json.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed before the start: nobody reads, for as long as this runs
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    as_json = json_errors and "--json" in _options(sys.argv[1:])
    try:
        return _run(app, program, as_json=as_json)
    except BrokenPipeError:
        return _gone()
    except SystemExit as end:  # Typer, click and rich turn the closed pipe into one
        if isinstance(end.__context__, BrokenPipeError):
            return _gone()
        raise


def _run(app: typer.Typer, program: str, *, as_json: bool) -> ExitCode:
    width: dict[str, Any] = {}
    if is_plain():
        app.rich_markup_mode = None
        width = {} if "COLUMNS" in os.environ else {"terminal_width": UNCUT}
    code = ExitCode.DONE
    try:
        code = ExitCode(app(standalone_mode=False, **width) or 0)
    except UsageError as error:
        error.message = error.message.replace(UNFIT, "")
        code = ExitCode.WRONG
        if as_json:
            say_json(_document(error.format_message(), code), indent=None)
        else:
            _show(error, is_rich=app.rich_markup_mode is not None)
    except typer.Abort:
        code = ExitCode.INTERRUPTED
        complain(f"{program}: interrupted")
    except PlumblineError as error:
        code = ExitCode.NOT_GOOD if isinstance(error, NotGood) else ExitCode.WRONG
        _tell(error, program, code, as_json=as_json)
    sys.stdout.flush()
    return code


def _options(words: list[str]) -> list[str]:
    return words[: words.index("--")] if "--" in words else words


def _tell(error: PlumblineError, program: str, code: ExitCode, *, as_json: bool) -> None:
    """Problems of settings stand alone, as file:line: editors can then jump to them."""
    problems: list[str] | None = getattr(error, "problems", None)
    if as_json:
        say_json(_document(str(error), code, problems), indent=None)
        return
    for line in problems if problems is not None else [f"{program}: {error}"]:
        complain(masked_text(line))


def _document(words: str, code: ExitCode, problems: list[str] | None = None) -> dict[str, Any]:
    content: dict[str, Any] = {"error": stored(masked_text(words)), "exit_code": int(code)}
    if problems is not None:
        content["problems"] = [stored(masked_text(line)) for line in problems]
    return content


def _show(error: Any, *, is_rich: bool) -> None:
    if not is_rich:
        error.show()
        return
    from typer.rich_utils import rich_format_error

    rich_format_error(error)


def _gone() -> ExitCode:
    """Nobody reads any more: nothing is left to be flushed, so that the interpreter does not complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitCode.PIPE_CLOSED
