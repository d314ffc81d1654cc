"""What we ask of a broker, and how less is asked of one that does not have all of it.

A broker that lacks one thing costs that thing only. MQTT 5 says what is lacking: in CONNACK's
properties (see `Connection`), or by the reason code of a refused CONNECT or of a DISCONNECT. A
3.1.1 broker hangs up. Then what it may have meant is left out one after the other, and what the
broker has twice in a row ended a connection over, without an answer, is not asked for again.

Lessons last until a connection that was made by them has lasted and ended: perhaps the broker was
mended meanwhile. On one that goes on, what is left out of status, report and commands is tried again
(`conversation.py`, `ear.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from agent.contract.topics import Qos
from agent.uplink.mqtt.retry import STABLE_S, Outcome

Question: TypeAlias = Literal["status", "report", "commands"]

NO_RETAIN = 0x9A
NO_QOS = 0x9B
WILL_DENIED = (0x80, 0x83, 0x87, 0x90, 0x95, 0x97, 0x99)  # or not: the next CONNECT without it tells
NOT_OUR_DOING = (0x89, 0x8B, 0x8D, 0x8E, 0x98, 0x9C, 0x9D)  # busy, shut down, taken over, moved, ...

HANG_UPS = 2  # of CONNECTs before less is asked for: one is soon an accident
UNANSWERED = 2  # questions in a row that ended a connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the next connection asks for; `fresh` leaves the session behind, and all that waits in it.

    One that is not `kept` leaves no session.
    """

    will: bool = True
    retain: bool = True
    qos: Qos = 1
    status: bool = True
    report: bool = True
    commands: bool = True
    fresh: bool = False
    kept: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Parting:
    """How an attempt went, as far as it tells what the broker does not do."""

    outcome: Outcome
    code: int = 0  # of CONNACK, or of the broker's DISCONNECT
    unanswered: frozenset[Question] = frozenset()  # at the end
    oversized: bool = False  # it sent a packet over our limit
    kept: bool = False  # and will send it again
    lasted_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lessons:
    """What the attempts so far have taught."""

    terms: Terms = Terms()
    hang_ups: int = 0  # upon CONNECT, in a row
    status_ends: int = 0  # in a row
    report_ends: int = 0  # in a row
    command_ends: int = 0  # in a row


# All that a 3.1.1 broker can mean by hanging up on CONNECT concerns the last will.
_GUESSES: tuple[dict[str, bool | Qos], ...] = (
    {"retain": False},
    {"qos": 0},
    {"retain": False, "qos": 0},
    {"will": False, "retain": False, "qos": 0},
    {},
)


def learned(lessons: Lessons, parting: Parting, *, guess: bool) -> Lessons:
    """What is known after one more attempt; `guess`: no other version of MQTT explains a hang-up."""
    if parting.outcome == "accepted":
        return _parted(lessons, parting)
    terms = lessons.terms
    if parting.outcome == "hung_up" and guess:
        hang_ups = lessons.hang_ups + 1
        if hang_ups >= HANG_UPS:
            said = _GUESSES[(hang_ups - HANG_UPS) % len(_GUESSES)]
            terms = replace(Terms(fresh=terms.fresh, commands=terms.commands, report=terms.report), **said)  # type: ignore[arg-type]
        return replace(lessons, terms=terms, hang_ups=hang_ups)
    if parting.code == NO_RETAIN and terms.retain:
        return replace(lessons, terms=replace(terms, retain=False))
    if parting.code == NO_QOS and terms.qos:
        return replace(lessons, terms=replace(terms, qos=0))
    if parting.code in WILL_DENIED:
        return replace(lessons, terms=replace(terms, will=not terms.will))
    return lessons


def _parted(lessons: Lessons, parting: Parting) -> Lessons:
    if parting.lasted_s >= STABLE_S:
        lessons = Lessons()
    terms = replace(lessons.terms, fresh=False)
    if parting.code == NO_RETAIN:
        return replace(lessons, terms=replace(terms, retain=False))
    if parting.code == NO_QOS:
        return replace(lessons, terms=replace(terms, qos=0))
    open_questions = frozenset[Question]() if parting.code in NOT_OUR_DOING else parting.unanswered
    status_ends = _ends(lessons.status_ends, "status" in open_questions, asked=terms.status)
    report_ends = _ends(lessons.report_ends, "report" in open_questions, asked=terms.report)
    deaf = parting.oversized or "commands" in open_questions
    command_ends = _ends(lessons.command_ends, deaf, asked=terms.commands)
    hears = terms.commands and command_ends < UNANSWERED
    terms = replace(
        terms,
        fresh=parting.oversized and (parting.kept or not hears),  # a kept session hears without being asked
        retain=terms.retain and status_ends < UNANSWERED,
        status=terms.status and status_ends <= UNANSWERED,
        report=terms.report and report_ends < UNANSWERED,
        commands=hears,
    )
    return Lessons(terms=terms, status_ends=status_ends, report_ends=report_ends, command_ends=command_ends)


def _ends(so_far: int, ended: bool, *, asked: bool) -> int:
    if ended:
        return so_far + 1
    return 0 if asked else so_far
