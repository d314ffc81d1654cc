"""A document is new, known, in conflict or old, and a clock in doubt makes nothing expired."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from agent.clock import ManualClock
from agent.trust.freshness import Standing, Version, expiry, read, standing

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
COUNTERS = st.integers(-1, 4) | st.sampled_from([2**63 - 1, 2**63])
VERSIONS = st.builds(Version, epoch=st.integers(1, 4), counter=COUNTERS, sha256=st.sampled_from("ab"))
TIMES = st.integers(0, 70 * 366 * 86_400).map(lambda s: datetime.fromtimestamp(s, timezone.utc))


def v(epoch: int, counter: int, sha256: str = "a") -> Version:
    return Version(epoch=epoch, counter=counter, sha256=sha256)


def take(documents: list[Version], epoch: int) -> tuple[Version | None, list[Standing]]:
    """What a station remembers after all of them, and how each stood."""
    seen, stood = None, []
    for one in documents:
        stood.append(standing(one, seen, epoch=epoch))
        if stood[-1] == "newer":
            seen = one
    return seen, stood


def test_the_five_answers() -> None:
    assert standing(v(1, 6), v(1, 5), epoch=1) == "newer"
    assert standing(v(1, 5), v(1, 5), epoch=1) == "unchanged"
    assert standing(v(1, 5, "b"), v(1, 5), epoch=1) == "conflict"
    assert standing(v(1, 4), v(1, 5), epoch=1) == "rollback"
    assert standing(v(2, 1), v(1, 5), epoch=1) == "ahead"


def test_the_first_counter_of_an_issuer_is_above_0() -> None:
    assert standing(v(1, 1), None, epoch=1) == "newer"
    assert standing(v(1, 0), None, epoch=1) == "rollback"


def test_a_counter_that_a_stolen_key_drove_up_is_forgotten_with_its_epoch() -> None:
    seen, _ = take([v(1, 2**63)], 1)
    assert standing(v(1, 2**63 - 1), seen, epoch=1) == "rollback"
    assert standing(v(2, 1), seen, epoch=2) == "newer"
    for old in (v(1, 2**63), v(1, 2**63 + 1)):
        assert standing(old, seen, epoch=2) == "rollback"


def test_a_trust_file_that_was_put_back_brings_no_old_document_back() -> None:
    assert standing(v(1, 9), v(2, 1), epoch=1) == "rollback"


@given(st.lists(VERSIONS, max_size=8), st.integers(1, 4))
def test_what_is_remembered_only_grows_and_nothing_is_new_twice(documents: list[Version], epoch: int) -> None:
    seen, stood = take(documents, epoch)
    taken = [one for one, how in zip(documents, stood, strict=True) if how == "newer"]
    assert [one.counter for one in taken] == sorted({one.counter for one in taken})
    assert all(one.epoch == epoch and one.counter > 0 for one in taken)
    assert {how == "ahead" for how, one in zip(stood, documents, strict=True) if one.epoch > epoch} <= {True}
    again, once_more = take([*documents, *documents], epoch)
    assert again == seen and "newer" not in once_more[len(documents) :]


@given(st.lists(VERSIONS, max_size=6), st.lists(VERSIONS, max_size=6), st.integers(1, 3))
def test_a_new_epoch_takes_nothing_of_the_old_one(
    before: list[Version], after: list[Version], epoch: int
) -> None:
    seen, _ = take(before, epoch)
    for one in after:
        how = standing(one, seen, epoch=epoch + 1)
        assert (how == "newer") == (one.epoch == epoch + 1 and one.counter > 0)


class Read(ManualClock):
    """Counts how often it is asked what time it is."""

    asked = 0

    def utc_now(self) -> datetime:
        self.asked += 1
        return super().utc_now()


def test_the_clock_is_read_once_for_a_transaction() -> None:
    clock = Read(START, synced=True)
    reading = read(clock, None)
    clock.advance(3600)
    assert expiry(START + timedelta(seconds=1), reading) == "valid" and clock.asked == 1


@given(TIMES, st.none() | TIMES, TIMES, st.sampled_from([True, False, None]))
def test_only_a_clock_that_is_believed_makes_a_document_expired(
    now: datetime, latest: datetime | None, expires: datetime, synced: bool | None
) -> None:
    reading = read(ManualClock(now, synced=synced), latest)
    is_believed = synced is True and (latest is None or now >= latest)
    assert (reading.doubt is None) == is_believed
    assert reading.latest == (now if is_believed else latest)  # which never goes back
    wanted = ("expired" if now >= expires else "valid") if is_believed else "unchecked"
    assert expiry(expires, reading) == wanted


def test_the_doubt_is_said_in_words() -> None:
    assert read(ManualClock(START, synced=None), None).doubt == "the clock is not synchronised"
    doubt = read(ManualClock(START, synced=True), START + timedelta(days=1)).doubt
    assert doubt is not None
    assert "says 2026-01-01T00:00:00.000Z, which is before 2026-01-02T00:00:00.000Z, when it was" in doubt
