"""One day of a station from its first record to its closed ledger."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.small_disk import may_mount
from tests.soak.account import Account, Befell, Record, close
from tests.soak.flat import Growth, growths
from tests.soak.hazards import DO
from tests.soak.hurried import DayClock
from tests.soak.plan import DISK, Hazard, Kind
from tests.soak.site import Site, site
from tests.soak.watch import Sample, watched

PART_EVERY_S = 6.0  # of the day that is played, at each camera
LOOKS = 720  # in a day
SOONEST_LOOK_S = 0.5
GROWTH = 0.05  # of memory, the most there may be
MORE = 2  # threads or handles, the most there may be
STILL_S = 5.0  # so long nothing came: nothing more is on its way


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What came of it."""

    hours: float
    minutes: float
    account: Account
    befell: tuple[Befell, ...]
    samples: tuple[Sample, ...]
    growths: tuple[Growth, ...]
    records: tuple[Record, ...]
    healed: int
    faults: tuple[str, ...]  # of the ledger and the chain

    def complaints(self) -> list[str]:
        """All that is not as it should be: of the ledger, what has no explanation, and what grew."""
        grown = (words for growth in self.growths for words in swollen(growth))
        return [*self.faults, *self.account.unexplained, *grown]

    def hour_at(self, elapsed_s: float) -> float:
        """Of the day that was played."""
        return min(elapsed_s / 60 / self.minutes, 1.0) * self.hours


def undoable(folder: Path) -> tuple[Kind, ...]:
    """What this machine cannot do: without root no disk of a few megabytes can be mounted."""
    probe = folder / "may-mount"
    probe.mkdir()
    return () if may_mount(probe) else DISK


def play(
    folder: Path, hazards: Sequence[Hazard], *, minutes: float, hours: float, is_warm: bool = False
) -> Day:
    """Raises AssertionError where the station does not come back from a hazard, and says from which."""
    clock = DayClock(folder / "clock", minutes=minutes, hours=hours)
    has_disk = not {one.kind for one in hazards}.isdisjoint(DISK)
    rate_hz = clock.times / PART_EVERY_S
    befell: list[Befell] = []
    with site(folder, clock, rate_hz=rate_hz, has_disk=has_disk, is_warm=is_warm) as one:
        with watched(
            pid=lambda: one.agent.pid,
            elapsed_s=clock.elapsed_s,
            every_s=max(SOONEST_LOOK_S, minutes * 60 / LOOKS),
            page_port=one.agent.page_port,
        ) as samples:
            for hazard in hazards:
                _sleep_until(clock, hazard.at_h)
                befell.append(_befall(one, hazard))
            _sleep_until(clock, hours)
            one.goes_on()
        return _closed(one, befell, samples, minutes=minutes)


def _befall(one: Site, hazard: Hazard) -> Befell:
    began_s = one.clock.elapsed_s()
    print(f"{one.clock.hour_at(began_s):5.2f} h  {hazard.kind} {hazard.nth + 1}", flush=True)
    try:
        DO[hazard.kind](one, hazard)
    except AssertionError as error:
        raise AssertionError(f"{hazard.kind} {hazard.nth + 1}: {error}\n{one.agent.log()[-4000:]}") from error
    return Befell(kind=hazard.kind, began_s=began_s, ended_s=one.clock.elapsed_s())


def _sleep_until(clock: DayClock, hour: float) -> None:
    while clock.hour_at(clock.elapsed_s()) < hour:
        time.sleep(0.05)


def _closed(one: Site, befell: Sequence[Befell], samples: Sequence[Sample], *, minutes: float) -> Day:
    """Stop the station in order and settle what it committed against what the MES has."""
    began_s = one.clock.elapsed_s()
    one.drain()
    healed = one.committed() - _arrived(one)
    if healed:  # it died with the broker: the MES asks for it again, as it would in a plant
        one.start_agent()
        one.goes_on()
        one.mes.gaps("--heal")
        one.drain()
    committed, _ = one.committed(), _arrived(one)
    code, said = one.mes.gaps()
    one.mes.consumer.stop()
    kept = one.mes.kept(one.clock)
    account = close(
        committed,
        kept.records,
        kept.parts,
        kept.events,
        crops_kept=one.mes.crops(),
        befell=[*befell, Befell(kind="agent stopped", began_s=began_s, ended_s=one.clock.elapsed_s())],
    )
    found = growths(samples, day_s=minutes * 60)
    faults = list(account.faults)
    if code:
        faults.append(f"consumer.py gaps ends with {code}: {said}")
    if kept.unreadable:
        faults.append(f"{kept.unreadable} messages that the MES cannot read")
    for what, ended in (
        ("verify-log of the outbox", one.verify(one.outbox)),
        ("verify-log of the MES", one.verify(one.mes.database)),
        ("consumer.py check", one.mes.check(one.key())),
    ):
        if ended.code:
            faults.append(f"{what} ends with {ended.code}: {ended.out[-500:]}{ended.err[-500:]}")
    return Day(
        hours=one.clock.hours,
        minutes=minutes,
        account=account,
        befell=tuple(befell),
        samples=tuple(samples),
        growths=tuple(found),
        records=kept.records,
        healed=healed,
        faults=tuple(faults),
    )


def _arrived(one: Site) -> int:
    """Verdicts that the MES has, once it has them all or nothing more comes."""
    committed, before, moved_s = one.committed(), -1, time.monotonic()
    while (stored := one.mes.verdicts()) < committed and time.monotonic() - moved_s < STILL_S:
        if stored != before:
            before, moved_s = stored, time.monotonic()
        time.sleep(0.1)
    return stored


def swollen(growth: Growth) -> list[str]:
    """What one life took more at its end than when it was warm, if that is too much."""
    found = []
    if growth.rss_share > GROWTH:
        low, high = growth.rss_mb
        found.append(f"life {growth.life + 1}: memory grew from {low:.1f} to {high:.1f} MB")
    for what, (low, high) in (("threads", growth.threads), ("file handles", growth.handles)):
        if high > low + MORE:
            found.append(f"life {growth.life + 1}: {what} grew from {low:.0f} to {high:.0f}")
    return found
