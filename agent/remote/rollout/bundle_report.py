"""The `bundle` half of `plumbline.reported/1`: what serves, and what became of what was wanted last."""

from __future__ import annotations

from typing import Any

from agent.contract.reported import (
    AttemptState,
    BundleAttempt,
    BundleRef,
    BundleReport,
    ProblemReport,
    ProofReport,
)
from agent.foreign import stored
from agent.remote.rollout.depot import Depot
from agent.remote.rollout.offers import Refusal
from agent.remote.rollout.transaction import Answer, Instruction, Problem, Proven, Record, State

UNDER_WAY: dict[State, AttemptState] = {
    "downloading": "downloading",
    "verifying": "verifying",
    "proving": "proving",
    "staged": "staged",
    "probation": "probation",
    "rolling_back": "probation",  # until the bundle before judges again
    "committed": "applied",
}


def bundle_report(
    depot: Depot, record: Record, *, serves: str | None, attempted: BundleAttempt | None
) -> BundleReport:
    """`serves` is what the lines judge by; on probation it is not yet what is active."""
    on_trial = record.state in ("probation", "rolling_back")
    active = record.previous if on_trial else serves
    previous = record.former if on_trial else depot.named("previous")
    return BundleReport(
        active=_reference(depot, active),
        previous=_reference(depot, previous),
        attempted=attempted,
    )


def _reference(depot: Depot, sha256: str | None) -> BundleRef | None:
    """By its manifest; of one that is not here by its digest alone."""
    if sha256 is None:
        return None
    manifest = depot.head_of(sha256)
    if manifest is None:
        return BundleRef(id="", sha256=sha256)
    return BundleRef(id=manifest.name, sha256=sha256, counter=manifest.counter)


def attempt_of(
    record: Record, *, at: str, progress: float | None, trouble: str | None = None
) -> BundleAttempt | None:
    """What became of the last transaction so far; None where there was none. `trouble` holds it up."""
    if record.instruction is None:
        return None
    return BundleAttempt(
        **_named(record.instruction),
        state=state_of(record),
        changed=_has_changed(record),
        code=code_of(record),
        errors=(*_problems(record.errors), *_held_up(trouble)),
        at=at,
        progress=progress,
        attempts=record.attempts,
        proof=_proof(record.proof),
    )


def answered(instruction: Instruction, answer: Answer, *, at: str) -> BundleAttempt:
    """One that began nothing, and why."""
    problems = () if answer.problem is None else (answer.problem,)
    return BundleAttempt(
        **_named(instruction),
        state="unchanged" if answer.state == "unchanged" else "rejected",
        changed=False,
        code=200 if answer.problem is None else answer.problem.code,
        errors=_problems(problems),
        at=at,
    )


def refused(refusal: Refusal, *, at: str) -> BundleAttempt:
    """A document that is no offer."""
    desired = refusal.desired
    known: dict[str, Any] = (
        {}
        if desired is None
        else {
            "issuer": desired.issuer,
            "epoch": desired.epoch,
            "counter": desired.counter,
            "address": desired.address,
            "id": desired.target.id,
            "sha256": desired.target.sha256,
        }
    )
    return BundleAttempt(
        **known,
        envelope_sha256=refusal.envelope_sha256,
        state="rejected",
        changed=False,
        code=refusal.problem.code,
        errors=_problems((refusal.problem,)),
        at=at,
    )


def waiting(instruction: Instruction, why: str, *, at: str) -> BundleAttempt:
    """One whose turn comes when the station is free."""
    errors = (ProblemReport(message=stored(why)),)
    return BundleAttempt(
        **_named(instruction), state="pending", changed=False, code=202, errors=errors, at=at
    )


def superseded(instruction: Instruction, why: str, *, at: str) -> BundleAttempt:
    """One that waited and whose turn will not come."""
    errors = (ProblemReport(message=stored(why)),)
    return BundleAttempt(
        **_named(instruction), state="superseded", changed=False, code=409, errors=errors, at=at
    )


def state_of(record: Record) -> AttemptState:
    """Of the last transaction, in the words of the reported document."""
    match record.outcome:
        case None | "applied":
            return UNDER_WAY.get(record.state, "applied")
        case "unable_to_roll_back":
            return "failed"
        case outcome:
            return outcome


def code_of(record: Record) -> int:
    """202 while it is under way."""
    match state_of(record):
        case "applied":
            return 200
        case "failed" | "rolled_back" | "superseded" | "cancelled":
            return record.errors[-1].code if record.errors else 500
        case _:
            return 202


def _has_changed(record: Record) -> bool:
    tried = record.state in ("probation", "rolling_back", "committed")
    return tried or record.outcome in ("applied", "rolled_back", "unable_to_roll_back")


def _named(instruction: Instruction) -> dict[str, Any]:
    return {
        "issuer": instruction.issuer,
        "epoch": instruction.epoch,
        "counter": instruction.counter,
        "envelope_sha256": instruction.envelope_sha256,
        "address": instruction.address or None,
        "id": stored(instruction.target_id),
        "sha256": instruction.target_sha256,
    }


def _problems(problems: tuple[Problem, ...]) -> tuple[ProblemReport, ...]:
    return tuple(ProblemReport(message=stored(one.message)) for one in problems)


def _held_up(trouble: str | None) -> tuple[ProblemReport, ...]:
    return () if trouble is None else (ProblemReport(message=stored(trouble)),)


def _proof(proof: Proven | None) -> ProofReport | None:
    if proof is None:
        return None
    return ProofReport(worst_tile_delta=proof.worst_tile_delta, flips=proof.flips, frames=proof.frames)
