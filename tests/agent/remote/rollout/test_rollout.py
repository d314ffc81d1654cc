"""The table of a rollout's states, row by row, and its start rules."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.remote.rollout import rollout
from agent.remote.rollout.transaction import (
    Action,
    Answer,
    Boundary,
    Breached,
    Cancelled,
    Do,
    Event,
    Failure,
    Happened,
    Links,
    Offered,
    Point,
    Problem,
    Record,
    Refused,
    Seen,
    State,
    Step,
    TakeUp,
)
from tests.agent.remote.enumeration import (
    BAD,
    LIMITS,
    instruction,
)

OLD, OLDER = "old", "older"
GOOD = Links(current=OLD, previous=OLDER, verified=frozenset({OLD, OLDER, "new"}))


def record(state: State, **more: object) -> Record:
    plain = Record(
        state=state,
        instruction=instruction("new", 5),
        boot_id="a",
        highest=(Seen(issuer="plant", epoch=1, counter=5, envelope_sha256="envelope of new-5"),),
    )
    return replace(plain, **more)  # type: ignore[arg-type]


def offered(target: str = "new", counter: int = 6, **more: object) -> Offered:
    plain = Offered(instruction=instruction(target, counter), boot_id="a", at="now", current=OLD)
    return replace(plain, **more)  # type: ignore[arg-type]


def codes(actions: tuple[Action, ...]) -> list[tuple[str, int | None]]:
    return [
        (one.state, None if one.problem is None else one.problem.code)
        for one in actions
        if isinstance(one, Answer)
    ]


@pytest.mark.parametrize(
    ("event", "answer"),
    [
        (offered(), ("accepted", None)),
        (offered(counter=5), ("unchanged", None)),
        (offered("other", 5), ("rejected", 409)),
        (offered(counter=4), ("rejected", 409)),
        (offered(is_expired=True), ("rejected", 410)),
        (offered(has_room=False), ("rejected", 507)),
        (offered(OLD), ("unchanged", None)),
    ],
)
def test_an_idle_station_answers_every_instruction(event: Offered, answer: tuple[str, int | None]) -> None:
    step = rollout.step(record("idle"), event)
    assert codes(step.actions) == [answer]
    assert step.record.state == ("downloading" if answer[0] == "accepted" else "idle")


def test_what_is_for_another_station_is_not_answered() -> None:
    before = record("idle")
    assert rollout.step(before, offered(is_addressed=False)) == Step(record=before)


def test_what_failed_here_is_taken_again_by_a_higher_counter_alone() -> None:
    failed = Failure(target_id="new", target_sha256="new", counter=6, reason="flips")
    known = record("idle", failed=(failed,))
    assert codes(rollout.step(known, offered(counter=6)).actions) == [("rejected", 424)]
    assert codes(rollout.step(known, offered(counter=7)).actions) == [("accepted", None)]
    other = replace(instruction("new", 3), issuer="another", epoch=2)
    assert codes(rollout.step(known, offered(instruction=other)).actions) == [("rejected", 424)]


def test_counters_are_kept_for_each_issuer_and_epoch() -> None:
    lower = replace(instruction("new", 1), epoch=2)
    step = rollout.step(record("idle"), offered(instruction=lower))
    assert codes(step.actions) == [("accepted", None)]
    assert [(one.epoch, one.counter) for one in step.record.highest] == [(1, 5), (2, 1)]


def test_an_instruction_without_room_may_come_again() -> None:
    before = record("idle")
    assert rollout.step(before, offered(has_room=False)).record == before


@pytest.mark.parametrize("state", ["downloading", "verifying", "staged"])
def test_a_newer_instruction_supersedes_and_is_taken_up_afterwards(state: State) -> None:
    newer = offered("newer", 6)
    step = rollout.step(record(state), newer)
    assert (step.record.state, step.record.outcome) == ("failed", "superseded")
    assert step.record.failed == ()
    assert step.actions == (Do(what="discard"), Do(what="report"), TakeUp(offered=newer))


@pytest.mark.parametrize("state", ["proving", "probation", "rolling_back", "committed", "failed"])
def test_elsewhere_a_newer_instruction_finds_the_station_busy(state: State) -> None:
    step = rollout.step(record(state), offered("newer", 6))
    assert (step.record, codes(step.actions)) == (record(state), [("rejected", 429)])


@pytest.mark.parametrize("state", ["proving", "probation", "rolling_back", "committed", "failed"])
def test_what_nobody_can_cancel_says_so(state: State) -> None:
    step = rollout.step(record(state), Cancelled(transaction="new-5"))
    assert (step.record, codes(step.actions)) == (record(state), [("rejected", 409)])


def test_a_bundle_that_is_refused_after_its_bytes_came_is_remembered_and_lost_bytes_are_not() -> None:
    refused = Refused(transaction="new-5", problem=Problem(code=422, message="flips"))
    assert rollout.step(record("downloading"), refused).record.failed == ()
    for state in ("verifying", "proving"):
        (failure,) = rollout.step(record(state), refused).record.failed  # type: ignore[arg-type]
        assert failure == Failure(target_id="new", target_sha256="new", counter=5, reason="flips")


def test_only_the_newest_failures_are_remembered() -> None:
    old = tuple(
        Failure(target_id=name, target_sha256=name, counter=1, reason="") for name in ("a", "b", "new")
    )
    step = rollout.step(record("proving", failed=old), Refused(transaction="new-5", problem=BAD), LIMITS)
    assert [one.target_id for one in step.record.failed] == ["b", "new"]


def test_the_way_back_restores_both_links() -> None:
    staged = rollout.step(record("staged"), Boundary(transaction="new-5", current=OLD, previous=OLDER))
    assert staged.actions == (
        Point(link="previous", at=OLD),
        Point(link="current", at="new"),
        Do(what="observe"),
    )
    assert staged.record.attempts == 1
    back = rollout.step(staged.record, Breached(transaction="new-5", problem=BAD))
    assert back.actions == (
        Point(link="current", at=OLD),
        Point(link="previous", at=OLDER),
        Do(what="observe"),
    )
    over = rollout.step(back.record, Happened(what="restored", transaction="new-5"))
    assert (over.record.state, over.record.outcome) == ("failed", "rolled_back")
    assert [one.reason for one in over.record.failed] == ["bad"]


def test_deaths_and_power_cuts_are_counted_apart() -> None:
    trial = record("probation", attempts=1, previous=OLD)
    for boot, counts in (("a", (2, 0)), ("b", (1, 1))):
        step = rollout.start(trial, GOOD, boot)
        assert (step.record.attempts, step.record.power_cuts) == counts
        assert step.record.state == "probation" and step.record.boot_id == boot


@pytest.mark.parametrize(
    ("attempts", "power_cuts", "boot", "state"),
    [
        (2, 0, "a", "probation"),
        (3, 0, "a", "rolling_back"),
        (3, 9, "b", "probation"),
        (1, 10, "b", "rolling_back"),
    ],
)
def test_a_trial_that_keeps_dying_goes_back(attempts: int, power_cuts: int, boot: str, state: str) -> None:
    trial = record("probation", attempts=attempts, power_cuts=power_cuts, previous=OLD)
    assert rollout.start(trial, GOOD, boot).record.state == state


def test_a_proof_that_keeps_dying_ends_and_is_remembered() -> None:
    proving = record("proving")
    for _ in range(2):
        step = rollout.start(proving, GOOD, "a")
        assert (step.record.state, step.actions) == ("proving", (Do(what="verify"),))
        proving = step.record
    ended = rollout.start(proving, GOOD, "a").record
    assert (ended.state, len(ended.failed)) == ("failed", 1)


def test_a_download_and_a_bundle_that_waits_go_on_however_often_the_process_dies() -> None:
    for state, duty in (("downloading", "fetch"), ("staged", "await_boundary")):
        waiting = record(state, attempts=1)  # type: ignore[arg-type]
        step = rollout.start(waiting, GOOD, "a")
        assert (step.record, step.actions) == (waiting, (Do(what=duty),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("links", "repair"),
    [
        (GOOD, ()),
        (replace(GOOD, verified=frozenset({OLDER})), (Point(link="current", at=OLDER),)),
        (
            replace(GOOD, verified=frozenset()),
            (Point(link="current", at=None), Do(what="fail_safe")),
        ),
        (replace(GOOD, current=None), ()),
    ],
)
def test_a_start_leaves_a_bundle_that_is_not_whole(links: Links, repair: tuple[Action, ...]) -> None:
    assert rollout.start(Record(), links, "a").actions == (*repair, Do(what="discard"))


def test_a_way_back_to_a_bundle_that_is_not_whole_is_the_last_resort() -> None:
    back = record("rolling_back", previous=OLD, attempts=1)
    lost = replace(GOOD, verified=frozenset({"new"}))
    step = rollout.start(back, lost, "a")
    assert (step.record.state, step.record.outcome) == ("failed", "unable_to_roll_back")
    assert step.actions == (Point(link="current", at=None), Do(what="fail_safe"), Do(what="report"))


@pytest.mark.parametrize(
    "event",
    [
        Happened(what="verified", transaction="another"),
        Refused(transaction="another", problem=BAD),
        Cancelled(transaction="another"),
        Breached(transaction="another", problem=BAD),
        Boundary(transaction="another", current=None, previous=None),
    ],
)
def test_what_comes_late_from_another_transaction_changes_nothing(event: Event) -> None:
    for state in ("idle", "verifying", "staged", "probation"):
        before = record(state)  # type: ignore[arg-type]
        assert rollout.step(before, event) == Step(record=before)


def test_the_last_transaction_stays_known_when_it_is_over() -> None:
    done = rollout.step(
        record("committed", outcome="applied", attempts=1), Happened(what="finished", transaction="new-5")
    ).record
    assert (done.state, done.outcome, done.attempts, done.previous) == ("idle", "applied", 0, None)
    assert done.instruction == instruction("new", 5)
