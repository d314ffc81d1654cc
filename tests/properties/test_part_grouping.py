"""Views of cameras in any order, late, lost and twice: no part ever passes on a view that is not its own."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from agent.contract.part import PartVerdict
from agent.messages import VerdictName
from agent.parts.grouping import passed, restored, taken
from agent.parts.verdict import verdict_of
from agent.parts.view import Decided, Rule, State, View
from tests.agent.parts.views import CAMERAS, MADE, view

MS = 1_000_000
TIMEOUT_MS = 1000
WINDOW = 4
OFFSETS = {"top": 0, "side": 400, "back": 900}
STATES = TypeAdapter(State)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A view, when it came, and which part it really saw."""

    view: View
    at_ms: int
    part: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    decided: Sequence[Decided]
    told: Sequence[PartVerdict]


def lived(rule: Rule, arrivals: Sequence[Arrival], rng: random.Random, *, cuts: float = 0.0) -> Outcome:
    """What becomes of these; each may come twice, and the process may end between any two."""
    state, done, clock_ms = State(), list[Decided](), 0
    for one in arrivals:
        clock_ms = max(clock_ms, one.at_ms)
        state, decided = taken(rule, state, one.view, clock_ms * MS)
        done += decided
        if rng.random() < 0.2:
            again, nothing = taken(rule, state, one.view, clock_ms * MS)
            assert (again, nothing) == (state, ())
        if rng.random() < cuts:
            kept = STATES.validate_json(STATES.dump_json(state))
            state = restored(kept, clock_ms * MS, one.view.sequence)
    state, decided = passed(rule, state, (clock_ms + 10 * TIMEOUT_MS) * MS)
    done += decided
    assert not state.groups
    return Outcome(decided=done, told=[verdict_of(rule, one, MADE) for one in done])


def assert_sound(outcome: Outcome, arrivals: Sequence[Arrival]) -> None:
    """The promises that hold in every world."""
    truth = {one.view.result_id: one for one in arrivals}
    named = Counter(view.result_id for part in outcome.told for view in part.views)
    assert named == Counter(truth.keys()), "every view is named by exactly one part verdict"
    assert len({part.result_id for part in outcome.told}) == len(outcome.told)
    for part in outcome.told:
        views = [truth[view.result_id] for view in part.views]
        assert len({one.view.camera for one in views}) == len(views)
        assert set(part.missing) == set(part.cameras) - {one.view.camera for one in views}
        assert (part.verdict == "fail") == any(one.view.verdict == "fail" for one in views)
        if part.verdict == "pass":
            assert not part.missing
            assert all(one.view.verdict == "pass" for one in views)
            assert len({one.part for one in views}) == 1, "two parts were merged"


def in_order(arrivals: Sequence[Arrival]) -> list[Arrival]:
    """As they come: of one camera in the order of capture, whatever each would take by itself."""
    latest: Counter[str] = Counter()
    timed = []
    for one in sorted(arrivals, key=lambda one: one.view.captured_ns or 0):
        latest[one.view.camera] = max(latest[one.view.camera], one.at_ms)
        timed.append(replace(one, at_ms=latest[one.view.camera]))
    timed.sort(key=lambda one: one.at_ms)
    return [
        replace(one, view=replace(one.view, sequence=number)) for number, one in enumerate(timed, start=1)
    ]


VERDICTS: list[VerdictName] = ["pass"] * 12 + ["fail", "undecided", "skipped"]


def late_ms(rng: random.Random) -> int:
    return rng.choice((1, 1, 5, 5, 30, 30, 30, 200, 1500, 6000))


