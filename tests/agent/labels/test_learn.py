"""A label set is learned from five of a class on, names its likes, and says unknown of what is like none."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.labels import nearest
from agent.labels.label_set import MOST_OF_CLASS, UNKNOWN, LabelsError, decoded
from agent.labels.learn import learn, one_spelling
from agent.labels.nearest import name
from tests.agent.labels.made import CHANNELS, learned, samples, vector

FIVE = {"crack": 5, "dent": 5, "stain": 5}


def test_five_of_a_class_are_enough_to_name_its_likes() -> None:
    labels = learned(FIVE).labels
    rng = np.random.default_rng(1)
    found = [name(labels, vector(index, rng)[None])[0] for index in (0, 1, 2) for _ in range(20)]
    wanted = [label for label in FIVE for _ in range(20)]
    named = [(one.label, label) for one, label in zip(found, wanted, strict=True) if one.label != UNKNOWN]
    assert len(named) >= 50 and all(told == label for told, label in named)
    assert all(0.5 <= one.certainty <= 1 for one in found)


def test_what_is_like_no_class_is_unknown() -> None:
    rng = np.random.default_rng(1)
    strange = np.stack([vector(5, rng) for _ in range(20)])
    assert {one.label for one in name(learned(FIVE).labels, strange)} == {UNKNOWN}


def test_a_class_with_four_is_left_out_and_said_to_be() -> None:
    found = learned({"crack": 5, "dent": 4})
    assert (found.labels.counts, found.left_out) == ({"crack": 5}, {"dent": 4})


def test_no_class_with_five_is_refused_with_what_there_is() -> None:
    with pytest.raises(LabelsError, match="no class has 5 labelled defects; there are crack 4, dent 1"):
        learned({"crack": 4, "dent": 1})


def test_unknown_is_no_class_however_often_it_is_marked() -> None:
    assert learned({"crack": 5, "Unknown": 9}).left_out == {"Unknown": 9}


def test_capitals_make_no_class_of_their_own() -> None:
    made = learned({"Crack": 3, "crack": 4, "dent": 5})
    assert made.labels.counts == {"crack": 7, "dent": 5}


@given(st.lists(st.sampled_from(["Riß", "RISS", "riss", "dent", "Dent"])))
def test_what_differs_in_capitals_alone_is_written_one_way(labels: list[str]) -> None:
    made = one_spelling(labels)
    assert [one.casefold() for one in made] == [one.casefold() for one in labels]
    assert len(set(made)) == len({one.casefold() for one in labels}) and set(made) <= set(labels)
    assert all(labels.count(one) >= labels.count(was) for one, was in zip(made, labels, strict=True))


def test_one_class_names_its_likes_and_nothing_else() -> None:
    labels, rng = learned({"crack": 8}).labels, np.random.default_rng(2)
    told = name(labels, np.stack([vector(0, rng, noise=0.02), vector(4, rng)]))
    assert [one.label for one in told] == ["crack", UNKNOWN]


def test_of_ten_thousand_marks_the_first_of_each_class_are_learned_within_seconds_and_name_at_once() -> None:
    began = time.process_time()
    labels = learned({f"class {number}": 250 for number in range(40)}, noise=0.3).labels
    assert time.process_time() - began < 30
    assert set(labels.counts.values()) == {MOST_OF_CLASS} and len(labels.vectors) == 4000
    assert labels.head.sources[:2] == ("class 0-0", "class 0-1")
    one = vector(3, np.random.default_rng(0))[None]
    name(labels, one)
    began = time.process_time()
    name(labels, one)
    assert time.process_time() - began < 0.1


def test_more_classes_than_can_be_told_apart_are_refused() -> None:
    with pytest.raises(LabelsError, match="60 classes have labels, and 50"):
        learned({f"class {number}": 5 for number in range(60)})


def test_features_that_are_no_numbers_are_refused() -> None:
    bad = [replace(one, vector=np.full(2 * CHANNELS, np.nan, np.float32)) for one in samples({"crack": 5})]
    with pytest.raises(LabelsError, match="no numbers"):
        learn(bad, recipe="default", bundle="cells", bundle_sha256="ab" * 32)


def test_the_same_marks_give_the_same_set_to_the_byte() -> None:
    assert learned(FIVE).labels.sha256 == learned(FIVE).labels.sha256
    assert learned(FIVE).labels.sha256 != learned({**FIVE, "stain": 6}).labels.sha256


def test_a_set_that_was_written_and_read_names_alike() -> None:
    labels = learned(FIVE).labels
    again = decoded(labels.encoded, name="x")
    one = vector(1, np.random.default_rng(3))[None]
    assert again.sha256 == labels.sha256 and name(again, one) == name(labels, one)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: b"", "is no label set"),
        (lambda data: data[:40], "is no label set"),
        (lambda data: data[:-3], "no vectors of 15 samples"),
        (lambda data: data.replace(b'"crack"', b'"<b>x</b>"'), "cannot stand in a label"),
        (lambda data: data.replace(b'"crack"', b'"unknown"'), "unknown is no class"),
        (lambda data: data.replace(b'"limit":', b'"limit":-'), "limit"),
        (lambda data: data.replace(b'"scales":[', b'"scales":[0.0,'), "scales.0"),
        (lambda data: data.replace(b"labels/1", b"labels/2"), "schema"),
        (lambda data: data[:-4] + b"\xff\xff\xff\xff", "no numbers"),
    ],
)
def test_a_file_that_is_no_whole_set_is_refused_in_words(damage, words) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(LabelsError, match=words):
        decoded(damage(learned(FIVE).labels.encoded), name="x.labels")


def test_the_confusion_has_every_sample_once() -> None:
    confusion = learned(FIVE, noise=0.6).confusion
    assert {label: sum(row.values()) for label, row in confusion.items()} == FIVE


def test_accuracy_is_the_mean_over_classes() -> None:
    found = learned({"crack": 20, "dent": 5}, noise=0.7)
    by_class = [row.get(label, 0) / sum(row.values()) for label, row in found.confusion.items()]
    assert found.accuracy == pytest.approx(sum(by_class) / 2)


@given(seed=st.integers(0, 1000), count=st.integers(5, 30))
def test_at_most_the_stated_rate_of_the_marks_lies_beyond_the_limit(seed: int, count: int) -> None:
    to_class = np.random.default_rng(seed).uniform(0.1, 1, (count, 3)).astype(np.float32)
    beyond = (to_class.min(axis=1) > nearest.limit_of(to_class)).mean()
    assert beyond <= nearest.UNKNOWN_RATE


@given(seed=st.integers(0, 1000))
def test_distances_and_their_plain_twin_agree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    some, others = (rng.normal(size=(n, 6)).astype(np.float32) for n in (4, 7))
    plain = np.linalg.norm(some[:, None].astype(float) - others[None], axis=2)
    assert np.allclose(nearest.distances(some, others), plain, atol=1e-3)


@given(seed=st.integers(0, 1000))
def test_one_left_out_is_as_if_it_were_not_there(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, of = rng.normal(size=(10, 4)).astype(np.float32), np.array([0, 1] * 5)
    found = nearest.left_out(vectors, of, 2)
    rest = np.arange(10) != 3
    without = nearest.class_distances(nearest.distances(vectors[3:4], vectors[rest]), of[rest], 2)
    assert np.allclose(found[3], without[0], atol=1e-3)


def test_certainty_grows_with_the_lead_and_a_draw_is_half() -> None:
    labels = learned(FIVE, noise=0.01).labels
    between = vector(0, np.random.default_rng(0), noise=0) + vector(1, np.random.default_rng(0), noise=0)
    near = vector(0, np.random.default_rng(0), noise=0.01)
    wide = replace(labels, head=labels.head.model_copy(update={"limit": 100.0}))
    draw, clear = name(wide, np.stack([between / np.sqrt(2), near]).astype(np.float32))
    assert draw.certainty < 0.7 < clear.certainty
