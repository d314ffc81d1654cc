"""The stations of a fleet, and the broker by which they are reached: one YAML file, held to the letter.

    issuer: office               # whose documents count together
    trust: trust.json            # the stations' trust file
    state: fleet-state           # folder for counters and rollouts: keep it, and have one only
    mqtt: {host: broker.plant.example, port: 8883, tls: true, ...}   # as in the settings of a station
    stations:
      - address: plant/hall-1/line-2/cell-1
        groups: [press]
    rollout: {waves: ["1", 5%, 25%, rest], max_failed_share: 0.05}   # and more, see Terms; may be left out

Relative paths start from the file's folder.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator

from agent.contract.desired import group_address, station_address
from agent.contract.topics import DesiredKind, Topics, group_desired
from agent.errors import PlumblineError
from agent.foreign import shown
from agent.settings import bounded, strict_yaml
from agent.settings.problems import Places, problems_of, unusable_texts
from agent.settings.section import Identifier, Section
from agent.settings.settings import Mqtt, SettingsError
from models.fleet.plan import Kind, quotas

MAX_STATIONS = 5000
TOPIC_OF: dict[Kind, DesiredKind] = {"settings": "config", "bundle": "bundle"}
_GROUP = "group:"
_STATION = "station:"


class UnknownTarget(PlumblineError):
    """Nobody in the inventory is called that; says what there is."""


class Station(Section):
    """One station; `groups` as in `remote.groups` of its settings."""

    address: str = Field(pattern=r"^[a-z0-9_-]{1,64}(/[a-z0-9_-]{1,64}){3}$")
    groups: tuple[Identifier, ...] = Field((), max_length=16)

    @property
    def topics(self) -> Topics:
        site, area, line, station = self.address.split("/")
        return Topics(site=site, area=area, line=line, station=station)

    @property
    def desired_address(self) -> str:
        return station_address(self.topics)


class Terms(Section):
    """How a rollout goes on, and when it stops."""

    waves: tuple[str, ...] = Field(("1", "5%", "25%", "rest"), min_length=1, max_length=16)
    first_wave_failures: int = Field(0, ge=0)  # that are borne
    max_failed_share: float = Field(0.05, ge=0, le=1)  # of all that ended
    min_finished: int = Field(5, ge=1)  # before the share says anything
    answer_within_s: float = Field(300.0, ge=0.1)  # else it is not waited for
    end_within_s: float = Field(86_400.0, ge=0.1)  # else it is not waited for
    busy_s: float = Field(30.0, ge=0.1)  # until a station that was busy is told again
    expires_days: int = Field(30, ge=1, le=3650)  # after which stations that know the time refuse it

    @field_validator("waves")
    @classmethod
    def _have_a_size(cls, waves: tuple[str, ...]) -> tuple[str, ...]:
        quotas(waves, 1)
        return waves


class Inventory(Section):
    """The file's content."""

    issuer: Identifier
    trust: Path
    state: Path = Path("fleet-state")
    mqtt: Mqtt = Mqtt()
    rollout: Terms = Terms()
    stations: tuple[Station, ...] = Field(min_length=1, max_length=MAX_STATIONS)

    @field_validator("stations")
    @classmethod
    def _stand_once(cls, stations: tuple[Station, ...]) -> tuple[Station, ...]:
        seen: set[str] = set()
        for one in stations:
            if one.address in seen:
                raise ValueError(f"station {one.address} stands twice; name each once")
            seen.add(one.address)
        return stations

    def of_group(self, group: str) -> tuple[Station, ...]:
        return tuple(one for one in self.stations if group in one.groups)

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(sorted({group for one in self.stations for group in one.groups}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One address that documents go to, and who listens there."""

    address: str  # as in a document
    stations: tuple[Station, ...]

    def topic(self, kind: Kind) -> str:
        if self.address.startswith(_GROUP):
            return group_desired(TOPIC_OF[kind], self.address.removeprefix(_GROUP))
        return self.stations[0].topics.desired(TOPIC_OF[kind])


def load(path: Path) -> Inventory:
    """Raises SettingsError with every problem at once, each as `file:line: key: message`."""
    name = shown(str(path))
    try:
        text = bounded.text_of(bounded.read(path, max_bytes=strict_yaml.MAX_BYTES))
        data, lines = strict_yaml.load(text, name=name)
    except bounded.UnreadableError as error:
        raise SettingsError([f"{name}: not read: {error}; name the inventory of the fleet"]) from error
    except strict_yaml.YamlError as error:
        raise SettingsError([str(error)]) from error
    if not isinstance(data, dict):
        raise SettingsError([f"{name}:1: an inventory is a mapping with issuer, trust, mqtt and stations"])
    places = Places(name=name, lines=lines, overridden={})
    bad = list(unusable_texts(data))
    try:
        found = Inventory.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        bad += problems_of(error, Inventory)
    if bad:
        raise SettingsError([places.line(keys, words) for keys, words in bad], bad)
    return _anchored(found, path.parent.resolve())


def stations_of(inventory: Inventory, names: Sequence[str]) -> tuple[Target, ...]:
    """Every station that is meant, each once, in the inventory's order.

    A name is `all`, `group:NAME`, or a station as `SITE/AREA/LINE/STATION` or `STATION` alone.
    Raises UnknownTarget.
    """
    chosen: set[str] = set()
    for name in names:
        chosen |= {one.address for one in _meant(inventory, name)}
    return tuple(
        Target(address=one.desired_address, stations=(one,))
        for one in inventory.stations
        if one.address in chosen
    )


def groups_of(inventory: Inventory, names: Sequence[str]) -> tuple[Target, ...]:
    """The groups themselves, as addresses of documents. Raises UnknownTarget."""
    found = []
    for name in dict.fromkeys(names):
        if not name.startswith(_GROUP):
            raise UnknownTarget(
                f"--to {shown(name)[:80]}: a group is told at once, a station is not; give group:NAME"
            )
        stations = _meant(inventory, name)
        found.append(Target(address=group_address(name.removeprefix(_GROUP)), stations=stations))
    return tuple(found)


def _meant(inventory: Inventory, name: str) -> tuple[Station, ...]:
    if name == "all":
        return inventory.stations
    if name.startswith(_GROUP):
        found = inventory.of_group(name.removeprefix(_GROUP))
        known = ", ".join(inventory.groups) or "none"
    else:
        wanted = name.removeprefix(_STATION)
        found = tuple(one for one in inventory.stations if wanted in (one.address, one.topics.station))
        known = ", ".join(one.address for one in inventory.stations[:5])
    if not found:
        raise UnknownTarget(
            f"--to {shown(name)[:80]}: not in the inventory; there are {known}; give all, group:NAME, or a "
            "station as SITE/AREA/LINE/STATION"
        )
    if len(found) > 1 and not name.startswith(_GROUP):
        several = ", ".join(one.address for one in found[:5])
        raise UnknownTarget(f"--to {shown(name)[:80]}: is several: {several}; give the whole address")
    return found


def _anchored(inventory: Inventory, base: Path) -> Inventory:
    def anchored(value: Any) -> Any:
        return base / value if isinstance(value, Path) else value

    mqtt = inventory.mqtt
    files = {key: anchored(getattr(mqtt, key)) for key in type(mqtt).model_fields}
    return inventory.model_copy(
        update={
            "trust": anchored(inventory.trust),
            "state": anchored(inventory.state),
            "mqtt": mqtt.model_copy(update=files),
        }
    )
