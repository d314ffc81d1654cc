"""A plant in memory: stations, a broker with retained messages and sessions, and the office's way to it.

It is what the real broker is to the office, without its time: each turn every station does one duty.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.clock import ManualClock
from agent.contract.topics import Topics
from agent.settings.settings import Mqtt
from agent.trust.envelope import SignatureError, parse
from agent.trust.trust_set import TrustSet
from models.fleet.hall import Hall
from models.fleet.inventory import Inventory
from models.fleet.inventory import Station as Listed
from models.shipping.trust_sets import first
from tests.fleet.sources import Sources, ware
from tests.fleet.station import Cues, Station

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
TRUST: TrustSet = first(KEY.public_key())
OLD, NEW, NEWER = ware("old"), ware("new"), ware("newer")


def topics(number: int) -> Topics:
    return Topics(site="plant", area="hall", line=f"line-{number % 4}", station=f"cell-{number}")


def sources() -> Sources:
    made = Sources()
    made.add(OLD, NEW, NEWER)
    return made


def inventory_of(stations: Sequence[Station], state: object = "state", **mqtt: object) -> Inventory:
    return Inventory.model_validate(
        {
            "issuer": "office",
            "trust": "trust.json",
            "state": str(state),
            "mqtt": Mqtt.model_validate(mqtt),
            "stations": [
                Listed(
                    address=f"{one.topics.site}/{one.topics.area}/{one.topics.line}/{one.topics.station}",
                    groups=one.groups,
                )
                for one in stations
            ],
        }
    )


@dataclass(kw_only=True)
class World:
    """`turn`, `publish` and `landed` are the office's medium; `before_publish` may raise, as a death."""

    stations: list[Station]
    clock: ManualClock
    retained: dict[str, bytes] = field(default_factory=dict)
    published: list[tuple[str, bytes]] = field(default_factory=list)  # by the office
    before_publish: Callable[[], None] = lambda: None
    interruption: Callable[[], None] = lambda: None  # in each turn
    seconds_a_turn: float = 0.2
    is_ready: bool = False
    trouble: str = ""
    hall: Hall | None = None
    _sessions: dict[str, deque[tuple[str, bytes]]] = field(default_factory=dict)
    _landed: list[str] = field(default_factory=list)

    def start(self) -> None:
        for one in self.stations:
            one.start()
        self.spread()

    def office(self, hall: Hall) -> None:
        """The office connects, and hears all that is retained."""
        self.hall, self.is_ready = hall, True
        self._landed = []
        for topic, payload in self.retained.items():
            hall.note(topic, payload, self.clock.utc_now().timestamp())

    def turn(self, timeout_s: float) -> None:
        self.clock.advance(self.seconds_a_turn)
        self.interruption()
        for one in self.stations:
            if one.is_online:
                session = self._sessions.get(one.topics.station)
                while session:
                    one.receive(*session.popleft())
                one.tick()
        self.spread()

    def publish(self, topic: str, payload: bytes) -> None:
        self.before_publish()
        self.published.append((topic, payload))
        self.put(topic, payload)
        self._landed.append(topic)

    def landed(self) -> list[str]:
        landed, self._landed = self._landed, []
        return landed

    def put(self, topic: str, payload: bytes) -> None:
        """Somebody publishes it, retained."""
        if payload:
            self.retained[topic] = payload
        else:
            self.retained.pop(topic, None)
        if self.hall is not None:
            self.hall.note(topic, payload, self.clock.utc_now().timestamp())
        for one in self.stations:
            if topic in one.subscriptions():
                self._sessions.setdefault(one.topics.station, deque()).append((topic, payload))

    def leave(self, station: Station) -> None:
        station.leave()
        self.spread()

    def come_back(self, station: Station, *, has_session: bool) -> None:
        """With its session it gets what came meanwhile, else what is retained."""
        if not has_session:
            waiting = [(one, self.retained[one]) for one in station.subscriptions() if one in self.retained]
            self._sessions[station.topics.station] = deque(waiting)
        station.start()
        self.spread()

    def spread(self) -> None:
        for one in self.stations:
            said, one.out = one.out, []
            for topic, payload in said:
                self.put(topic, payload)


class Death(BaseException):
    """SIGKILL: nothing of the process runs any more."""


def cut(plant: World, *, after: int) -> None:
    """The office dies instead of publishing once more than so often."""
    left = [after]

    def count() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Death

    plant.before_publish = count


def interrupt_when(plant: World, holds: Callable[[], bool], then: Callable[[], None]) -> None:
    """Once."""

    def look() -> None:
        if holds():
            plant.interruption = lambda: None
            then()

    plant.interruption = look


def decoded(envelope: bytes) -> bytes:
    """A document's payload; nothing of what is none."""
    try:
        return parse(envelope).payload
    except SignatureError:
        return b""


def world(
    count: int,
    *,
    clock: ManualClock | None = None,
    groups: tuple[str, ...] = (),
    cues: dict[int, Cues] | None = None,
) -> World:
    """`count` stations that run OLD, all connected."""
    clock = clock or ManualClock(synced=True)
    from_where = sources()
    stations = [
        Station(
            topics(number),
            trust=TRUST,
            sources=from_where,
            bundle=OLD,
            groups=groups,
            clock=clock,
            cues=(cues or {}).get(number),
        )
        for number in range(count)
    ]
    made = World(stations=stations, clock=clock)
    made.start()
    return made