def by_trigger(rng: random.Random, parts: int) -> list[Arrival]:
    """Parts at any distance; cameras that reconnect and miss some; triggers that nobody counts, far apart."""
    far = rng.random() < 0.5
    calm = rng.random() < 0.5
    counts = {camera: rng.randrange(50) for camera in CAMERAS}
    epochs = dict.fromkeys(CAMERAS, 0)
    away = dict.fromkeys(CAMERAS, 0)  # parts to be missed until it is back
    at_ms, found = 10_000, []
    for part in range(parts):
        at_ms += rng.randrange(1100, 3000) if far else rng.choice((40, 90, 400, 900, 1300, 2500, 4000))
        for camera in CAMERAS:
            if away[camera]:
                away[camera] -= 1
                continue
            if not calm and rng.random() < 0.06:
                epochs[camera] += 1
                away[camera] = rng.randrange(4)
                if rng.random() < 0.3:
                    counts[camera] = rng.randrange(5)  # the counter begins again
                continue
            if far and not calm and rng.random() < 0.05:
                continue  # neither counted nor seen
            counts[camera] += 1
            if rng.random() < (0.02 if calm else 0.08):
                continue  # counted, and its record is lost
            captured_ms = at_ms + rng.randrange(8)
            found.append(
                Arrival(
                    view=view(
                        camera,
                        result_id=f"{camera}-{part}",
                        verdict=rng.choice(VERDICTS),
                        frame_id=counts[camera],
                        epoch=epochs[camera],
                        captured_ns=captured_ms * MS,
                    ),
                    at_ms=captured_ms + (rng.randrange(30) if calm else late_ms(rng)),
                    part=part,
                )
            )
    return in_order(found)


def by_encoder(rng: random.Random, parts: int) -> list[Arrival]:
    """A belt that runs on and back, and whose count begins anew; a camera sees what goes forward."""
    places, place = [], 100
    for _ in range(parts):
        place += rng.choice((12, 40, 300, 1000))
        places.append(place)
    stops = sorted(
        (place + OFFSETS[camera], part, camera) for part, place in enumerate(places) for camera in CAMERAS
    )
    at, shift, at_ms, number, found = 0, 0, 1000, 0, []
    while at < len(stops):
        place, part, camera = stops[at]
        at_ms += rng.choice((2, 20, 100))
        if rng.random() < 0.9:
            found.append(
                Arrival(
                    view=view(
                        camera,
                        result_id=f"{camera}-{part}-{number}",
                        verdict=rng.choice(VERDICTS),
                        frame_id=number,
                        encoder=place + shift + rng.randrange(-1, 2),
                        captured_ns=at_ms * MS,
                    ),
                    at_ms=at_ms + late_ms(rng),
                    part=part,
                )
            )
        number += 1
        at += 1
        if rng.random() < 0.015:
            shift = -place  # the count begins again at 0
        elif rng.random() < 0.015:
            at = max(0, at - rng.randrange(1, 9))  # the belt runs back, and what it carries passes again
    return in_order(found)


def by_id(rng: random.Random, parts: int) -> list[Arrival]:
    """Codes that are read, or not; parts that come again; two parts with one code are nobody's to tell."""
    found, at_ms = [], 1000
    for part in range(parts):
        at_ms += rng.choice((5, 50, 700, 3000))
        code = f"SN-{part}"
        for camera in CAMERAS:
            if rng.random() < 0.1:
                continue
            captured_ms = at_ms + rng.randrange(300)
            read = code if rng.random() < 0.95 else None
            for _ in range(2 if rng.random() < 0.05 else 1):
                found.append(
                    Arrival(
                        view=view(
                            camera,
                            result_id=f"{camera}-{part}-{len(found)}",
                            verdict=rng.choice(VERDICTS),
                            part_id=read,
                            bind_id=read and f"bind-{part}",
                            captured_ns=captured_ms * MS,
                        ),
                        at_ms=captured_ms + late_ms(rng),
                        part=part,
                    )
                )
                captured_ms += 20
    return in_order(found)


