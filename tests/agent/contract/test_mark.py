"""What a mark makes of a part, and what a label may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from agent.contract.judging import MarkResult
from agent.contract.label import LONGEST_LABEL, Label
from agent.contract.mark import truth_of

LABEL: TypeAdapter[str] = TypeAdapter(Label)


@pytest.mark.parametrize(
    ("verdict", "says", "label", "truth"),
    [
        ("pass", "right", None, "good"),
        ("pass", "wrong", None, "defective"),
        ("fail", "right", "scratch", "defective"),
        ("fail", "wrong", None, "good"),
        ("fail", "wrong", "dust", "good"),
        ("undecided", "wrong", None, "good"),
        ("undecided", "wrong", "scratch", "defective"),
        ("undecided", "right", None, None),
        ("skipped", "right", None, None),
    ],
)
def test_a_word_on_a_verdict_says_what_the_part_is(
    verdict: str, says: str, label: str | None, truth: str | None
) -> None:
    assert truth_of(verdict, says, label) == truth  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "label", ["scratch", "Kratzer 2", "crack (left)", "0.5-1 mm", "Riß", "гнилой", "裂紋"]
)
def test_words_of_any_script_are_labels(label: str) -> None:
    assert LABEL.validate_python(label) == label


@pytest.mark.parametrize(
    "label",
    [
        *(
            "",
            " dent",
            "dent ",
            "a  b",
            "x" * (LONGEST_LABEL + 1),
            "<b>dent</b>",
            "a&b",
            "a/b",
            "../x",
            "a\nb",
        ),
        *("a\u202eb", "a\u200bb", "good", "GOOD", "-dent", "a'b", 'a"b', "a;b", "\ud800"),
    ],
)
def test_what_could_be_markup_a_path_or_unseen_is_no_label(label: str) -> None:
    with pytest.raises(ValidationError):
        LABEL.validate_python(label)


@given(st.text(max_size=60))
def test_every_label_that_is_taken_is_harmless_and_taken_again_as_it_is(text: str) -> None:
    try:
        label = LABEL.validate_python(text)
    except ValidationError:
        return
    assert not set(label) & set("<>&\"'/\\\0\n\r\t") and label.isprintable()
    assert LABEL.validate_python(label) == label


def test_two_spellings_of_one_word_are_one_label() -> None:
    assert LABEL.validate_python("Ri\u0301ss") == LABEL.validate_python("R\u00edss")


def test_taking_back_says_nothing_else() -> None:
    with pytest.raises(ValidationError, match="leave them out"):
        MarkResult.model_validate({"result_id": "a", "says": "taken_back", "label": "scratch"})
