"""A rollout, carried out: hear, decide, write, and have the broker follow the record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.clock import Clock
from agent.foreign import shown
from agent.trust.trust_set import TrustSet
from models.fleet import waves
from models.fleet.begin import targets_by_address
from models.fleet.documents import Content, DocumentError, envelope, require_allowed
from models.fleet.hall import Hall
from models.fleet.ledger import Ledger
from models.fleet.plan import Heard, Member, Record, Word

TURN_S = 0.1
DECIDE_EVERY_S = 0.1
MOST_ON_WAY = 64

Change = Callable[..., Record]


class Medium(Protocol):
    """The broker, as a rollout needs it."""

    is_ready: bool
    trouble: str

    def turn(self, timeout_s: float) -> None:
        """Hear what there is, for at most about so long."""

    def publish(self, topic: str, payload: bytes) -> None:
        """Retained; an empty payload takes away what was."""

    def landed(self) -> list[str]:
        """The topics of what the broker has, since the last call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """What a rollout is carried out with; `name` is the trust file's."""

    ledger: Ledger
    keys: Sequence[Ed25519PrivateKey]
    trust: TrustSet
    name: str
    clock: Clock
    say: Callable[[str], None]


class Conductor:
    """One rollout, from where its record stands to its end, or to where somebody has to decide."""

    def __init__(self, office: Office, hall: Hall, medium: Medium, record: Record) -> None:
        self.record = record
        self._office = office
        self._hall = hall
        self._medium = medium
        self._targets = targets_by_address(hall.inventory, record)
        self._spare: int | None = None
        self._contents: dict[str, Content] = {}
        self._said: dict[str, Word] = {}  # by address: what the broker has, by its own word
        self._pending: dict[str, tuple[str, Word]] = {}  # by topic
        self._next_ns = 0
        self._troubles: dict[str, str] = {}  # by address, as they were told

    def begin(self) -> None:
        """Make the record durable, if every document of it would be taken. Raises DocumentError."""
        for one in self.record.members:
            word = Word(what="new", counter=self.record.counter)
            self._envelope(one, word)
            if one.before is not None:
                self._envelope(one, replace(word, what="before"))
        self._office.ledger.write(self.record)

    def change(self, how: Change, *more: str) -> None:
        """Stop it, resume it, take it back: a function of `waves`."""
        self._take(how(self.record, *more, now=self._now(), spare=self._reserved()))

    def run(self) -> Record:
        """Until it has ended, was stopped or taken back, and whoever had to be told has it."""
        while True:
            self._medium.turn(TURN_S)
            if not self._medium.is_ready:
                self._pending.clear()
                continue
            for topic in self._medium.landed():
                if topic in self._pending:
                    address, word = self._pending.pop(topic)
                    self._said[address] = word
            began_ns = self._office.clock.monotonic_ns()
            if began_ns < self._next_ns:
                continue
            if self._step():
                return self.record
            # Half of the time is for hearing, however many stations there are.
            ended_ns = self._office.clock.monotonic_ns()
            self._next_ns = ended_ns + max(round(DECIDE_EVERY_S * 1e9), ended_ns - began_ns)

    def untold(self) -> list[str]:
        """Addresses whose topic holds somebody else's document, so that ours did not go there."""
        heard = self._hall.heard(self._targets, self.record)
        return [one.address for one in self.record.members if one.word and self._is_theirs(one, heard)]

    def _step(self) -> bool:
        """Whether nothing is left to be done."""
        heard = self._hall.heard(self._targets, self.record)
        self._take(waves.decide(self.record, heard, now=self._now(), spare=self._reserved()))
        self._tell_trouble(heard)
        is_said = self._follow(heard)
        if self.record.state == "running" or not is_said:
            return False
        return waves.is_followed(self.record, heard, self._now())

    def _take(self, record: Record) -> None:
        """Signed, written, and only then what is in force."""
        if record == self.record:
            return
        members = tuple(self._signed(one) for one in record.members)
        record = replace(record, members=members)
        self._office.ledger.write(record)
        self._tell(self.record, record)
        self.record = record
        if any(word.counter == self._spare for one in members for word in one.words) or (
            record.counter == self._spare
        ):
            self._spare = None

    def _follow(self, heard: Mapping[str, Heard]) -> bool:
        """Whether the broker has all that the record says."""
        is_all = True
        for one in self.record.members:
            word, target = one.word, self._targets.get(one.address)
            if word is None or target is None or self._said.get(one.address) == word:
                continue
            if self._is_theirs(one, heard):
                continue
            topic = target.topic(self.record.kind)
            posted = self._hall.posted.get(topic)
            stands = None if posted is None else posted.sha256
            if word.times == 1 and stands == word.sha256 and topic not in self._pending:
                self._said[one.address] = word
                continue
            is_all = False
            if topic not in self._pending and len(self._pending) < MOST_ON_WAY:
                payload = b"" if word.what == "nothing" else self._envelope(one, word)
                self._pending[topic] = (one.address, word)
                self._medium.publish(topic, payload)
        return is_all

    def _is_theirs(self, member: Member, heard: Mapping[str, Heard]) -> bool:
        found = heard.get(member.address)
        return found is not None and found.is_foreign

    def _signed(self, member: Member) -> Member:
        word = member.word
        if word is None or word.what == "nothing" or word.sha256 is not None:
            return member
        found = sha256(self._envelope(member, word)).hexdigest()
        return replace(member, words=(*member.words[:-1], replace(word, sha256=found)))

    def _envelope(self, member: Member, word: Word) -> bytes:
        record = self.record
        name = record.content if word.what == "new" else member.before
        assert name is not None
        data = envelope(
            record.kind,
            self._content(name),
            issuer=record.issuer,
            epoch=record.epoch,
            counter=word.counter,
            address=member.address,
            expires=record.expires,
            keys=self._office.keys,
        )
        require_allowed(data, record.kind, self._office.trust, name=self._office.name)
        if word.sha256 is not None and sha256(data).hexdigest() != word.sha256:
            raise DocumentError(
                f"{member.address}: the document of counter {word.counter} was signed by other keys; "
                "give each --key that the rollout was begun with, in the same order"
            )
        return data

    def _content(self, name: str) -> Content:
        if name not in self._contents:
            self._contents[name] = self._office.ledger.content(name)
        return self._contents[name]

    def _reserved(self) -> int:
        if self._spare is None:
            self._spare = self._office.ledger.reserve(self.record.issuer, self.record.epoch)
        return self._spare

    def _now(self) -> float:
        return self._office.clock.utc_now().timestamp()

    def _tell_trouble(self, heard: Mapping[str, Heard]) -> None:
        """What keeps a station from getting on, whenever that is another thing."""
        for one in self.record.members:
            said = heard[one.address].attempt if one.address in heard else None
            if said is None or one.word is None or said.counter != one.word.counter:
                continue
            trouble = said.message if said.state in waves.UNDER_WAY else ""
            if trouble and trouble != self._troubles.get(one.address):
                self._office.say(f"{one.address}: {said.state}: {shown(trouble)}")
            self._troubles[one.address] = trouble

    def _tell(self, before: Record, after: Record) -> None:
        say = self._office.say
        was = {one.address: one for one in before.members}
        for one in after.members:
            if one.result is not None and one.result != was[one.address].result:
                say(f"{one.address}: {one.result}{_because(one)}")
            if one.returned is not None and one.returned != was[one.address].returned:
                say(f"{one.address}: back to what was before: {one.returned}")
        if after.wave != before.wave:
            say(f"wave {before.wave + 1} of {len(after.quotas)} is complete")
        told = [one for one in after.members if one.words != was[one.address].words]
        for what, words in _SAYING.items():
            names = [one.address for one in told if one.word and (one.word.what, one.word.times) == (what, 1)]
            if names:
                say(f"{words}: {len(names)} ({_few(names)})")
        if after.state != before.state:
            say(f"{after.state}{f': {after.why}' if after.why else ''}")


_SAYING = {
    "new": "told what is new",
    "before": "told what was before, with a higher counter",
    "nothing": "emptied the topic",
}


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _because(member: Member) -> str:
    words = " ".join(one for one in (str(member.code) if member.code else "", member.message) if one)
    return f" ({words})" if words and member.result != "applied" else ""
