"""How a rollout begins: everything is checked before anything is said, and what was before is looked up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from agent.clock import Clock, new_uuid7, rfc3339
from agent.contract.topics import group_desired
from agent.errors import PlumblineError
from models.fleet.documents import Content, settings_of
from models.fleet.hall import Hall, highest_reported
from models.fleet.inventory import TOPIC_OF, Inventory, Target, Terms
from models.fleet.ledger import Ledger
from models.fleet.plan import Kind, Member, Patience, Record, StopRule, quotas
from models.fleet.reports import Report

NAMED = 5  # stations in one message


class NotBegun(PlumblineError):
    """Something stands against it; nothing was said to anybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be rolled out, to whom, and how."""

    kind: Kind
    content: Content
    targets: tuple[Target, ...]
    terms: Terms
    above_reported: bool = False  # count on above what stations tell of


def identity_of(kind: Kind, content: Content) -> str | None:
    """What a station says that it runs when it has taken it; None where the counter is that."""
    return str(content["target"]["sha256"]) if kind == "bundle" else None


def begun(wish: Wish, hall: Hall, ledger: Ledger, *, epoch: int, clock: Clock) -> Record:
    """The record of a rollout, durable, of which nothing is said yet. Raises NotBegun and LedgerError."""
    inventory, terms = hall.inventory, wish.terms
    latest = ledger.latest()
    if latest is not None and latest.state == "running":
        raise NotBegun(
            f"the rollout of {latest.began_at} is not at its end; go on with plumbline-lab fleet resume, or "
            "end it with fleet stop"
        )
    known = ledger.highest(inventory.issuer, epoch)
    above = _above(wish, hall, known, epoch)
    _require_free(wish, hall, max(known, above), epoch)
    content = ledger.put(wish.content)
    members = tuple(_member(one, wish, hall, ledger, epoch) for one in wish.targets)
    try:
        sizes = quotas(terms.waves, len(members))
    except ValueError as error:
        raise NotBegun(f"rollout.waves: {error}") from error
    now = clock.utc_now()
    return Record(
        id=new_uuid7(clock),
        kind=wish.kind,
        issuer=inventory.issuer,
        epoch=epoch,
        counter=ledger.reserve(inventory.issuer, epoch, above=above),
        began_at=rfc3339(now),
        expires=rfc3339(now + timedelta(days=terms.expires_days)),
        content=content,
        identity=identity_of(wish.kind, wish.content),
        quotas=sizes,
        rule=StopRule(
            first_wave_failures=terms.first_wave_failures,
            share=terms.max_failed_share,
            finished=terms.min_finished,
        ),
        patience=Patience(answer_s=terms.answer_within_s, end_s=terms.end_within_s, busy_s=terms.busy_s),
        members=members,
    )


def _above(wish: Wish, hall: Hall, known: int, epoch: int) -> int:
    """The counter that the stations' reports are below or at. Raises NotBegun where ours is behind."""
    stations = [station for one in wish.targets for station in one.stations]
    told = highest_reported(hall, stations, hall.inventory.issuer, epoch)
    ahead = {address: counter for address, counter in told.items() if counter > known}
    if ahead and not wish.above_reported:
        raise NotBegun(
            f"stations tell of counters of {hall.inventory.issuer} above {known}, the highest that was used "
            f"here: {_listed(ahead)}; another machine signs as this issuer, or the state folder is an old "
            "copy: mend that, or count on above them with --above-reported"
        )
    return max(ahead.values(), default=0)


def _require_free(wish: Wish, hall: Hall, highest: int, epoch: int) -> None:
    issuer = hall.inventory.issuer
    for target in wish.targets:
        _require_alone(target, wish.kind, hall)
        if hall.is_foreign(target, wish.kind, issuer, epoch, ours=(), below=highest):
            posted = hall.posted[target.topic(wish.kind)]
            assert posted.head is not None
            raise NotBegun(
                f"{target.address}: a document of issuer {posted.head.issuer}, counter "
                f"{posted.head.counter}, stands there, which is not ours; an address has one issuer: use "
                f"that one, or empty {target.topic(wish.kind)}"
            )


