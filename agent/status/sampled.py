"""What the parts of a station have counted, as samples of the table: one function for each part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agent import logs
from agent.archive.archive import REASONS, Archive, Counts
from agent.cameras.life import OPEN_FAILURES
from agent.cameras.supervisor import Supervisor
from agent.contract.samples import Sample
from agent.drift.compare import KINDS
from agent.drift.watcher import DriftWatch
from agent.foreign import stored
from agent.line.capture import Capture
from agent.line.recipes import Recipes
from agent.outbox.file import Depth
from agent.parts.counts import PartCounts
from agent.remote.remote import Remote
from agent.remote.rollout.orders import Rollouts
from agent.rolls.event import RollMaps
from agent.status.board import Board
from agent.status.health import HEALTH_STATES, assess
from agent.status.parts import Parts
from agent.uplink.uplink import Uplink

NOTHING_ARCHIVED = Counts(
    written=0, dropped=dict.fromkeys(REASONS, 0), evicted=0, failures=0, entries=0, size_bytes=0
)


def of_station(parts: Parts, *, turned_away: int) -> Iterable[Sample]:
    """All but what became of triggers (`Tally`). `turned_away`: connections that the page closed."""
    yield from of_cameras(parts.cameras)
    yield from of_rings(parts.captures)
    yield from of_engines(parts.recipes)
    yield from of_outbox(parts.uplink.outbox.depth())
    yield from of_uplink(parts.uplink)
    yield from of_commands(parts.remote, parts.uplink)
    yield from of_rollouts(parts.rollouts)
    yield from of_rolls(parts.cameras, parts.roll_maps)
    yield from of_archive(parts.archive)
    yield from (PartCounts(()) if parts.part_verdicts is None else parts.part_verdicts.counts).samples()
    yield from of_drift(parts.cameras, parts.drift)
    yield from parts.outputs.samples()
    yield from of_board(parts.board)
    yield Sample("page_turned_away", turned_away)
    yield Sample("log_lines_left_out", logs.left_out())


def of_cameras(cameras: Mapping[str, Supervisor]) -> Iterable[Sample]:
    for name, camera in cameras.items():
        counts = camera.counts()
        yield Sample("camera_streaming", counts.streaming, (name,))
        yield Sample("camera_received", counts.frames, (name,))
        yield Sample("camera_reconnects", counts.reconnects, (name,))
        yield Sample("camera_stalls", counts.stalls, (name,))
        yield Sample("camera_losses", counts.losses, (name,))
        yield Sample("camera_late", counts.late, (name,))
        yield Sample("camera_lines_dropped", counts.lines_dropped, (name,))
        yield Sample("camera_lines_unseen", counts.lines_unseen, (name,))
        for reason in OPEN_FAILURES:
            yield Sample("camera_open_failures", counts.open_failures.get(reason, 0), (name, reason))
        for counter, count in counts.driver.items():
            yield Sample("camera_driver", count, (name, counter))


def of_rings(captures: Mapping[str, Capture]) -> Iterable[Sample]:
    for name, capture in captures.items():
        yield Sample("ring_waiting", capture.waiting, (name,))
        yield Sample("ring_pushed_out", capture.overloaded, (name,))


def of_engines(recipes: Recipes) -> Iterable[Sample]:
    """Those of the bundle in force; failures are counted over all bundles."""
    failed = recipes.bundles.failed
    for name, serves in recipes.serves().items():
        yield Sample("engine_serving", serves, (name,))
        yield Sample("engine_failures", failed.get(name, 0), (name,))


def of_outbox(depth: Depth) -> Iterable[Sample]:
    yield Sample("outbox_rows", depth.rows)
    yield Sample("outbox_bytes", depth.bytes)
    yield Sample("outbox_oldest_seconds", depth.oldest_s)
    yield Sample("outbox_unconfirmed", depth.unconfirmed)
    yield Sample("dead_letters", depth.dead_letters)
    for reader in depth.readers:
        yield Sample("outbox_reader_rows", reader.rows, (reader.name,))
        yield Sample("outbox_reader_oldest_seconds", reader.oldest_s, (reader.name,))
        yield Sample("outbox_reader_refused", reader.refused, (reader.name,))


def of_uplink(uplink: Uplink) -> Iterable[Sample]:
    courier, link = uplink.courier.state, uplink.link
    yield Sample("outbox_full", uplink.keeper.full)
    yield Sample("outbox_rows_lost", uplink.rows_lost)
    yield Sample("crops_evicted", uplink.keeper.evicted)
    yield Sample("broker_connected", link.state.connected)
    yield Sample("published", courier.publications)
    yield Sample("acknowledged", courier.deliveries)
    yield Sample("refused", courier.refusals)
    yield Sample("inbound_dropped", link.inbound_dropped)
    yield Sample("reconnects", max(0, link.state.connects - 1))  # the first one is no reconnect
    for gateway in uplink.gateways:
        name = gateway.state.name
        yield Sample("gateway_failures", gateway.tries_failed, (name,))
        yield Sample("outbox_reader_skipped", uplink.keeper.skipped.get(name, 0), (name,))


def of_commands(remote: Remote, uplink: Uplink) -> Iterable[Sample]:
    yield Sample("commands", remote.desk.performed)
    yield Sample("responses_lost", uplink.link.responses_lost)
    yield Sample("bindings_unused", remote.bindings.unused_told)
    for kind, count in {**remote.desk.refusals, "busy": uplink.link.inbound_refused}.items():
        yield Sample("commands_refused", count, (kind,))


def of_rollouts(rollouts: Rollouts) -> Iterable[Sample]:
    for outcome, count in rollouts.ended().items():
        yield Sample("rollouts", count, (outcome,))
    yield Sample("rollout_probation", rollouts.is_on_probation())


def of_rolls(cameras: Iterable[str], roll_maps: RollMaps) -> Iterable[Sample]:
    for name in cameras:
        yield Sample("roll_maps_failed", roll_maps.failed[name], (name,))


def of_archive(archive: Archive | None) -> Iterable[Sample]:
    counts = NOTHING_ARCHIVED if archive is None else archive.counts()
    yield Sample("archive_written", counts.written)
    yield Sample("archive_evicted", counts.evicted)
    yield Sample("archive_failures", counts.failures)
    yield Sample("archive_entries", counts.entries)
    yield Sample("archive_bytes", counts.size_bytes)
    for reason, count in counts.dropped.items():
        yield Sample("archive_dropped", count, (reason,))


def of_drift(cameras: Iterable[str], drift: DriftWatch) -> Iterable[Sample]:
    active = drift.active()
    for name in cameras:
        for kind in KINDS:
            yield Sample("drift_active", kind in active.get(name, ()), (name, kind))
            yield Sample("drift_episodes", drift.begun[name, kind], (name, kind))
    for view in drift.views():
        for number in view["numbers"]:
            yield Sample("drift_psi", number["psi"], (view["camera"], view["recipe"], number["name"]))


def of_board(board: Board) -> Iterable[Sample]:
    """What the station is and does; shares are those of the last minute, 0 where nothing came."""
    snapshot = board.snapshot()
    state = assess(snapshot).state
    for name in HEALTH_STATES:
        yield Sample("state", name == state, (name,))
    if snapshot.serving is not None:
        yield Sample("info", 1, (snapshot.version, stored(snapshot.serving.bundle)))
    for view in snapshot.cameras:
        yield Sample("unjudged_ratio", view.work.tally.unjudged_share, (view.name,))
