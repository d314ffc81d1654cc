"""A station that hears commands: an uplink, and around it what others may ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from agent.remote import remote
from agent.remote.remote import Remote
from agent.settings.settings import Settings
from agent.teach.weighing import weigh
from agent.uplink.uplink import Uplink
from tests.agent.uplink.stations import hears, status
from tests.agent.uplink.test_uplink import built_of, settings
from tests.brokers import eventually

NOTHING_MORE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Asked:
    settings: Settings
    uplink: Uplink
    remote: Remote

    def start(self) -> None:
        self.uplink.start()
        self.remote.start()

    def hears(self) -> None:
        """Wait until the broker sends it commands."""
        eventually(lambda: hears(self.uplink.link), "it hears commands")

    def stop(self) -> None:
        self.remote.stop()
        self.uplink.stop(status("stopped"))


def asked(
    path: Path, port: int, protocol: str = "5", parts: Mapping[str, Any] = NOTHING_MORE, **others: object
) -> Asked:
    """`parts` are handed to `remote.build`, `others` stand in the settings."""
    wanted = settings(path, port, protocol, **others)
    uplink = built_of(wanted)
    said = remote.open_said(wanted, uplink.clock)
    made = remote.build(
        uplink,
        wanted,
        said,
        uplink.clock,
        threshold=lambda camera: 0.031,
        in_force=dict,
        weigh=weigh,
        **parts,
    )
    return Asked(settings=wanted, uplink=uplink, remote=made)
