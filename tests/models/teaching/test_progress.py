"""One bar goes from nothing to all, and never back."""

from __future__ import annotations

from models.teaching.progress import Whole


def test_phases_make_the_whole_and_long_stages_move_it() -> None:
    seen: list[tuple[float, str]] = []
    whole = Whole(lambda share, words: seen.append((share, words)))
    for share in (0.25, 0.75):
        with whole.phase(share):
            with whole.stage("reading", 10) as step:
                step("")
            with whole.stage("training decodiff", 4) as step:
                for _ in range(4):
                    step("")
    shares = [share for share, _ in seen]
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1
    assert (0.25 * 0.9 * 0.5, "training decodiff") in seen


def test_a_stage_that_goes_on_begins_where_it_was() -> None:
    seen: list[float] = []
    whole = Whole(lambda share, words: seen.append(share))
    with whole.phase(1.0), whole.stage("training x", 10, 5) as step:
        step("")
    assert seen[1] == 0.9 * 0.6
