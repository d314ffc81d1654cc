"""How a rollout begins: everything is checked before anything is said, and what was before is looked up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from agent.clock import Clock, new_uuid7, rfc3339
from agent.errors import PlumblineError
from models.fleet.documents import Content
from models.fleet.hall import Hall, highest_reported
from models.fleet.inventory import Inventory, Target
from models.fleet.ledger import Ledger
from models.fleet.plan import Kind, Member, Patience, Record, StopRule, quotas

NAMED = 5  # stations in one message


class NotBegun(PlumblineError):
    """Something stands against it; nothing was said to anybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be rolled out, to whom, and how."""

    kind: Kind
    content: Content
    targets: tuple[Target, ...]
    waves: tuple[str, ...]
    rule: StopRule
    patience: Patience
    days: int  # after which a station that knows the time refuses it
    above_reported: bool = False  # count on above what stations tell of
    before: Content | None = None  # of stations whose bundle nobody here has issued


def identity_of(kind: Kind, content: Content) -> str | None:
    """What a station says that it runs when it has taken it; None where the counter is that."""
    return str(content["target"]["sha256"]) if kind == "bundle" else None


def begun(wish: Wish, hall: Hall, ledger: Ledger, *, epoch: int, clock: Clock) -> Record:
    """The record of a rollout, durable, of which nothing is said yet. Raises NotBegun and LedgerError."""
    inventory = hall.inventory
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
        sizes = quotas(wish.waves, len(members))
    except ValueError as error:
        raise NotBegun(f"--waves: {error}") from error
    now = clock.utc_now()
    return Record(
        id=new_uuid7(clock),
        kind=wish.kind,
        issuer=inventory.issuer,
        epoch=epoch,
        counter=ledger.reserve(inventory.issuer, epoch, above=above),
        began_at=rfc3339(now),
        expires=rfc3339(now + timedelta(days=wish.days)),
        content=content,
        identity=identity_of(wish.kind, wish.content),
        quotas=sizes,
        rule=wish.rule,
        patience=wish.patience,
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
        if hall.is_foreign(target, wish.kind, issuer, epoch, ours=(), below=highest):
            posted = hall.posted[target.topic(wish.kind)]
            assert posted.head is not None
            raise NotBegun(
                f"{target.address}: a document of issuer {posted.head.issuer}, counter "
                f"{posted.head.counter}, stands there, which is not ours; an address has one issuer: use "
                f"that one, or empty {target.topic(wish.kind)}"
            )


def _member(target: Target, wish: Wish, hall: Hall, ledger: Ledger, epoch: int) -> Member:
    before = _before(target, wish, hall, ledger, epoch)
    if (
        before is None
        and wish.before is not None
        and _runs(target, hall) == identity_of("bundle", wish.before)
    ):
        before = ledger.put(wish.before)
    if before is None:
        return Member(address=target.address)
    return Member(
        address=target.address,
        before=before,
        before_identity=identity_of(wish.kind, ledger.content(before)),
    )


def _before(target: Target, wish: Wish, hall: Hall, ledger: Ledger, epoch: int) -> str | None:
    """The digest of what the target runs, if it was issued here: by its report, else by what is posted."""
    issuer = hall.inventory.issuer
    if len(target.stations) == 1 and target.address == target.stations[0].desired_address:
        station = target.stations[0]
        report = hall.stations[station.address].report
        if report is not None and wish.kind == "bundle":
            active = report.bundle.active
            return None if active is None else ledger.issued_bundle(active.sha256)
        if report is not None:
            settings = report.settings.active
            if settings.issuer != issuer or settings.epoch != epoch or settings.counter is None:
                return None
            for address in (target.address, *(f"group:{group}" for group in station.groups)):
                found = ledger.issued(address, wish.kind, issuer, epoch, settings.counter)
                if found is not None:
                    return found
            return None
    posted = hall.posted.get(target.topic(wish.kind))
    if posted is None or posted.head is None:
        return None
    return ledger.issued(target.address, wish.kind, issuer, epoch, posted.head.counter)


def _runs(target: Target, hall: Hall) -> str | None:
    """The bundle that all stations of a target run, where they run the same."""
    found: set[str | None] = set()
    for station in target.stations:
        report = hall.stations[station.address].report
        found.add(report.bundle.active.sha256 if report is not None and report.bundle.active else None)
    return found.pop() if len(found) == 1 else None


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
