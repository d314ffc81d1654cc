"""Where a station that systemd runs keeps its things, as its unit says with StateDirectory= and its like.

Commands that people give beside it find the same places by the settings file's own: FILE.yaml in
/etc/plumbline belongs to plumbline@FILE.service, agent.yaml there to plumbline.service.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CONFIGURATION = Path("/etc/plumbline")
STATE = Path("/var/lib/plumbline")
CACHE = Path("/var/cache/plumbline")
FILE = "agent.yaml"
ANNOTATED = Path("/usr/share/doc/plumbline/agent.yaml")  # as the package has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Folders of one station."""

    state: Path
    cache: Path

    def defaults(self) -> dict[tuple[str, ...], str]:
        """What settings that say nothing of it mean, by key."""
        return {
            ("bundle",): str(self.state / "bundles" / "current"),  # that `plumbline bundle install` sets
            ("engine", "cache"): str(self.cache / "engines"),
            ("outbox", "path"): str(self.state / "outbox.sqlite3"),
        }


def annotated() -> str:
    """Where people find every setting explained."""
    return str(ANNOTATED) if ANNOTATED.exists() else "config/agent.yaml"


def first_folder(folders: str | None) -> Path | None:
    """The unit's own: drop-ins add theirs behind a colon."""
    return Path(folders.split(":")[0]) if folders else None


def settings_file(environment: Mapping[str, str]) -> Path:
    """The one that is meant where none is named."""
    return (first_folder(environment.get("CONFIGURATION_DIRECTORY")) or CONFIGURATION) / FILE


def instance_of(file: Path) -> str | None:
    """Whose settings these are: "" for plumbline.service, NAME for plumbline@NAME.service, None for nobody.

    By whatever way the file was named; a link keeps its own name.
    """
    if file.parent.resolve() != CONFIGURATION:
        return None
    return "" if file.name == FILE else file.stem


def places_of(file: Path, environment: Mapping[str, str]) -> Places | None:
    """Of the station whose settings these are; None for one that is not run by systemd."""
    state = first_folder(environment.get("STATE_DIRECTORY"))
    if state is not None:
        return Places(state=state, cache=first_folder(environment.get("CACHE_DIRECTORY")) or state)
    instance = instance_of(file)
    return None if instance is None else Places(state=STATE / instance, cache=CACHE / instance)