def rule(by: str) -> Rule:
    return Rule(
        name="housing",
        by=by,  # type: ignore[arg-type]
        cameras=CAMERAS,
        timeout_ns=TIMEOUT_MS * MS,
        window_ticks=WINDOW if by == "encoder" else 0,
        offsets=OFFSETS if by == "encoder" else {},
    )


seeds = st.integers(0, 2**32)
parts_ = st.integers(1, 25)


@settings(max_examples=150, deadline=None)
@given(seed=seeds, parts=parts_, cuts=st.sampled_from((0.0, 0.0, 0.1)))
def test_by_trigger_no_loss_lateness_or_new_counter_merges_two_parts(
    seed: int, parts: int, cuts: float
) -> None:
    rng = random.Random(seed)
    arrivals = by_trigger(rng, parts)
    assert_sound(lived(rule("trigger"), arrivals, rng, cuts=cuts), arrivals)


@settings(max_examples=150, deadline=None)
@given(seed=seeds, parts=parts_, cuts=st.sampled_from((0.0, 0.0, 0.1)))
def test_by_encoder_a_count_that_goes_back_or_begins_again_merges_no_two_parts(
    seed: int, parts: int, cuts: float
) -> None:
    rng = random.Random(seed)
    arrivals = by_encoder(rng, parts)
    assert_sound(lived(rule("encoder"), arrivals, rng, cuts=cuts), arrivals)


@settings(max_examples=100, deadline=None)
@given(seed=seeds, parts=parts_, by=st.sampled_from(("part_id", "message")), cuts=st.sampled_from((0.0, 0.1)))
def test_by_an_id_views_stay_with_their_part(seed: int, parts: int, by: str, cuts: float) -> None:
    rng = random.Random(seed)
    arrivals = by_id(rng, parts)
    assert_sound(lived(rule(by), arrivals, rng, cuts=cuts), arrivals)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, by=st.sampled_from(("trigger", "encoder", "part_id", "message")), parts=parts_)
def test_where_everything_comes_in_time_every_part_is_decided_by_all_its_views(
    seed: int, by: str, parts: int
) -> None:
    rng = random.Random(seed)
    shift = {camera: rng.randrange(50) for camera in CAMERAS}
    arrivals = in_order(
        [
            Arrival(
                view=view(
                    camera,
                    result_id=f"{camera}-{part}",
                    verdict=rng.choice(VERDICTS),
                    frame_id=part + shift[camera],
                    encoder=part * 100 + OFFSETS[camera],
                    part_id=f"SN-{part}",
                    bind_id=f"bind-{part}",
                    captured_ns=captured_ms * MS,
                ),
                at_ms=captured_ms + rng.randrange(400),
                part=part,
            )
            for part in range(parts)
            for camera in CAMERAS
            if (captured_ms := 5000 + part * 2000 + rng.randrange(100))
        ]
    )
    outcome = lived(rule(by), arrivals, rng)
    assert_sound(outcome, arrivals)
    assert len(outcome.told) == parts
    out_of_step = [part for part in outcome.told if part.reason == "out_of_step"]
    assert len(out_of_step) <= (by == "trigger")
    assert not any(part.missing for part in outcome.told)


def test_the_worlds_hold_passes_fails_and_doubts_so_that_they_prove_something() -> None:
    reasons: Counter[str] = Counter()
    for by, world in (("trigger", by_trigger), ("encoder", by_encoder), ("part_id", by_id)):
        for seed in range(60):
            rng = random.Random(seed)
            for part in lived(rule(by), world(rng, 25), rng).told:
                reasons[f"{by} {part.reason or part.verdict}"] += 1
    for by in ("trigger", "encoder", "part_id"):
        assert reasons[f"{by} pass"] > 50, reasons
        assert reasons[f"{by} fail"] > 20
        assert reasons[f"{by} view_missing"] > 20
    doubts = ("trigger out_of_step", "trigger late_view", "encoder encoder_back", "part_id seen_twice")
    assert all(reasons[one] > 10 for one in doubts), reasons
