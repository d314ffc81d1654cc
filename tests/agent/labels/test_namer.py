"""Defects of parts that fail get labels within the time they have; no verdict knows of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from agent.contract.verdict import Verdict
from agent.labels.label_set import LabelSet
from agent.labels.learn import Sample, learn
from agent.labels.namer import WAITING, Namer
from agent.labels.shelf import Shelf
from agent.labels.vectors import cut_around, vector_of
from agent.line.capture import Capture
from agent.line.line import Line
from agent.line.prepare import prepare
from agent.line.recipe import Recipe, WantedLabels
from agent.messages import Pixels
from tests.agent.labels.made import SHA256, FakeFeatures, learned
from tests.agent.line.recipes import recipe, rules
from tests.agent.line.records import Desk, desk, verdicts
from tests.brokers import eventually
from tests.fakes import STRIDE_PX, bad_picture, evidence_of, frame, good_picture, spec

WITHIN_MS = 10_000


@dataclass(frozen=True, kw_only=True)
class Station:
    line: Line
    namer: Namer
    capture: Capture
    features: FakeFeatures
    at: Desk
    path: Path

    def judged(self, picture: Pixels, number: int = 0) -> Verdict:
        self.capture.put(frame(number, picture))
        verdict = self.line.step()
        assert verdict is not None
        return verdict


def own_set(at: Desk, *, bundle_sha256: str = SHA256) -> LabelSet:
    """`spot` is what the bad picture has, in the fake features; `other` is far from it."""
    features = FakeFeatures()
    ready = prepare(frame(0, bad_picture(64, 64)), spec(), at.clock)
    evidence = evidence_of(bad_picture(64, 64))
    (cut,) = cut_around(ready, evidence, 0.5, [(8, 12, 8, 4)], stride_px=STRIDE_PX, grid=8)
    own = vector_of(features.of(cut.tile), cut.weights, features.coarsest)
    rng = np.random.default_rng(0)

    def near(vector: Any) -> Any:
        return (vector + 0.05 * rng.normal(size=vector.shape)).astype(np.float32)

    samples = [Sample(label="spot", source=str(one), vector=near(own)) for one in range(5)]
    samples += [Sample(label="other", source=str(one), vector=near(-own)) for one in range(5)]
    return learn(samples, recipe="default", bundle="cells", bundle_sha256=bundle_sha256).labels


@contextmanager
def station(
    path: Path,
    *,
    within_ms: int = WITHIN_MS,
    bundle_sha256: str = SHA256,
    kept: bool = True,
    gate: threading.Event | None = None,
    max_windows: int = 1,
) -> Iterator[Station]:
    """A line by a recipe with a label set, on fake features; given once the set is opened or refused."""
    with desk(path / "outbox.sqlite3") as at:
        labels = own_set(at, bundle_sha256=bundle_sha256)
        shelf = Shelf(path / "labels")
        if kept:
            shelf.put(labels)
        judging: Recipe = replace(
            recipe(judged_by=rules(max_windows=max_windows)),
            labels=WantedLabels(sha256=labels.sha256, within_ms=within_ms),
        )
        bundle: Any = SimpleNamespace(sha256=SHA256, manifest=SimpleNamespace(name="cells"))
        features = FakeFeatures(gate=gate)

        @contextmanager
        def held() -> Iterator[Any]:
            yield {SHA256: SimpleNamespace(bundle=bundle)}

        namer = Namer(shelf, held=held, recipes=lambda: [judging], clock=at.clock, open_=lambda one: features)
        capture = Capture("accountable", ring_frames=64)
        line = Line(
            camera="top", capture=capture, recipe=judging, publisher=at.publisher, clock=at.clock, names=namer
        )
        stop = threading.Event()
        thread = threading.Thread(target=namer.run, args=(stop,))
        thread.start()
        try:
            if kept and bundle_sha256 == SHA256:
                eventually(lambda: bool(namer._ready), "the set in force")
            else:
                eventually(lambda: bool(namer.words()), "words of the set")
            yield Station(line=line, namer=namer, capture=capture, features=features, at=at, path=path)
        finally:
            if gate is not None:
                gate.set()
            stop.set()
            thread.join()


def test_a_defect_is_named_in_its_verdict_as_it_is_published(tmp_path: Path) -> None:
    with station(tmp_path) as one:
        failed = one.judged(bad_picture(64, 64))
        one.at.settle()
        (sent,) = verdicts(tmp_path / "outbox.sqlite3")
        (defect,) = sent["defects"]
        assert (failed.verdict, defect["label"], defect.get("label_reason")) == ("fail", "spot", None)
        assert defect["label_certainty"] > 0.5
        assert sent["model"]["labels_sha256"] == own_set(one.at).sha256
        assert sent["timing_ms"]["label"] is not None


def test_a_part_that_passes_asks_for_nothing(tmp_path: Path) -> None:
    with station(tmp_path) as one:
        passed = one.judged(good_picture(64, 64))
        assert (passed.verdict, passed.timing_ms.label, one.features.tiles) == ("pass", None, 0)


def test_what_is_not_named_in_time_leaves_as_late_and_the_next_part_is_named(tmp_path: Path) -> None:
    gate = threading.Event()
    with station(tmp_path, within_ms=100, gate=gate) as one:
        began = time.monotonic()
        late = one.judged(bad_picture(64, 64))
        assert time.monotonic() - began < 5
        assert (late.verdict, late.defects[0].label, late.defects[0].label_reason) == ("fail", None, "late")
        one.at.settle()
        assert (
            'plumbline_defects_unlabelled_total{camera="top",reason="late"} 1.0'
            in one.at.metrics.render().decode()
        )
        gate.set()

        def is_named() -> bool:
            return one.judged(bad_picture(64, 64), 1).defects[0].label == "spot"

        eventually(is_named, "a label in time")


def test_of_several_defects_the_strongest_is_named_first(tmp_path: Path) -> None:
    gate = threading.Event()
    with station(tmp_path, within_ms=100, gate=gate) as one:
        picture = bad_picture(64, 64, spots=((8, 12, 8, 4), (40, 40, 4, 4)))
        told = one.judged(picture)
        assert [defect.label_reason for defect in told.defects] == ["late", "late"]
    again = tmp_path / "again"
    again.mkdir()
    with station(again) as one:
        assert all(defect.label is not None for defect in one.judged(picture).defects)


def test_features_that_fail_leave_the_verdict_as_it_is_and_are_said(tmp_path: Path) -> None:
    with station(tmp_path) as one:
        one.features.failures.append(RuntimeError("no memory"))
        failed = one.judged(bad_picture(64, 64))
        assert (failed.verdict, failed.defects[0].label_reason) == ("fail", "failed")
        assert "features cannot be computed (no memory)" in "".join(one.namer.words())


def test_features_that_are_no_numbers_name_nothing_and_cost_no_verdict(tmp_path: Path) -> None:
    with station(tmp_path) as one:
        one.features.gain = float("nan")
        failed = one.judged(bad_picture(64, 64))
        assert (failed.verdict, failed.defects[0].label, failed.defects[0].label_reason) == (
            "fail",
            None,
            "failed",
        )
        assert "they are no numbers" in "".join(one.namer.words())


def test_beside_features_that_hang_parts_are_let_go_of_and_the_line_stops_waiting(tmp_path: Path) -> None:
    gate = threading.Event()
    with station(tmp_path, within_ms=10, gate=gate) as one:
        told = [one.judged(bad_picture(64, 64), number) for number in range(WAITING + 20)]
        waiting = list(one.namer._jobs.queue)
        assert {verdict.defects[0].label_reason for verdict in told} == {"late"}
        assert len(waiting) == WAITING and all(job.judged is None for job in waiting)
        gate.set()

        def is_named() -> bool:
            return one.judged(bad_picture(64, 64)).defects[0].label == "spot"

        eventually(is_named, "a label once it hangs no more")


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"bundle_sha256": "cd" * 32}, "was learned for bundle cells (cdcdcdcdcdcd), and cells"),
        ({"kept": False}, "is not in"),
    ],
)
def test_a_set_of_another_bundle_or_none_is_refused_in_words_and_the_line_goes_on(
    tmp_path: Path, parts: dict[str, Any], words: str
) -> None:
    with station(tmp_path, **parts) as one:
        failed = one.judged(bad_picture(64, 64))
        assert (failed.verdict, failed.defects[0].label, failed.defects[0].label_reason) == (
            "fail",
            None,
            "refused",
        )
        (said,) = one.namer.words()
        assert words in said


def test_a_set_that_cannot_be_opened_for_whatever_reason_ends_nothing(tmp_path: Path) -> None:
    with station(tmp_path) as one:

        def broken(bundle: Any) -> FakeFeatures:
            raise KeyError("no such node")

        one.namer._open = broken
        one.namer._ready = {}
        eventually(lambda: "no such node" in "".join(one.namer.words()), "the reason")
        assert one.judged(bad_picture(64, 64)).defects[0].label_reason == "refused"


def test_labels_change_nothing_else_in_a_record(tmp_path: Path) -> None:
    (tmp_path / "named").mkdir()
    (tmp_path / "plain").mkdir()
    told = []
    for name in ("named", "plain"):
        with station(tmp_path / name) as one:
            if name == "plain":
                one.line.take_over(replace(one.line.recipe, labels=None))
            verdict = one.judged(bad_picture(64, 64)).model_dump(mode="json")
            for defect in verdict["defects"]:
                for key in ("label", "label_certainty", "label_reason"):
                    defect.pop(key, None)
                del defect["crop"]
            told.append({key: verdict[key] for key in ("verdict", "reason", "score", "defects", "frame")})
    assert told[0] == told[1]


def test_a_defect_over_two_windows_is_named_in_the_record_that_names_it(tmp_path: Path) -> None:
    with station(tmp_path, max_windows=4) as one:
        top = bad_picture(64, 64, spots=((8, 56, 8, 8),))
        bottom = bad_picture(64, 64, spots=((8, 0, 8, 8),))
        for number, picture in enumerate((top, bottom, good_picture(64, 64))):
            one.capture.put(replace(frame(number, picture), first_line=64 * number))
        for _ in range(3):
            one.line.step()
        one.at.settle()
        first, *rest = verdicts(tmp_path / "outbox.sqlite3")
        assert [defect["label"] for defect in first["defects"]] != [None]
        assert [defect for verdict in rest for defect in verdict["defects"]] == []


def test_another_set_comes_into_force_with_its_recipe_and_the_former_with_it_again(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "labels")
    other = learned({"scratch": 5}).labels
    shelf.put(other)
    with station(tmp_path) as one:
        before = one.line.recipe
        assert before.labels is not None
        one.line.take_over(replace(before, labels=WantedLabels(sha256=other.sha256, within_ms=100)))
        then = one.judged(bad_picture(64, 64))
        one.line.take_over(before)
        again = one.judged(bad_picture(64, 64), 1)
        assert (then.model.labels_sha256, then.defects[0].label) == (other.sha256, None)
        assert (again.model.labels_sha256, again.defects[0].label) == (before.labels.sha256, "spot")
