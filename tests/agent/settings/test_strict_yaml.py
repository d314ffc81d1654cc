"""Text says what it seems to say, or is refused with its place; no input ends in another error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.settings import strict_yaml
from agent.settings.strict_yaml import YamlError


def value(text: str) -> Any:
    """What `text` is as the value of a key."""
    return strict_yaml.load(f"key: {text}\n", name="a.yaml")[0]["key"]


def refusal(text: str) -> str:
    with pytest.raises(YamlError) as caught:
        strict_yaml.load(text, name="a.yaml")
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    "text",
    [
        "on",
        "off",
        "yes",
        "no",
        "y",
        "True",
        "FALSE",
        "0777",
        "0o17",
        "0x1F",
        "1_000",
        "1:30",
        "1:30.5",
        "1_0.5",
        "1e3",
        "<<",
        "=",
    ],
)
def test_what_other_parsers_take_for_something_else_stays_text(text: str) -> None:
    assert value(text) == text


@pytest.mark.parametrize("text", ["2026-11-22", "2026-11-22T07:15:03Z"])
def test_dates_stay_text(text: str) -> None:
    assert value(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true", True),
        ("false", False),
        ("0", 0),
        ("-12", -12),
        ("+3", 3),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.0e-3", 0.001),
    ],
)
def test_plain_booleans_and_decimal_numbers_are_what_they_seem(text: str, expected: object) -> None:
    found = value(text)
    assert found == expected and type(found) is type(expected)


@given(
    st.one_of(
        # Of the next line (U+0085) PyYAML writes what it reads as a blank itself.
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x85"), max_size=20),
        st.from_regex(r"[-+.0-9_:eExoab]{1,12}", fullmatch=True),
        st.floats(allow_nan=False),
        st.integers(-(10**15), 10**15),
        st.booleans(),
    )
)
def test_what_pyyaml_writes_is_read_as_it_was(value_written: object) -> None:
    text = yaml.safe_dump({"key": value_written}, allow_unicode=True)
    found = strict_yaml.load(text, name="a.yaml")[0]["key"]
    assert found == value_written and type(found) is type(value_written)


@pytest.mark.parametrize("text", ["", "~", "null"])
def test_nothing_is_nothing(text: str) -> None:
    assert value(text) is None


@pytest.mark.parametrize("text", ['"on"', "'0777'", '"12"', '"null"'])
def test_quoted_values_are_text(text: str) -> None:
    assert value(text) == text[1:-1]


def test_every_key_and_item_has_its_line() -> None:
    text = "a: 1\nb:\n  c:\n    - x\n    - d: 2\n"
    _, lines = strict_yaml.load(text, name="a.yaml")
    assert lines[("a",)] == 1
    assert lines[("b",)] == 2
    assert lines[("b", "c")] == 3
    assert lines[("b", "c", 0)] == 4
    assert lines[("b", "c", 1)] == lines[("b", "c", 1, "d")] == 5


def test_an_empty_document_is_nothing() -> None:
    assert strict_yaml.load("# only words\n", name="a.yaml") == (None, {})


def test_aliases_are_refused_where_they_stand() -> None:
    assert refusal("a: {b: 1}\nc: *one\n") == "a.yaml:2:4: aliases are not allowed; repeat the value"


def test_merge_keys_do_not_merge() -> None:
    assert strict_yaml.load("a:\n  <<: {b: 1}\n", name="a.yaml")[0] == {"a": {"<<": {"b": 1}}}


def test_a_duplicate_key_is_refused_and_says_where_the_first_one_is() -> None:
    assert refusal("a:\n  b: 1\n  c: 2\n  b: 3\n") == "a.yaml:4:3: duplicate key 'b' (first on line 2)"


def test_a_duplicate_key_in_flow_style_is_refused() -> None:
    assert "duplicate key 'b'" in refusal("a: {b: 1, b: 1}\n")


@pytest.mark.parametrize("text", ["5: a\n", "true: a\n", "null: a\n", "? [a]\n: b\n"])
def test_keys_that_are_not_text_are_refused(text: str) -> None:
    assert "is not text; quote it" in refusal(text)


def test_two_documents_in_one_file_are_refused() -> None:
    assert refusal("a: 1\n---\na: 2\n").startswith("a.yaml:2:1: ")


@pytest.mark.parametrize("text", ["a: [1\n", "a: 'x\n", "a: b: c\n", "\ta: 1\n", "a: @x\n"])
def test_broken_yaml_is_refused_with_its_place(text: str) -> None:
    assert refusal(text).startswith(("a.yaml:1:", "a.yaml:2:"))


def test_large_texts_are_refused_before_they_are_parsed() -> None:
    assert "larger than 262144 bytes" in refusal("a: " + "x" * strict_yaml.MAX_BYTES)


@pytest.mark.parametrize(
    "text",
    ["!!binary aGFsbG8=", "!!timestamp 2026-01-01", "!!bool yes", "!!int '0777'", "!!set {b}", "!a x", "! x"],
)
def test_tags_are_refused_where_they_stand(text: str) -> None:
    assert refusal(f"a:\n  b: {text}\n").startswith("a.yaml:2:6: tag ")


def test_values_nested_beyond_reason_are_refused() -> None:
    for opening in ("[", "{", "- ", "? ", "[{a: "):
        assert "nested too deeply" in refusal("a:\n  " + opening * 5000)


def test_more_values_than_settings_can_have_are_refused() -> None:
    assert "nested too deeply or too long" in refusal("a: [" + "1," * strict_yaml.MAX_NODES + "]\n")


def test_a_number_with_thousands_of_digits_is_no_number() -> None:
    assert value("1" * 5000) == "1" * 5000


@pytest.mark.parametrize("character", ["\x07", "\x00", "\udcff"])
def test_a_character_that_no_text_has_is_named_with_its_line(character: str) -> None:
    message = refusal(f"a: 1\nb: x{character}\n")
    assert message == f"a.yaml:2:5: character #x{ord(character):04x} is not allowed; remove it"


@given(st.text(st.sampled_from("ab01:-?,[]{}#&*!|>'\"%@` \n\t.\x07\udcff"), max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        strict_yaml.load(text, name="a.yaml")
    except YamlError as error:
        assert str(error).startswith("a.yaml:") and "\n" not in str(error)


@pytest.mark.parametrize(
    "text", ["a: &word x", "a: [&word x]", "a: {b: &word {c: d}}", "&word a: b", "&word\na: b"]
)
def test_an_anchor_is_no_lost_start_of_a_text(text: str) -> None:
    with pytest.raises(YamlError, match="quote a text that begins with &") as caught:
        strict_yaml.load(text, name="a.yaml")
    assert "word" not in str(caught.value)


class Plain(strict_yaml._StrictLoader):
    """With PyYAML's own way past comments."""

    scan_to_next_token = yaml.scanner.Scanner.scan_to_next_token  # type: ignore[assignment]


