"""Options that several commands have, and what a shell completes for them."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.terminal import complain
from agent.errors import PlumblineError

if TYPE_CHECKING:
    from agent.settings.settings import Settings


def _settings_file() -> Path:
    from agent.settings.places import settings_file

    return settings_file(os.environ)


Config = Annotated[
    Path,
    typer.Option(
        "--config",
        "-c",
        default_factory=_settings_file,
        show_default="/etc/plumbline/agent.yaml",
        readable=False,  # why it is not, and what to do, is said when it is read
        help="settings, see config/agent.yaml",
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="print one JSON document and nothing else; a problem as error, exit_code"),
]


def loaded(config: Path) -> Settings:
    """What the settings file says, and a word where the station runs by others. Raises SettingsError."""
    from agent.settings import settings

    found = settings.load(config)
    tell_apart(config)
    return found


def tell_apart(config: Path) -> None:
    """One line on standard error, where other settings are in force than this good file says."""
    from agent.remote.settings.in_force import apart

    if words := apart(config):
        complain(f"plumbline: {words}; see plumbline settings show")


def camera_names(context: typer.Context) -> list[str]:
    """The cameras of the settings file that stands earlier in the line; none where it cannot be read."""
    from agent.settings import settings

    config = context.params.get("config")
    if config is None:
        return []
    try:
        return [camera.name for camera in settings.load(Path(config)).cameras]
    except PlumblineError:
        return []


CameraName = Annotated[
    str, typer.Option("--camera", help="its name in the settings", autocompletion=camera_names)
]


def _tell_version(is_wanted: bool) -> None:
    if is_wanted:
        print(f"plumbline {version('plumbline')}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", is_eager=True, callback=_tell_version, help="print the version and end")
]
