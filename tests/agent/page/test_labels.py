"""What is said of labels before they are used."""

from __future__ import annotations

from agent.page.labels import told
from tests.agent.labels.made import learned


def test_labels_named_little_better_than_by_guessing_are_said_to_be() -> None:
    words = " ".join(told(learned({"crack": 8, "dent": 8}, noise=50.0), ())["words"])
    assert "little more than guessing gives (50%)" in words


def test_of_labels_that_mean_one_thing_each_nothing_is_said() -> None:
    assert "guessing" not in " ".join(told(learned({"crack": 8, "dent": 8}), ())["words"])
