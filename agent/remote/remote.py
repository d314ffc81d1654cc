"""What others may ask of a running station, around its uplink: the desk, and what is bound to triggers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from agent.clock import Clock, clock_synced
from agent.contract.topics import DesiredKind, allowed_response_topic
from agent.line.bindings import Bindings
from agent.outbox.file import FullError
from agent.remote.desk import Desk
from agent.remote.documents import Documents, Take
from agent.remote.verbs import Station
from agent.settings.settings import Settings
from agent.uplink.uplink import Uplink


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """To be started behind the uplink and stopped before it; `watch` is to be called once a second."""

    desk: Desk
    bindings: Bindings
    uplink: Uplink
    documents: Documents

    def start(self) -> None:
        self.desk.start()
        self.documents.start()

    def stop(self) -> None:
        self.documents.stop()
        self.desk.stop()

    def watch(self) -> None:
        """Raise what ended the desk, and tell of parts for which no trigger came."""
        for failure in (self.desk.failure, self.documents.failure):
            if failure is not None:
                raise failure
        try:
            self._tell_unused()
        except FullError:  # the outbox says so itself
            return

    def _tell_unused(self) -> None:
        for camera, part in self.bindings.unused():
            detail = f"camera {camera}: no trigger came in time for part {part.part_id}"
            self.uplink.keeper.note(
                self.uplink.events.row(
                    "binding_unused", "warning", detail, camera=camera, part_id=part.part_id
                )
            )


def build(
    uplink: Uplink,
    wanted: Settings,
    clock: Clock,
    *,
    takers: Mapping[DesiredKind, Take] = MappingProxyType({}),
    inbox: Path | None = None,
) -> Remote:
    """Of a station whose outbox is open; `takers` take what comes as a document, by topic or folder."""
    topics = uplink.events.topics
    bindings = Bindings(
        [camera.name for camera in wanted.cameras],
        path=wanted.outbox.path.with_name(f"{wanted.outbox.path.name}-bindings.json"),
        clock=clock,
    )
    bindings.open()
    desk = Desk(
        uplink.link.inbound,
        topics=topics,
        station=Station(outbox=uplink.keeper, bindings=bindings),
        memory=uplink.keeper,
        answers=uplink.link,
        clock=clock,
        clock_synced=clock_synced,
        allowed=lambda topic: allowed_response_topic(topic, topics, wanted.mqtt.response_prefixes),
    )
    documents = Documents(uplink.link.documents, inbox, takers)
    return Remote(desk=desk, bindings=bindings, uplink=uplink, documents=documents)
