"""What others may ask of a running station, around its uplink: the desk, and what is bound to triggers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import structlog
from pydantic import JsonValue

from agent.clock import Clock, clock_synced
from agent.contract.topics import DesiredKind, Topics, allowed_response_topic
from agent.line.bindings import Bindings
from agent.line.holds import Holds
from agent.outbox.file import FullError
from agent.remote.changes import ChangeFile
from agent.remote.commands.desk import Desk
from agent.remote.commands.goods import Weigh
from agent.remote.commands.log_level import LogLevel
from agent.remote.commands.recording import UNRECORDED, CommandRecord
from agent.remote.commands.signing import Spent, signers_of
from agent.remote.commands.snapshots import Snapshots
from agent.remote.commands.station import Doctor, GoodFrames, Marking, Recipes, Recommending, Station
from agent.remote.documents import Documents, Take
from agent.remote.rollout.orders import Rollouts
from agent.remote.settings.desk import REPORTED
from agent.remote.trees import Trees
from agent.settings.settings import Settings
from agent.uplink.uplink import Uplink

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """To be started behind the uplink and stopped before it; `watch` is to be called once a second."""

    desk: Desk
    bindings: Bindings
    holds: Holds
    snapshots: Snapshots
    log_level: LogLevel
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
        self.log_level.watch()
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the field and people have said of a station; it outlives the agent in files beside the outbox."""

    bindings: Bindings
    holds: Holds


def open_said(wanted: Settings, clock: Clock) -> Said:
    """Of the station with these settings."""
    names = [camera.name for camera in wanted.cameras]
    bindings = Bindings(names, path=_beside(wanted, "bindings.json"), clock=clock)
    bindings.open()
    holds = Holds(names, path=_beside(wanted, "holds.json"), clock=clock)
    holds.open()
    return Said(bindings=bindings, holds=holds)


def build(
    uplink: Uplink,
    wanted: Settings,
    said: Said,
    clock: Clock,
    *,
    marks: Marking | None = None,
    archive: GoodFrames | None = None,
    threshold: Callable[[str | None], float | None],
    in_force: Callable[[], Mapping[str, JsonValue]],
    weigh: Weigh,
    doctor: Doctor | None = None,
    recipes: Recipes | None = None,
    rollouts: Rollouts | None = None,
    takers: Mapping[DesiredKind, Take] = MappingProxyType({}),
    inbox: Path | None = None,
    settings: Recommending | None = None,
    changes: ChangeFile | None = None,
    again: Callable[[str], Mapping[str, JsonValue]] | None = None,
) -> Remote:
    """Of a station whose outbox is open; `takers` take what comes as a document, by topic or folder."""
    topics = uplink.events.topics

    def tell(event: str, words: str, data: Mapping[str, JsonValue]) -> None:
        try:
            uplink.keeper.note(uplink.events.row(event, "warning", words, **data))
        except FullError:  # the outbox says so itself, and what was done holds
            log.warning("event_not_kept", event_name=event, detail=words)

    snapshots = Snapshots([camera.name for camera in wanted.cameras])
    log_level = LogLevel(wanted.logs.level, clock)
    desk = Desk(
        uplink.link.inbound,
        topics=topics,
        station=Station(
            clock=clock,
            outbox=uplink.keeper,
            bindings=said.bindings,
            holds=said.holds,
            pictures=snapshots,
            logs=log_level,
            threshold=threshold,
            tell=tell,
            in_force=in_force,
            weigh=weigh,
            marks=marks,
            archive=archive,
            doctor=doctor,
            recipes=recipes,
            rollouts=rollouts,
            settings=settings,
            again=again,
        ),
        memory=uplink.keeper,
        answers=uplink.link,
        clock=clock,
        clock_synced=clock_synced,
        allowed=lambda topic: allowed_response_topic(topic, topics, wanted.mqtt.response_prefixes),
        signers=signers_of(wanted.trust.file),
        signed=Spent(_beside(wanted, "signed-commands")),
        recorded=UNRECORDED if changes is None else CommandRecord(changes),
    )
    return Remote(
        desk=desk,
        bindings=said.bindings,
        holds=said.holds,
        snapshots=snapshots,
        log_level=log_level,
        uplink=uplink,
        documents=Documents(uplink.link.documents, inbox, takers, _trees(topics, wanted, inbox)),
    )


def _trees(topics: Topics, wanted: Settings, inbox: Path | None) -> Trees | None:
    if inbox is None:
        return None
    return Trees(
        inbox,
        topics=topics.documents(wanted.remote.groups),
        reported=topics.reported(),
        report=inbox.with_name(REPORTED),
    )


def _beside(wanted: Settings, name: str) -> Path:
    return wanted.outbox.path.with_name(f"{wanted.outbox.path.name}-{name}")
