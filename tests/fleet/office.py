"""The office of a simulated plant: begins rollouts and carries them on, from its folder on the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from models.fleet import begin, waves
from models.fleet.begin import Wish
from models.fleet.conduct import Conductor, Office
from models.fleet.documents import Content, settings_of
from models.fleet.hall import Hall
from models.fleet.inventory import Target, Terms, groups_of, stations_of
from models.fleet.ledger import Ledger
from models.fleet.plan import Kind, Record
from tests.fleet.sources import Ware
from tests.fleet.world import KEY, TRUST, World, inventory_of

TERMS = Terms(answer_within_s=5, end_within_s=60, busy_s=1)


def terms(*waves: str, **more: float) -> Terms:
    """These waves, with the patience of a test."""
    return TERMS.model_copy(update={"waves": waves, **more})


class Desk:
    """Each call is a process of its own: all that it knows comes from the folder and the broker."""

    def __init__(self, world: World, folder: Path, *, ledger: Ledger | None = None) -> None:
        self.world = world
        self.ledger = ledger or Ledger(folder=folder)
        self.said: list[str] = []

    def bundle(self, ware: Ware, *to: str, **options: Any) -> Record:
        return self.begin("bundle", ware.content(), *to, **options)

    def settings(self, patch: dict[str, Any], *to: str, **options: Any) -> Record:
        return self.begin("settings", settings_of(patch), *to, **options)

    def begin(
        self,
        kind: Kind,
        content: Content,
        *to: str,
        terms: Terms = TERMS,
        above_reported: bool = False,
        at_once: bool = False,
    ) -> Record:
        with self.ledger.held():
            hall = self._hall()
            chosen = groups_of if at_once else stations_of
            targets: tuple[Target, ...] = chosen(hall.inventory, to or ("all",))
            wish = Wish(
                kind=kind,
                content=content,
                targets=targets,
                terms=terms,
                above_reported=above_reported,
            )
            record = begin.begun(wish, hall, self.ledger, epoch=TRUST.epoch, clock=self.world.clock)
            conductor = self._conductor(hall, record)
            conductor.begin()
            return conductor.run()

    def resume(self) -> Record:
        """What a person does after a stop, or after the tool was killed."""
        with self.ledger.held():
            record = self.record()
            conductor = self._conductor(self._hall(), record)
            if record.state == "stopped":
                conductor.change(waves.resumed)
            return conductor.run()

    def follow(self) -> Record:
        """Whatever the record says and the broker does not have yet."""
        with self.ledger.held():
            return self._conductor(self._hall(), self.record()).run()

    def stop(self) -> Record:
        with self.ledger.held():
            conductor = self._conductor(self._hall(), self.record())
            conductor.change(waves.stopped, "by hand")
            return conductor.run()

    def back(self) -> Record:
        with self.ledger.held():
            conductor = self._conductor(self._hall(), self.record())
            conductor.change(waves.taken_back)
            return conductor.run()

    def record(self) -> Record:
        found = self.ledger.latest()
        assert found is not None
        return found

    def results(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for one in self.record().members:
            found[one.result or "none"] = found.get(one.result or "none", 0) + 1
        return found

    def _hall(self) -> Hall:
        hall = Hall(inventory=inventory_of(self.world.stations))
        self.world.office(hall)
        return hall

    def _conductor(self, hall: Hall, record: Record) -> Conductor:
        office = Office(
            ledger=self.ledger,
            keys=[KEY],
            trust=TRUST,
            name="trust.json",
            clock=self.world.clock,
            say=self.said.append,
        )
        return Conductor(office, hall, self.world, record)


def ahead(folder: Path, counter: int) -> Ledger:
    """A folder that has used counters up to this one."""
    ledger = Ledger(folder=folder)
    with ledger.held():
        ledger.reserve("office", TRUST.epoch, above=counter)
    return ledger
