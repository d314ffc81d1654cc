"""Options that several commands have, and what a shell completes for them."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from agent.errors import PlumblineError


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
        help="settings, see config/agent.yaml",
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="print one JSON document and nothing else; a problem as error, exit_code"),
]


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
