"""The office of simulated stations at a real broker."""

from __future__ import annotations

import random
from pathlib import Path

from agent.clock import ManualClock, SystemClock
from models.fleet.begin import Wish, begun
from models.fleet.conduct import Conductor, Office
from models.fleet.hall import FILTERS, Hall
from models.fleet.inventory import Terms, stations_of
from models.fleet.ledger import Ledger
from models.fleet.plan import Record
from models.fleet.wire import Wire
from tests.agent.uplink.stations import mqtt
from tests.fleet.crowd import Crowd
from tests.fleet.sources import Ware
from tests.fleet.station import Cues, Station
from tests.fleet.world import KEY, OLD, TRUST, inventory_of, sources, topics

CLOCK = SystemClock()
TERMS = Terms(answer_within_s=30, end_within_s=60, busy_s=0.5)


def stations(count: int, cues: dict[int, Cues] | None = None) -> list[Station]:
    from_where, clock = sources(), ManualClock(CLOCK.utc_now(), synced=True)
    return [
        Station(
            topics(number),
            trust=TRUST,
            sources=from_where,
            bundle=OLD,
            clock=clock,
            cues=(cues or {}).get(number),
        )
        for number in range(count)
    ]


class Desk:
    """The office at a real broker."""

    def __init__(self, port: int, crowd: Crowd, folder: Path, protocol: str = "5") -> None:
        self.said: list[str] = []
        self.hall = Hall(inventory=inventory_of(crowd.stations))
        self.ledger = Ledger(folder=folder)
        self.wire = Wire(
            mqtt(port, protocol),
            issuer="office",
            filters=FILTERS,
            note=lambda one, _: self.hall.note(one.topic, one.payload, CLOCK.utc_now().timestamp()),
            clock=CLOCK,
            rng=random.Random(1),
        )

    def connect(self) -> None:
        while not self.wire.is_ready:
            self.wire.turn(0.1)

    def bundle(self, ware: Ware, *waves: str) -> Record:
        self.connect()
        wish = Wish(
            kind="bundle",
            content=ware.content(),
            targets=stations_of(self.hall.inventory, ["all"]),
            terms=TERMS.model_copy(update={"waves": waves} if waves else {}),
        )
        with self.ledger.held():
            record = begun(wish, self.hall, self.ledger, epoch=TRUST.epoch, clock=CLOCK)
            office = Office(
                ledger=self.ledger,
                keys=[KEY],
                trust=TRUST,
                name="trust.json",
                clock=CLOCK,
                say=self.said.append,
            )
            conductor = Conductor(office, self.hall, self.wire, record)
            conductor.begin()
            return conductor.run()