def _require_alone(target: Target, kind: Kind, hall: Hall) -> None:
    """One issuer counts once: of two documents that wait for a station the lower one would be refused."""
    if target.address != target.stations[0].desired_address:
        own = [one for one in target.stations if one.topics.desired(TOPIC_OF[kind]) in hall.posted]
        if own:
            raise NotBegun(
                f"{target.address}: {own[0].address} has a document of its own, and would refuse the lower "
                "one of the two; tell the stations, without --at-once, or empty its topic, as with "
                f"mosquitto_pub -r -n -t {own[0].topics.desired(TOPIC_OF[kind])}"
            )
        return
    for group in target.stations[0].groups:
        posted = hall.posted.get(group_desired(TOPIC_OF[kind], group))
        if posted is not None and posted.head is not None and posted.head.issuer == hall.inventory.issuer:
            raise NotBegun(
                f"{target.address}: its group {group} has a document of this issuer, and it would refuse the "
                "lower one of the two; tell the group with --at-once, or empty that topic"
            )


def _member(target: Target, wish: Wish, hall: Hall, ledger: Ledger, epoch: int) -> Member:
    before = _before(target, wish, hall, ledger, epoch)
    if before is None:
        return Member(address=target.address)
    return Member(
        address=target.address,
        before=ledger.put(before),
        before_identity=identity_of(wish.kind, before),
    )


def without_way_back(record: Record) -> list[str]:
    """The addresses to which nobody here can say what was before."""
    return [one.address for one in record.members if one.before is None]


def _before(target: Target, wish: Wish, hall: Hall, ledger: Ledger, epoch: int) -> Content | None:
    """What the target runs, in the words of a document: by its report, else by what is posted."""
    issuer = hall.inventory.issuer
    if target.address == target.stations[0].desired_address:
        report = hall.stations[target.stations[0].address].report
        if report is not None and wish.kind == "bundle":
            return _bundle_of(report, ledger)
        if report is not None:
            return _settings_of(report, target, issuer, ledger)
    posted = hall.posted.get(target.topic(wish.kind))
    if posted is None:
        return settings_of({}) if wish.kind == "settings" else None
    if posted.head is None:
        return None
    name = ledger.issued(target.address, wish.kind, issuer, epoch, posted.head.counter)
    return None if name is None else ledger.content(name)


def _bundle_of(report: Report, ledger: Ledger) -> Content | None:
    active = report.bundle.active
    if active is None:
        return None
    name = ledger.issued_bundle(active.sha256)
    if name is not None:
        return ledger.content(name)
    # The station has it, and keeps it as the one before: nothing is fetched, so that no size is known.
    return {"target": {"id": active.id, "sha256": active.sha256, "size_bytes": 1}, "sources": []}


def _settings_of(report: Report, target: Target, issuer: str, ledger: Ledger) -> Content | None:
    """Of a station that nobody ever told anything: nothing but its own file."""
    active = report.settings.active
    if active.issuer is None:
        return settings_of({})
    if active.issuer != issuer or active.epoch is None or active.counter is None:
        return None
    name = ledger.issued(target.address, "settings", issuer, active.epoch, active.counter)
    return None if name is None else ledger.content(name)


def _listed(counters: Mapping[str, int]) -> str:
    names: Sequence[str] = [f"{address}: {counter}" for address, counter in sorted(counters.items())]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def targets_by_address(inventory: Inventory, record: Record) -> dict[str, Target]:
    """Those of a record that still stand in the inventory."""
    found = {
        one.desired_address: Target(address=one.desired_address, stations=(one,))
        for one in inventory.stations
    }
    for group in inventory.groups:
        found[f"group:{group}"] = Target(address=f"group:{group}", stations=inventory.of_group(group))
    return {one.address: found[one.address] for one in record.members if one.address in found}