@given(
    st.lists(
        st.sampled_from(["a: 1", "# x", " ", "\n", "\r\n", "\r", "\u2028", "- b", "|", "#", "\ufeff", "'"])
    )
)
def test_comments_are_passed_as_pyyaml_passes_them(pieces: list[str]) -> None:
    def read(loader: type[strict_yaml._StrictLoader]) -> tuple[str, object]:
        try:
            return "read", yaml.serialize(
                loader("".join(pieces)).get_single_node() or yaml.ScalarNode("", "")
            )
        except yaml.YAMLError as error:
            return "refused", str(error)

    assert read(strict_yaml._StrictLoader) == read(Plain)


LINES = (
    (Path(__file__).parents[3] / "config/agent.yaml").read_text(encoding="utf-8").splitlines(keepends=True)
)
PIECES = [
    *"ab1:-?,[]{}#&*!|>'\"%@` \n\t\r.\\~",
    *(
        "b: ",
        "- ",
        "? ",
        "# x\n",
        "\n  ",
        "---",
        "\n...\n",
        "a: 1\n",
        "- a: 1\n  b: 2\n",
        "'x\n y'",
        "|-\n  x\n",
    ),
    *("%YAML 1.1\n", "\\x41", "\\ud800", "\\L", "k" * 1030, "\ufeff", "\x85", "\u2028", "é", "\U0001f600"),
]


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """Some lines of the annotated file with pieces of YAML thrown in."""
    first = draw(st.integers(0, len(LINES) - 1))
    text = "".join(LINES[first : first + draw(st.integers(0, 25))])
    for piece in draw(st.lists(st.sampled_from(PIECES), max_size=12)):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + piece + text[at + draw(st.integers(0, 2)) :]
    return text


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML has no libyaml here")
@settings(max_examples=500)
@given(st.one_of(st.lists(st.sampled_from(PIECES), max_size=14).map("".join), damaged()))
def test_what_libyaml_reads_pyyaml_reads_alike(text: str) -> None:
    quickly = strict_yaml._quickly(text)
    if quickly is not None:
        assert repr(quickly) == repr(strict_yaml._read(strict_yaml._StrictLoader(text)))


@pytest.mark.parametrize(
    "text", ["a:\t1\n", "---\na: 1\n", "a: |#\n  b\n", "a: {b?}\n", "a: x\n  y\n", "a: b\r\n"]
)
def test_pyyaml_reads_what_libyaml_might_take_otherwise(text: str) -> None:
    assert strict_yaml._quickly(text) is None


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML has no libyaml here")
def test_the_annotated_file_is_read_quickly() -> None:
    text = "".join(LINES)
    assert strict_yaml._quickly(text) == strict_yaml.load(text, name="a.yaml")


def test_without_libyaml_all_is_read_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    before = strict_yaml.load("".join(LINES), name="a.yaml")
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    assert strict_yaml._quickly("".join(LINES)) is None
    assert strict_yaml.load("".join(LINES), name="a.yaml") == before
