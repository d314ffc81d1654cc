"""Where a station keeps its settings, and how they are made, seen from its settings file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.foreign import shown
from agent.remote.rollout.rollout_file import NotWritable
from agent.remote.settings.store import FOLDER, SettingsStore
from agent.remote.settings.target import Ways
from agent.settings import settings
from agent.settings.places import places_of
from agent.settings.settings import Settings, SettingsError
from agent.trust.trust_set import TrustError, TrustSet, load_trust

UNTRUSTED = (
    "this station takes no documents: in its settings file, name a trust file in trust.file, as "
    "plumbline-lab keys writes it"
)


def state_folder(file: Path, environment: Mapping[str, str] = os.environ) -> Path:
    """The station's own: that of its unit, or the one that its outbox lies in. Raises SettingsError."""
    places = places_of(file, environment)
    return settings.load(file, environment).outbox.path.parent if places is None else places.state


def apart(file: Path, environment: Mapping[str, str] = os.environ) -> str | None:
    """That a station runs by other settings than its file says, in one sentence; None where it does not, or
    keeps none yet. Raises SettingsError for the file.
    """
    store = SettingsStore(folder=state_folder(file, environment) / FOLDER)
    to = ways(file, environment)
    try:
        kept = store.current() or store.read(store.named("previous"))  # as a start does
    except NotWritable:
        return f"others than {_named(file)} may be in force: {shown(str(store.folder))} may not be read"
    if kept is None:
        return None
    try:
        if to.settings(kept.data).digest() == to.settings(to.file()).digest():
            return None
    except SettingsError:
        settings.load(file, environment)
        return (
            "the settings that are kept as in force are no good any more: the next start goes back from them"
        )
    if kept.origin is None:
        return f"in force are not the settings in {_named(file)}, but others, since {kept.since}"
    of = f"document {kept.origin.counter} of {kept.origin.issuer} for {kept.origin.address}"
    return f"in force are not the settings in {_named(file)} alone, but with {of}, since {kept.since}"


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


def _named(file: Path) -> str:
    return shown(str(file))
