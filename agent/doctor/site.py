"""What checks look at: a machine and, where they are known, the settings of a station on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agent.doctor.machine import Machine
from agent.settings import settings as settings_files
from agent.settings.places import instance_of
from agent.settings.settings import Settings, SettingsError


class NoSettingsError(Exception):
    """A check needs settings, and there are none that can be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """`problems` are of the settings' file, one line each; `runs` where the station itself asks."""

    machine: Machine
    known: Settings | None = None
    file: Path | None = None
    problems: tuple[str, ...] = ()
    runs: bool = False

    @property
    def settings(self) -> Settings:
        """Raises NoSettingsError."""
        if self.known is None:
            raise NoSettingsError
        return self.known

    @property
    def unit(self) -> str | None:
        """The service whose settings these are; None where they are nobody's."""
        instance = None if self.file is None else instance_of(self.file)
        if instance is None:
            return None
        return f"plumbline@{instance}.service" if instance else "plumbline.service"


def site_of(file: Path | None, machine: Machine) -> Site:
    """With the settings of `file`; a file that cannot be used is a finding, too."""
    if file is None:
        return Site(machine=machine)
    try:
        return Site(machine=machine, file=file, known=settings_files.load(file))
    except SettingsError as error:
        return Site(machine=machine, file=file, problems=tuple(error.problems))
