"""The nouns of delivery: what happens to rows on their way, what follows, what the courier knows and goes by.

Events go into `delivery.decide`, actions come out of it, and the state is what it remembers between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from agent.contract.row import RowKind, Waiting

SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """A broker accepted us, and this is what it takes at a time."""

    receive_maximum: int = 65_535
    maximum_packet_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnected:
    """What was not acknowledged until now never will be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """The broker has these rows and said so with a success code."""

    seqs: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The broker, or the protocol, did not take this row."""

    seq: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unheard:
    """The broker took this row and said that nobody is subscribed to its topic (MQTT 5, 0x10)."""

    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Woken:
    """Rows were committed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsWaiting:
    """The answer to Load. `complete`: nothing else waits."""

    rows: tuple[Waiting, ...]
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time passed."""


LinkEvent: TypeAlias = Connected | Disconnected | Acknowledged | Refused | Unheard | Woken
Event: TypeAlias = LinkEvent | RowsWaiting | Tick


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    waiting: Waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    seqs: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Await:
    """These verdicts stay until the MES has confirmed them."""

    seqs: tuple[int, ...]
    round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Resend:
    """Queue again what is unconfirmed since before this round."""

    before_round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """This row was not taken."""

    refusal: Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Rows to publish next; `published` counts turns, see `share.take`. `troubled` kinds have none."""

    limit: int
    kinds: tuple[RowKind, ...]
    replays: int
    exclude: tuple[int, ...]
    published: int = 0
    troubled: frozenset[RowKind] = frozenset()


Action: TypeAlias = "Publish | Forget | Await | Resend | Report | Load"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flight:
    """A row on its way, published on this connection and not acknowledged."""

    seq: int
    kind: RowKind
    replayed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A row that was not taken, and when to try it again."""

    seq: int
    kind: RowKind
    reason: str
    retry_at_ns: int
    quarantined: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a station was told of delivery; fixed from its start."""

    window: int  # rows on their way at a time, where the broker takes so many
    retry_pause_ns: int
    confirmed_by_mes: bool = False
    require_subscriber: bool = False
    round_ns: int = 60 * SECOND_NS  # how long the MES has to confirm
    replays_per_s: float = 200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CourierState:
    """All that the courier knows; the counters are since its start."""

    connected: bool = False
    window: int = 0
    opening: int | None = None  # a smaller window that grows after a bad end
    maximum_packet_bytes: int | None = None
    in_flight: tuple[Flight, ...] = ()
    landed: tuple[Flight, ...] = ()  # acknowledged, and the outbox does not know it yet
    landed_at_ns: int = 0  # the first of them
    acknowledged_here: int = 0  # on this connection
    refused: tuple[Refusal, ...] = ()
    suspect: tuple[int, int] | None = None  # the row last alone on its way at an end, and how often it was
    drained: bool = False  # the outbox has nothing but what is in flight or refused
    looked_at_ns: int = 0
    replay_allowance: float = 0.0
    allowed_at_ns: int = 0
    round: int = 0
    heard: bool | None = None  # whether somebody was subscribed to the last verdict
    publications: int = 0
    deliveries: int = 0
    refusals: int = 0

    @property
    def open_window(self) -> int:
        """How many rows may be on their way now."""
        return self.window if self.opening is None else min(self.window, self.opening)
