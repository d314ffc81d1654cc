"""Where a station keeps its settings, and how they are made, seen from its settings file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.foreign import shown
from agent.remote.settings.target import Ways
from agent.settings import settings
from agent.settings.places import places_of
from agent.settings.settings import Settings
from agent.trust.trust_set import TrustError, TrustSet, load_trust

UNTRUSTED = (
    "this station takes no documents: in its settings file, name a trust file in trust.file, as "
    "plumbline-lab keys writes it"
)


def state_folder(file: Path, environment: Mapping[str, str] = os.environ) -> Path:
    """The station's own: that of its unit, or the one that its outbox lies in. Raises SettingsError."""
    places = places_of(file, environment)
    return settings.load(file, environment).outbox.path.parent if places is None else places.state


def ways(file: Path, environment: Mapping[str, str] = os.environ) -> Ways:
    """To the settings of the file, and of data in its place."""
    around = settings.around(file, environment)

    def made(data: Mapping[str, Any]) -> Settings:
        return settings.made_of(data, name=shown(str(file)), lines={}, **around)[0]

    def written() -> dict[str, Any]:
        data, lines = settings.read(file)
        settings.made_of(data, name=shown(str(file)), lines=lines, **around)
        return data

    return Ways(file=written, settings=made, trust=trust)


def trust(wanted: Settings) -> TrustSet | str:
    """The keys that may sign for the station; or why there are none."""
    if wanted.trust.file is None:
        return UNTRUSTED
    try:
        return load_trust(wanted.trust.file)
    except TrustError as error:
        return str(error)
