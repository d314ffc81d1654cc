"""Patterns of part ids say what Python's own expressions would, cost what is bounded, and can be compared."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.settings.patterns import MAX_POSITIONS, Budget, PatternError, common, parse

letters = st.sampled_from(
    ["a", "b", "-", "1", ".", "[ab]", "[^a]", "\\d", "\\w", "\\.", "\\-", "[a-b1]", "[-b]"]
)
counts = st.sampled_from(["?", "*", "+", "{2}", "{1,2}", "{2,}"])
expressions = st.recursive(
    letters,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
        st.tuples(inner, counts).map(lambda pair: f"({pair[0]}){pair[1]}"),
    ),
    max_leaves=6,
)
words = st.text(alphabet="ab1-. ", max_size=6)


@given(expressions, st.lists(words, max_size=10))
def test_an_id_matches_exactly_when_pythons_expression_does(expression: str, ids: list[str]) -> None:
    try:
        pattern = parse(expression)
    except PatternError:
        return  # too many positions, or too long
    for one in ids:
        assert pattern.matches(one) == bool(re.fullmatch(expression, one, re.ASCII)), one


@given(expressions, expressions, st.lists(words, max_size=20))
def test_what_two_patterns_have_in_common_both_match_and_nothing_is_where_none_is_found(
    first: str, second: str, ids: list[str]
) -> None:
    try:
        one, other = parse(first), parse(second)
        both = common(one, other, Budget())
    except PatternError:
        return
    if both is not None:
        assert one.matches(both) and other.matches(both)
    else:
        assert not any(word and one.matches(word) and other.matches(word) for word in ids)


@pytest.mark.parametrize("expression", ["(a|a)*b", "(a*)*b", "(a+)+b", "(a?){60}a{60}"])
def test_no_pattern_makes_an_id_cost_more_than_its_length_times_the_positions(expression: str) -> None:
    pattern = parse(expression)
    started = time.process_time()
    assert not pattern.matches("a" * 128 + "!")
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("", "has 0 characters"),
        ("a" * 201, "has 201 characters"),
        ("(" * 20 + "a" + ")" * 20, "deeper than 16"),
        ("a{200}b{200}", f"has 400 positions with its repetitions written out; {MAX_POSITIONS} are the most"),
        ("((a{99}){99}){99}", "positions"),
        ("(ab", "at character 4: ( is not closed"),
        ("ab)", "at character 3: ')' closes nothing"),
        ("[ab", "ends in the middle"),
        ("a\\", "ends in the middle"),
        ("a{2", "{ begins a count"),
        ("a{3,2}", "counts backwards"),
        ("a{0}", "to nothing"),
        ("*a", "'*' stands alone"),
        ("a**", "repeats a repetition"),
        ("^ab$", "'^' stands alone"),
        ("(?:ab)", "(? begins what is not known here"),
        ("(?=a)", "(? begins what is not known here"),
        ("(a)\\1", "\\1 is not known here"),
        ("\\s", "\\s is not known here"),
        ("[z-a]", "runs backwards"),
    ],
)
def test_what_is_no_pattern_is_refused_with_its_place(expression: str, words: str) -> None:
    with pytest.raises(PatternError) as caught:
        parse(expression)
    assert words in str(caught.value)


def test_patterns_that_take_too_long_to_compare_are_refused_in_time() -> None:
    dense = "(a?){250}"
    with pytest.raises(PatternError, match="too complex"):
        common(parse(f"{dense}b"), parse(f"{dense}c"), Budget(steps=10_000))
