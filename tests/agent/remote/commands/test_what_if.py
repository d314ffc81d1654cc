"""What another threshold would have made of stored results."""

from __future__ import annotations

import numpy as np

from agent.remote.commands.what_if import BINS, NAMED, data, histogram, what_if, words
from tests.agent.remote.fakes import entry

HEADS = [
    entry("a", "pass", 0.02).head,
    entry("b", "fail", 0.04).head,
    entry("c", "fail", 0.06, "confirmed").head,
    entry("d", "fail", 0.05, "false_alarm").head,
    entry("e", "pass", 0.03, "missed_defect").head,
    entry("f", "undecided", 0.09).head,
]


def test_a_higher_one_passes_rejects_and_says_which_of_them_people_confirmed() -> None:
    found = what_if(HEADS, 0.07)
    assert (found.results, found.rejects_now, found.rejects_then) == (5, 3, 0), "undecided stays undecided"
    assert found.passed == ("c", "d", "b") and found.rejected == (), "the nearest first"
    assert (found.missed, found.spared, found.caught) == (("c",), ("d",), ())
    said = " ".join(words(found))
    assert "3 that were rejected would pass" in said
    assert "1 of those that would pass are confirmed" in said


def test_where_passes_are_kept_by_share_it_is_said_that_counts_are_no_rates() -> None:
    found = what_if(HEADS, 0.07)
    assert "0.01 of the parts that pass are stored" in " ".join(words(found, 0.01))
    assert "are stored" not in " ".join(words(found))


def test_a_lower_one_rejects_passes_and_finds_what_was_missed() -> None:
    found = what_if(HEADS, 0.025)
    assert (found.rejected, found.caught, found.rejects_then) == (("e",), ("e",), 4)


def test_a_score_at_the_threshold_is_rejected_as_the_judge_does() -> None:
    at = float(np.float32(0.1))
    assert what_if([entry("a", "pass", at).head], at).rejected == ("a",)


def test_nothing_stored_is_said_and_no_score_is_a_result() -> None:
    assert "nothing can be said" in words(what_if([], 0.1))[0]
    assert (
        what_if([entry("a", "undecided", None).head, entry("b", "pass", float("nan")).head], 0.1).results == 0
    )


def test_of_many_some_are_named() -> None:
    heads = [entry(f"r-{number}", "pass", 0.2 + number / 1000).head for number in range(200)]
    told = data(what_if(heads, 0.1))
    assert told["rejected"] == {"count": 200, "ids": [f"r-{number}" for number in range(NAMED)]}


def test_the_histogram_counts_every_score_between_its_edges() -> None:
    found = histogram([0.01, 0.02, 0.02, 5.0, float("nan")])
    edges, counts = found["edges"], found["counts"]
    assert isinstance(edges, list) and isinstance(counts, list)
    assert (len(edges), len(counts)) == (BINS + 1, BINS)
    assert [one for one in counts if one] == [1, 2, 1] and edges[0] == 0.01 and edges[-1] == 5.0
    assert histogram([]) == {"edges": [], "counts": []}
    assert sum(one for one in histogram([0.0, 0.0])["counts"] if isinstance(one, int)) == 2  # type: ignore[union-attr]
