"""Whatever is done to records, the first broken link is named; what is honest holds."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from agent.chain.entry import Entry, of_payload
from agent.chain.heads import checker
from agent.chain.walk import inserted, walk
from agent.chain.walked import Break, Walked
from agent.contract.chain import borne, parted
from tests.agent.chain.made import KEY, OTHER, Station, a_day, event_payload, signed_head, verdict_payload


def entries(messages: Sequence[bytes]) -> list[Entry]:
    found = [of_payload(message, f"file:{number}") for number, message in enumerate(messages, 1)]
    return [one for one in found if isinstance(one, Entry)]


def walked(messages: Sequence[bytes], first: int | None = None, last: int | None = None) -> Walked:
    (one,) = walk(entries(messages), checker([KEY.public_key()]), first=first, last=last)
    return one


def broken(messages: Sequence[bytes], first: int | None = None, last: int | None = None) -> Break:
    found = walked(messages, first, last).broken
    assert found is not None
    return found


def number_of(message: bytes) -> int:
    place = parted(message)[1]
    assert place is not None
    return place.number


def test_an_honest_day_holds_and_is_proven_to_its_last_head() -> None:
    day = a_day()
    found = walked(day.messages)
    assert found.broken is None
    assert (found.first, found.last, found.proven_to) == (1, day.number, day.number - 1)
    assert (found.records, found.pictures, found.heads) == (len(day.messages), 12, 4)
    assert found.records + found.pictures == day.number
    assert found.keys == (KEY.public_key().public_bytes_raw().hex(),)


def test_the_order_in_which_they_came_and_what_came_twice_change_nothing() -> None:
    day = a_day()
    again = day.messages[3].replace(b'"replayed":false', b'"replayed":true')
    assert walked([*reversed(day.messages), day.messages[3], again]).broken is None


def test_a_word_that_was_changed_is_named_with_its_verdict() -> None:
    messages = list(a_day().messages)
    place = next(number for number, one in enumerate(messages) if b'"verdict":"fail"' in one)
    messages[place] = messages[place].replace(b'"verdict":"fail"', b'"verdict":"pass"')
    found = broken(messages)
    assert (found.where, found.number, found.sequence) == (f"file:{place + 1}", number_of(messages[place]), 1)
    assert found.expected != found.stands and len(found.expected) == len(found.stands) == 64
    assert "verdict 1" in found.words()


def test_what_was_removed_is_named_as_missing() -> None:
    messages = list(a_day().messages)
    gone = messages.pop(6)
    assert (broken(messages).number, broken(messages).what[:13]) == (number_of(gone), "it is missing")


def test_two_contents_that_changed_places_are_named() -> None:
    messages = list(a_day().messages)
    (one, at_one), (other, at_other) = parted(messages[1]), parted(messages[8])
    assert at_one is not None and at_other is not None
    messages[1], messages[8] = borne(other, at_one.words()), borne(one, at_other.words())
    assert broken(messages).number in (at_one.number, at_one.number + 1)
    messages = list(a_day().messages)
    (one, at_one), (other, at_other) = parted(messages[3]), parted(messages[4])
    assert at_one is not None and at_other is not None
    messages[3], messages[4] = borne(other, at_one.words()), borne(one, at_other.words())
    assert broken(messages).number == at_one.number


def test_a_record_that_was_put_in_stands_where_another_does() -> None:
    messages = list(a_day().messages)
    place = parted(messages[4])[1]
    assert place is not None
    messages.append(borne(verdict_payload(99), place.words()))
    assert (broken(messages).number, broken(messages).what) == (place.number, "two records have this number")


def test_a_whole_chain_that_was_made_anew_has_no_head_that_the_key_signed() -> None:
    forged = Station()
    forged.head(reason="begun", key=OTHER)
    forged.verdict()
    forged.head(key=OTHER)
    assert "is not one of those given" in broken(forged.messages).what
    (found,) = walk(entries(forged.messages), checker([]))
    assert found.broken is None and found.keys == (OTHER.public_key().public_bytes_raw().hex(),)


def test_a_rest_that_was_made_anew_is_found_at_the_next_head() -> None:
    day = a_day()
    cut = next(number for number, one in enumerate(day.messages) if b"plumbline.head" in one and number > 3)
    forged = Station()
    forged.messages = list(day.messages[:3])
    place = parted(day.messages[3])[1]
    assert place is not None
    forged.number, forged.link = place.number - 1, place.previous
    while forged.number < number_of(day.messages[cut]) - 1:
        forged.event()
    assert broken([*forged.messages, *day.messages[cut:]]).number == number_of(day.messages[cut]) - 1


@pytest.mark.parametrize("member", ["head_id", "station", "created", "boot_id"])
def test_a_head_says_beside_what_is_signed_nothing_else(member: str) -> None:
    messages = list(a_day().messages)
    content, place = parted(messages[-1])
    assert place is not None
    message = json.loads(content)
    message[member] = "another"
    messages[-1] = borne(json.dumps(message, separators=(",", ":")).encode(), place.words())
    assert broken(messages).what == "head: it says another thing beside what is signed"


def test_a_head_at_another_place_is_named() -> None:
    day = a_day()
    content, _ = parted(day.messages[-1])
    day.say(content)
    assert broken(day.messages).what == "the head signs for another place than its own"


def test_a_range_is_whole_between_its_ends_and_the_head_behind_it() -> None:
    day = a_day()
    found = walked(day.messages, 4, 10)
    assert found.broken is None and found.first == 4 and found.proven_to >= 10
    kept = [one for one in day.messages if number_of(one) < 10]
    assert broken(kept, 4, 10).number == 10
    assert walked(kept, 4, 9).broken is None, "9 is a picture that verdict 8 names"
    behind = [one for one in day.messages if number_of(one) > 4]
    assert (broken(behind, 4, 10).number, broken(behind, 4, 10).what[:13]) == (4, "it is missing")


def test_what_is_behind_the_last_head_is_told_as_not_proven() -> None:
    day = a_day()
    for _ in range(3):
        day.event()
    assert (walked(day.messages).broken, walked(day.messages).unproven) == (None, 4)


def test_what_a_signed_head_says_was_lost_is_a_gap_and_no_break() -> None:
    day = a_day()
    lost = [one for one in day.messages if 6 <= number_of(one) <= 9]
    rest = [one for one in day.messages if one not in lost]
    after = Station(segment=b"segment2", number=day.number)
    after.head(reason="mended", follows=day.end(), lost=((5, 9),))
    after.verdict()
    check = checker([KEY.public_key()])
    first, second = walk(entries([*rest, *after.messages]), check)
    assert (first.broken, second.broken, len(first.lost)) == (None, None, 1)
    (alone,) = walk(entries(rest), check)
    assert alone.broken is not None
    wrong = Station(segment=b"segment2", number=day.number)
    wrong.head(reason="mended", follows=day.end(), lost=((5, 9),), key=OTHER)
    told = walk(entries([*rest, *wrong.messages]), check)
    assert all(one.broken is not None for one in told), "who has not the key excuses nothing"


def test_a_record_without_a_place_is_put_in_when_others_of_its_run_have_one() -> None:
    day = entries(a_day().messages)
    own, older = (of_payload(event_payload(1, boot_id=boot), "file:1") for boot in ("boot", "before"))
    assert not isinstance(own, Entry) and not isinstance(older, Entry)
    assert inserted([older, own], day) is own
    assert inserted([older], day) is None


def test_a_head_is_taken_only_as_the_station_writes_it() -> None:
    day = a_day()
    content, place = parted(day.messages[-1])
    assert place is not None
    spaced = json.dumps(json.loads(content)).encode()
    assert "not written as" in broken([*day.messages[:-1], borne(spaced, place.words())]).what
    for odd in (b'{"schema":"plumbline.head/1"}', content.replace(b'"payload":"', b'"payload":"!')):
        assert "no head" in broken([*day.messages[:-1], borne(odd, place.words())]).what
    weak = signed_head(place).replace(b'"sig":"', b'"sig":"AAAA')
    assert broken([*day.messages[:-1], borne(weak, place.words())]).what.startswith("head:")
