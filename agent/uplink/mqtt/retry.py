"""When to connect again, in which version of MQTT, and whether somebody else uses our client id.

Two clients with one id push each other off the broker for ever. MQTT 5 says so. Without it, what
gives them away is that the broker ends EARLY_ENDS accepted connections in a row within EARLY_S, and
does not say why; until then the back-off stays short enough for a rival like us to be seen. Once
known, a rival is taken to be gone when a connection has lasted for RIVAL_GONE_S, longer than the
rival can have waited.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal, TypeAlias

Protocol: TypeAlias = Literal["5", "3.1.1"]
Outcome: TypeAlias = Literal["accepted", "unsupported", "hung_up", "failed"]

STABLE_S = 10.0  # a connection this long starts the back-off afresh
BACK_OFF_FIRST_S = 0.5
BACK_OFF_LAST_S = 30.0
LAST_ATTEMPT = 6  # from here on the back-off is BACK_OFF_LAST_S
EARLY_S = 2.0
EARLY_ENDS = 5
EARLY_ATTEMPT = 1  # back-off of at most a second, below EARLY_S with room for the connect
RIVAL_GONE_S = 2 * BACK_OFF_LAST_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How one attempt went."""

    outcome: Outcome
    lasted_s: float = 0.0  # since the broker accepted us
    taken_over: bool = False  # the broker said that another client has our id
    explained: bool = False  # the broker gave some reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """What the attempts so far have taught."""

    attempt: int = 0  # how many failed in a row
    early_ends: int = 0
    duplicate_client_id: bool = False


def after(retry: Retry, ending: Ending) -> Retry:
    """What is known after one more attempt."""
    attempt, rivalled = retry.attempt + 1, retry.duplicate_client_id
    if ending.outcome != "accepted":
        return Retry(attempt=attempt, duplicate_client_id=rivalled)
    if rivalled or ending.taken_over:
        return Retry(attempt=attempt, duplicate_client_id=True)
    if ending.explained or ending.lasted_s >= EARLY_S:
        return Retry(attempt=attempt)
    early_ends = retry.early_ends + 1
    if early_ends == EARLY_ENDS:
        return Retry(attempt=LAST_ATTEMPT, duplicate_client_id=True)
    return Retry(attempt=min(attempt, EARLY_ATTEMPT), early_ends=early_ends)


def lasting(retry: Retry, lasted_s: float) -> Retry:
    """What is known while a connection lasts: after a while all is forgiven."""
    steady_s = RIVAL_GONE_S if retry.duplicate_client_id else STABLE_S
    return Retry() if lasted_s > steady_s else retry


def next_protocol(wanted: Literal["auto", "5", "3.1.1"], tried: Protocol, outcome: Outcome) -> Protocol:
    """What to speak next: MQTT 5 whenever there is no reason against it."""
    if wanted != "auto":
        return wanted
    return "3.1.1" if tried == "5" and outcome in ("unsupported", "hung_up") else "5"


def back_off_s(attempt: int, rng: random.Random) -> float:
    """How long to wait after `attempt` failed ones: doubling, and never two agents in step."""
    ceiling_s = min(BACK_OFF_FIRST_S * 2.0 ** min(attempt, LAST_ATTEMPT), BACK_OFF_LAST_S)
    return rng.uniform(ceiling_s / 2, ceiling_s)
