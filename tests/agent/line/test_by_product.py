"""A line that judges products by their recipes: at part boundaries, whole, and none by another's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.contract.arguments import Bind
from agent.line.book import ByProduct, Entry, OneRecipe
from agent.line.capture import Capture
from agent.line.ignore import Ignore
from agent.line.line import HOLD_S, Line
from agent.line.recipe import Recipe
from agent.line.taught import Taught
from agent.messages import Frame, Pixels
from agent.settings.patterns import parse
from tests.agent.line.recipes import recipe, rules
from tests.agent.line.records import Desk, desk, verdicts
from tests.fakes import FakeEngine, bad_picture, fault, frame, good_picture

ALL = ((0.0, 0.0), (99.0, 0.0), (99.0, 99.0), (0.0, 99.0))


def of(name: str, *, threshold: float = 0.5, max_windows: int = 1, ignore: Ignore | None = None) -> Recipe:
    return replace(
        recipe(
            FakeEngine(name=f"engine-{name}"),
            name=f"bundle-{name}",
            sha256=name * 64,
            judged_by=replace(rules(threshold=threshold, max_windows=max_windows), ignore=ignore),
        ),
        name=name,
    )


def book(*recipes: Recipe, default: str | None = None, switched: str | None = None) -> ByProduct:
    """Each for the parts whose ids begin with its name."""
    return ByProduct(
        entries={
            one.name: Entry(
                recipe=one, parts=(parse(f"{one.name}\\d+"),), products=frozenset((f"M{one.name}",))
            )
            for one in recipes
        },
        default=default,
        switched=switched,
    )


A, B = of("a"), of("b", threshold=0.9)


class Station:
    def __init__(self, path: Path, at: Desk) -> None:
        self.path, self.desk = path, at
        self.capture = Capture("accountable", ring_frames=64)
        self.taught = Taught("Camera top", bundle="none", at_least=2)
        self.line = Line(
            camera="top",
            capture=self.capture,
            recipe=A,
            publisher=at.publisher,
            clock=at.clock,
            taught=self.taught,
        )
        self.line.judge_by(book(A, B))
        self.line.step()
        self.frames = 0

    def judge(self, part_id: str | None, picture: Pixels | None = None, **told: Any) -> None:
        number, self.frames = self.frames, self.frames + 1
        one: Frame = replace(
            frame(number, good_picture() if picture is None else picture, captured_ns=self.now),
            part_id=part_id,
            **told,
        )
        self.capture.put(one)
        self.line.step()

    @property
    def now(self) -> int:
        return self.desk.clock.monotonic_ns()

    def bind(self, **said: Any) -> None:
        self.desk.bindings.bind(Bind(**said), self.now)

    def records(self) -> list[dict[str, Any]]:
        self.desk.settle()
        found = verdicts(self.path)
        assert [one["sequence"] for one in found] == list(range(1, len(found) + 1))
        return found

    def recipes(self) -> list[str]:
        return [one["recipe_id"] for one in self.records()]


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Station]:
    path = tmp_path / "outbox.sqlite3"
    with desk(path) as at:
        yield Station(path, at)


def test_each_part_is_judged_by_the_recipe_of_its_product_and_its_record_names_it(one: Station) -> None:
    grey = np.full((32, 32, 1), 200, np.uint8)  # a defect by a, not by b
    for part_id in ("a1", "b1", "a2"):
        one.judge(part_id, grey)
    records = one.records()
    assert one.recipes() == ["a", "b", "a"]
    assert [record["verdict"] for record in records] == ["fail", "pass", "fail"]
    assert [record["model"]["engine"] for record in records] == ["engine-a", "engine-b", "engine-a"]
    assert [record["score"]["threshold"] for record in records] == pytest.approx([0.5, 0.9, 0.5])


def test_a_part_of_an_unknown_product_is_undecided_and_no_engine_sees_it(one: Station) -> None:
    one.judge("c1")
    (record,) = one.records()
    assert (record["verdict"], record["reason"], record["recipe_id"]) == ("undecided", "unknown_product", "")
    assert "no recipe is for part 'c1'; recipes are a, b" in record["detail"]
    for known in (A, B):
        assert isinstance(known.engine, FakeEngine)
    assert record["score"] is None
    one.judge(None)
    assert one.records()[-1]["reason"] == "unknown_product"


def test_the_product_that_was_bound_counts_before_the_id_and_is_used_once_for_each_trigger(
    one: Station,
) -> None:
    one.bind(part_id="a7", product="Mb", applies_to="next_trigger")
    one.judge("x")
    one.judge("a8")
    one.bind(product=None)
    one.judge("a9")
    one.bind(product="none of ours")
    one.judge("a10")
    records = one.records()
    assert one.recipes() == ["b", "b", "a", ""]
    assert [record["part_id"] for record in records] == ["a7", "a8", "a9", "a10"]
    assert records[-1]["reason"] == "unknown_product"
    assert one.desk.bindings.unused() == []


def test_a_trigger_without_a_picture_names_the_recipe_of_its_product(one: Station) -> None:
    one.judge("a1")
    one.capture.put(replace(fault(1), part_id="b1"))
    one.line.step()
    assert one.recipes() == ["a", "b"]


def test_a_switch_holds_from_the_next_part_on_and_not_within_one_of_several_triggers(one: Station) -> None:
    one.line.judge_by(book(A, B, switched="a"))
    one.bind(part_id="X1", applies_to="until_changed", product="a")
    one.judge(None)
    one.bind(product="b")
    one.line.judge_by(book(A, B, switched="b"))
    one.judge(None)
    one.line.step()  # no trigger for a while
    one.judge(None)
    one.bind(part_id="X2", applies_to="until_changed")
    one.judge(None)
    assert one.recipes() == ["a", "a", "a", "b"]


def test_a_part_in_pieces_is_judged_to_its_end_by_one_recipe_whatever_is_bound_meanwhile(
    one: Station,
) -> None:
    one.judge("a1", goes_on=True)
    one.bind(product="b")
    one.line.judge_by(OneRecipe(B))
    one.judge(None, goes_on=True)
    one.judge(None)
    one.judge(None)
    assert one.recipes() == ["a", "a", "a", "b"]


def test_a_part_that_never_ends_holds_a_switch_up_no_longer_than_the_line_waits_for_anything(
    one: Station,
) -> None:
    one.judge("a1")
    one.line.judge_by(OneRecipe(B))
    one.desk.clock.advance(HOLD_S - 1)
    one.judge("a1")
    one.desk.clock.advance(2)
    one.judge("a1")
    assert one.recipes() == ["a", "a", "b"]


def test_windows_that_wait_belong_to_the_recipe_and_the_part_they_were_judged_as(one: Station) -> None:
    wide = of("a", max_windows=4), of("b", max_windows=4)
    one.line.judge_by(book(*wide))
    end, start = bad_picture(spots=((8, 28, 8, 4),)), bad_picture(spots=((8, 0, 8, 4),))
    one.bind(part_id="a1", applies_to="until_changed")
    one.judge(None, end, first_line=0)
    one.desk.clock.advance(0.01)
    one.bind(part_id="b1", applies_to="until_changed")
    one.judge(None, start, first_line=32)
    one.desk.clock.advance(HOLD_S + 1)
    one.line.step()
    records = one.records()
    assert one.recipes() == ["a", "b"]
    assert [record["part_id"] for record in records] == ["a1", "b1"]
    assert all(record["defects"][0]["bbox_web"] is None for record in records)


def test_what_waits_by_one_recipe_for_all_is_bound_before_what_comes_by_product(one: Station) -> None:
    one.line.judge_by(OneRecipe(of("x", max_windows=4)))
    one.line.step()
    one.bind(part_id="SN1")
    one.judge(None, bad_picture(spots=((8, 28, 8, 4),)), first_line=0)
    assert one.records() == []
    one.desk.clock.advance(0.01)
    one.line.judge_by(book(A, B))
    one.bind(part_id="b1")
    one.judge(None, first_line=32)
    assert [record["part_id"] for record in one.records()] == ["SN1", "b1"]
    assert one.recipes() == ["x", "b"]


def test_regions_hold_for_the_recipe_that_has_them(one: Station) -> None:
    corner = ((0.0, 0.0), (20.0, 0.0), (20.0, 20.0), (0.0, 20.0))
    one.line.judge_by(book(of("a", ignore=Ignore(polygons=(corner,), top=4)), of("b")))
    for part_id in ("a1", "b1"):
        one.judge(part_id, bad_picture())
    assert [record["verdict"] for record in one.records()] == ["pass", "fail"]


def test_a_frame_of_which_nothing_is_left_is_undecided(one: Station) -> None:
    one.line.judge_by(book(of("a", ignore=Ignore(polygons=(ALL,), top=4))))
    one.judge("a1")
    (record,) = one.records()
    assert (record["verdict"], record["reason"]) == ("undecided", "all_ignored")
    assert "regions to ignore cover the whole frame" in record["detail"]


def test_pictures_are_watched_for_each_product_by_itself(one: Station) -> None:
    dark, bright = np.full((32, 32, 1), 20, np.uint8), np.full((32, 32, 1), 100, np.uint8)
    for number in range(8):
        one.judge(f"a{number}", dark)
        one.judge(f"b{number}", bright)
    one.line.judge_by(book(B))
    one.judge("b1", bright)
    assert one.line.words() == ()
    for number in range(4):
        one.judge(f"b{number + 10}", np.full((32, 32, 1), 220, np.uint8))
    assert "not what the bundle bundle-b was taught" in " ".join(one.line.words())
