"""What evidence is called, how rare it is on good parts, and the one sentence over all of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.explain.form import Good, Kind
from agent.explain.words import NAMES, evidence_of, rarity, sentence

SHARES = (0.5, 0.99, 0.999)
KINDS = (
    *("mask", "taught", "stride_4", "stride_8", "stride_16", "pixels", "latents"),
    *("memory_5", "memory_6"),
)
WEIGHTS = (0.3, 0.05, 0.025, 0.025, 0.025, 0.05, 0.025, 0.25, 0.25)


def good(*, measured: bool = True) -> Good:
    values = (0.0, 3.0, 5.0) if measured else ()
    kinds = tuple(
        Kind(name=name, weight=weight, values=values) for name, weight in zip(KINDS, WEIGHTS, strict=True)
    )
    return Good(kinds=kinds, groups=(), shares=SHARES if measured else (), frames=120 if measured else 0)


def said(*, measured: bool = True, **peaks: float) -> str:
    of = good(measured=measured)
    values = [peaks.get(name, 0.0) for name in KINDS]
    return sentence(evidence_of(of, values, values), of)


def test_the_kind_of_most_spreads_is_what_it_differs_in() -> None:
    assert said(stride_8=9.2, pixels=4.0, mask=7.0) == (
        "Differs from good parts mostly in texture at stride 8, by 9.2 spreads; under 1 in 1,000 places"
        " of good parts have as much; it looks like a defect to the finder."
    )


def test_kinds_that_are_nearly_as_much_are_named_too() -> None:
    found = said(stride_8=9.0, pixels=8.0, latents=7.5)
    assert ", nearly as much in brightness and how much had to be restored;" in found


def test_an_opinion_of_a_network_is_no_difference_that_was_measured() -> None:
    assert said(mask=30.0) == (
        "Nothing that was measured differs much from good parts; it looks like a defect to the finder."
    )


def test_without_good_parts_it_speaks_of_spreads_alone() -> None:
    assert said(measured=False, pixels=4.0) == (
        "Differs from good parts mostly in brightness, by 4.0 spreads; to the finder it is no defect."
    )


def test_a_teacher_that_there_was_not_is_no_evidence() -> None:
    of = good()
    kinds = tuple(
        kind if kind.name != "taught" else Kind(name="taught", weight=0, values=kind.values)
        for kind in of.kinds
    )
    values = [9.0] * len(KINDS)
    found = evidence_of(Good(kinds=kinds, groups=(), shares=of.shares, frames=of.frames), values, values)
    assert [one.kind for one in found] == [name for name in KINDS if name != "taught"]


def test_what_no_remembered_part_had_is_said_in_words() -> None:
    assert said(memory_5=9.2, memory_6=4.0).startswith(
        "Differs from good parts mostly in coarse structure beside remembered good parts, by 9.2 spreads;"
    )


def test_every_kind_of_a_shipped_student_has_a_plain_name() -> None:
    assert set(NAMES) == set(KINDS)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (-1.0, "more than 1 in 2"),
        (1.0, "under 1 in 2"),
        (3.5, "under 1 in 100"),
        (99.0, "under 1 in 1,000"),
    ],
)
def test_rarity_is_the_least_share_that_was_measured(value: float, words: str) -> None:
    assert rarity(value, good().kinds[0], SHARES) == words


@given(st.lists(st.floats(-20, 50), min_size=len(KINDS), max_size=len(KINDS)))
def test_parts_of_the_map_are_shares_of_what_raises_it(peaks: list[float]) -> None:
    found = evidence_of(good(), peaks, peaks)
    assert all(0 <= one.part <= 1 for one in found)
    assert sum(one.part for one in found) == pytest.approx(1 if max(peaks) > 0 else 0, abs=0.01)
    assert all(one.part == 0 for one, peak in zip(found, peaks, strict=True) if peak <= 0)
    assert sentence(found, good()).endswith(".")
