"""A bundle of a product's own at a running station: trained beside it, cut anywhere, and put in force."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from agent.bundle.bundle import open_bundle
from agent.clock import SystemClock
from agent.contract.commands import NotDoneError
from agent.remote.changes import ChangeFile
from agent.remote.rollout.orders import Said, Standing
from agent.teach import steps
from agent.teach.state import Told
from agent.teach.station import Teaching
from tests.agent.remote.fakes import said, standing
from tests.agent.teach.test_station import PARTS, SHA, Site, judged_here, rests
from tests.agent.teach.test_station import site as site
from tests.agent.teach.workshops import STEPS
from tests.brokers import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@dataclass
class Rollouts:
    """Takes a bundle in some steps, or refuses it, or takes it back."""

    site: Site
    stands: list[Standing | None] = field(default_factory=list)
    says: Said = field(default_factory=lambda: said(202, transaction="t-1"))
    why_closed: str | None = None
    adopted: list[Path] = field(default_factory=list)
    cancelled: bool = False
    probation: int = 0

    def adopt(self, source: Path, sha256: str) -> Said:
        self.adopted.append(source)
        return self.says

    def standing(self, transaction: str) -> Standing | None:
        if self.cancelled:
            return standing("failed", 409, why="cancelled")
        found = self.stands.pop(0) if len(self.stands) > 1 else self.stands[0]
        if found is not None and found.state == "applied":
            self.site.serves = open_bundle(self.adopted[-1]).sha256
        return found

    def cancel(self, transaction: str | None) -> Said:
        if self.stands[0] is not None and self.stands[0].state == "probation":
            return said(409, "it is probation, which nobody can cancel")
        self.cancelled = True
        return said(200)

    def is_on_probation(self) -> bool:
        self.probation -= 1
        return self.probation >= 0


GOOD = [standing("proving", share=0.5), standing("probation", share=0.9), standing("applied", 200)]


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flow whose parts were collected and looked at, by a station without a workshop that works."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "teach_apart", judged_here)
        site = Site(tmp_path_factory.mktemp("checked"))
        site.rollouts = Rollouts(site, [*GOOD])
        site.workshop.cue(refuses="not now")
        with site.runs() as teaching:
            begin(teaching)
            rests(teaching, "teach")
    return site.folder / "teach"


@pytest.fixture
def taught(site: Site, checked: Path) -> Site:
    shutil.copytree(checked, site.folder / "teach")
    site.number = 2 * PARTS  # other parts than those that are there
    site.rollouts = Rollouts(site, [*GOOD])
    return site


def begin(teaching: Teaching, *, parts: int = PARTS, **more: Any) -> None:
    asked = {"target": 0.1, "preset": "nano", "minutes": 10.0, **more}
    teaching.begin("plate", "camera", "top", parts, asked.pop("target"), "anna", **asked)


def trains_at(site: Site, step: int, teaching: Teaching) -> None:
    site.workshop.cue(waits_at=step)
    begin(teaching)

    def is_there() -> bool:
        told = teaching.told()
        return "training" in str(told["words"]) and told["done"] == 100 * step // STEPS

    eventually(is_there, f"it trains at {step}", 60)


def test_a_trained_bundle_is_tried_promised_by_parts_held_back_and_put_in_force(taught: Site) -> None:
    heard: list[str] = []
    real = Teaching._tell
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Teaching, "_tell", lambda self, told: (heard.append(told.words), real(self, told)))
        with taught.runs() as teaching:
            begin(teaching)
            rests(teaching)
            state: Any = teaching.data()["state"]
            sha256 = open_bundle(Path(state["trained"]["bundle"])).sha256
            assert state["trained"]["sha256"] == state["bundle"] == sha256 != SHA
            assert state["promised"]["frames"] == PARTS / 2, "those that nothing was fitted to"
            assert f"{PARTS // 2} of {PARTS} parts were held back" in " ".join(state["promised"]["words"])
            assert taught.set_to == [] and taught.rollouts.adopted == [], "nothing comes into force by itself"
            teaching.activate(taught.in_force, "bert")
            rests(teaching, "done")
    assert taught.serves == sha256
    assert taught.set_to == [(state["promised"]["threshold"], taught.in_force, "bert")]
    assert any(one.startswith("nano, 1,200 training pictures, about 2 min in all") for one in heard)
    assert any(one.startswith("training the student, about") and "left" in one for one in heard)
    assert any(one.startswith("the bundle is proving") for one in heard)
    record = ChangeFile(taught.folder / "changes.jsonl", SystemClock()).last(10)
    assert [(one.who, one.what) for one in record] == [("bert", "teach_activate"), ("anna", "teach_begin")]
    assert record[0].outcome == "begun" and record[0].wanted == {"product": "plate", "sha256": sha256}


@pytest.mark.parametrize("step", [0, 3, STEPS - 1])
def test_an_agent_that_ends_while_it_trains_goes_on_where_the_workshop_was(taught: Site, step: int) -> None:
    with taught.runs() as teaching:
        trains_at(taught, step, teaching)
    assert not taught.workshop.is_running()
    taught.workshop.cue()
    with taught.runs() as teaching:
        rests(teaching)
    assert taught.workshop.began == [0, step] and taught.set_to == []


def test_it_is_cancelled_and_gone_on_with_by_another(taught: Site) -> None:
    with taught.runs() as teaching:
        trains_at(taught, 4, teaching)
        with pytest.raises(NotDoneError, match="anna teaches plate now"):
            begin(teaching)
        teaching.cancel("bert")
        rests(teaching, "teach")
        assert not taught.workshop.is_running() and teaching.told()["problem"] == ""
        taught.workshop.cue()
        teaching.go_on("carl")
        rests(teaching)
    assert taught.workshop.began == [0, 4]


@pytest.mark.parametrize(
    ("cue", "words"),
    [
        ({"dies_at": 6}, "most likely because memory ran out"),
        ({"full_at": 6}, "No space left on device; what it has done is kept"),
        ({"refuses": "--minutes 10: nano takes 25 minutes here at least; give as many"}, "25 minutes here"),
        ({"sha256": "ab" * 32}, "is another bundle than the workshop told"),
        ({"bundle": "/etc"}, "wrote its bundle to /etc, not into"),
        ({"climbs": "/../../../../lab/small"}, "lab/small, not into"),
    ],
)
def test_a_workshop_that_makes_nothing_is_told_and_gone_on_with(
    taught: Site, cue: dict[str, Any], words: str
) -> None:
    taught.workshop.cue(**cue)
    with taught.runs() as teaching:
        begin(teaching)
        rests(teaching, "teach")
        assert words in str(teaching.told()["problem"])
        taught.workshop.cue()
        teaching.go_on("anna")
        rests(teaching)
    assert taught.workshop.began[0] == 0 and taught.set_to == []


def closed(site: Site) -> None:
    site.rollouts.why_closed = "bundle: small is no link that bundles are installed under"


def signed(site: Site) -> None:
    site.trust = {"keys": [str(site.folder / "key.pem")]}


def counted(site: Site) -> None:
    site.trust = {"lowest_counter": 4}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (closed, "no link that bundles are installed under"),
        (signed, r"only signed bundles run here \(trust.keys\).*plumbline-lab keys sign"),
        (counted, "trust.lowest_counter is above 1"),
    ],
)
def test_where_none_can_be_trained_it_is_said_before_anything_is_collected(
    taught: Site, spoil: Callable[[Site], None], words: str
) -> None:
    spoil(taught)
    shutil.rmtree(taught.folder / "teach")
    teaching = taught.made()
    with pytest.raises(NotDoneError, match=words):
        begin(teaching)
    assert teaching.data()["state"] is None and teaching.data()["why_untrained"] is not None
    begin(teaching, preset="")


def test_other_parts_are_trained_anew_and_the_run_before_is_removed(taught: Site) -> None:
    with taught.runs() as teaching:
        begin(teaching)
        rests(teaching)
        (first,) = taught.flow().folder.glob("trained-*")
        begin(teaching, target=0.2)
        rests(teaching)
        assert taught.workshop.began == [0], "another rate asks the same scores"
        begin(teaching, parts=PARTS + 4)
        rests(teaching)
        (second,) = taught.flow().folder.glob("trained-*")
    assert first != second and taught.workshop.began == [0, 0]


def test_few_parts_held_back_say_how_many_more_are_to_be_collected(taught: Site) -> None:
    with taught.runs() as teaching:
        begin(teaching, target=0.05)
        rests(teaching)
        promised: Any = teaching.data()["state"]["promised"]  # type: ignore[index,call-overload]
        assert (promised["missing"], promised["parts_missing"]) == (9, 18)
        teaching.activate(taught.in_force, "anna")
        rests(teaching)
        assert "collect 18 more" in str(teaching.told()["problem"])
    assert taught.rollouts.adopted == []


def activated(taught: Site) -> str:
    """To its end, and what is told then."""
    with taught.runs() as teaching:
        begin(teaching)
        rests(teaching)
        teaching.activate(taught.in_force, "anna")
        eventually(lambda: not teaching.told()["runs"], "it rests", 60)
        return str(teaching.told()["problem"])


def test_a_threshold_of_the_bundle_before_is_taken_out_before_the_new_one_judges(taught: Site) -> None:
    taught.threshold = 7.0
    assert activated(taught) == ""
    assert [one[0] for one in taught.set_to][:1] == [None] and len(taught.set_to) == 2
    assert taught.threshold == taught.set_to[-1][0] is not None


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (standing("failed", 422, why="9 of 50 verdicts flip"), "9 of 50 verdicts flip"),
        (standing("rolled_back", 409, why="rejects rose"), "rejects rose"),
    ],
)
def test_a_bundle_that_does_not_stay_leaves_the_station_as_it_was(
    taught: Site, end: Standing, words: str
) -> None:
    taught.threshold, taught.rollouts.stands = 7.0, [standing("proving"), end]
    assert words in activated(taught)
    assert taught.threshold == 7.0 and taught.serves == SHA


def test_a_rollout_that_is_busy_is_told(taught: Site) -> None:
    taught.rollouts.says = said(429, "a transaction is proving; cancel it, or wait for its end")
    assert "the bundle is not taken: a transaction is proving" in activated(taught)
    assert taught.serves == SHA and taught.set_to == []


def test_activation_is_cancelled_before_the_line_judges_by_it_and_not_after(taught: Site) -> None:
    taught.rollouts.stands = [standing("proving")]
    with taught.runs() as teaching:
        begin(teaching)
        rests(teaching)
        teaching.activate(taught.in_force, "anna")
        eventually(lambda: "proving" in str(teaching.told()["words"]), "it is proven", 60)
        taught.rollouts.stands = [standing("probation")]
        with pytest.raises(NotDoneError, match="it is probation, which nobody can cancel; roll it back"):
            teaching.cancel("bert")
        taught.rollouts.stands = [standing("proving")]
        teaching.cancel("bert")
        rests(teaching)
        assert "cancelled" in str(teaching.told()["problem"])
    assert taught.set_to == [] and taught.serves == SHA


@pytest.mark.parametrize("words", ["on probation", "downloading", "proving"])
def test_activation_that_is_cancelled_at_any_step_leaves_the_threshold_as_it_was(
    taught: Site, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught.threshold, taught.settles_in = 7.0, 4
    taught.rollouts.stands = [standing("downloading"), standing("downloading"), standing("proving")]
    real = Teaching._tell

    def seen(self: Teaching, told: Told) -> None:
        real(self, told)
        if words in told.words and not taught.rollouts.cancelled and not self._cancelled:
            self.cancel("bert")

    monkeypatch.setattr(Teaching, "_tell", seen)
    told = activated(taught)
    assert told in ("", "the bundle does not stay: cancelled")
    assert taught.threshold == 7.0 and taught.serves == SHA and taught.rollouts.cancelled == bool(told)
    assert taught.flow().begun().before is None


def test_a_threshold_that_was_taken_out_when_the_agent_ended_is_known_and_put_back(taught: Site) -> None:
    taught.threshold, taught.rollouts.stands = 7.0, [standing("proving")]
    with taught.runs() as teaching:
        begin(teaching)
        rests(teaching)
        teaching.activate(taught.in_force, "anna")
        eventually(lambda: "proving" in str(teaching.told()["words"]), "it is proven", 60)
    assert taught.threshold is None
    taught.rollouts.stands = [standing("failed", 422, why="9 of 50 verdicts flip")]
    with taught.runs() as teaching:
        eventually(lambda: "judge.threshold, which was 7" in str(teaching.told()["problem"]), "it is told")
        teaching.activate(taught.in_force, "anna")
        eventually(lambda: not teaching.told()["runs"], "it rests", 60)
        assert "9 of 50 verdicts flip" in str(teaching.told()["problem"])
    assert taught.threshold == 7.0
    with taught.runs() as teaching:
        eventually(lambda: teaching.told()["product"] == "plate", "it is found again")
        assert teaching.told()["problem"] == ""


def test_a_bundle_that_is_taken_back_after_the_agent_ended_leaves_the_threshold_as_it_was(
    taught: Site,
) -> None:
    with taught.runs() as teaching:
        begin(teaching)
        rests(teaching)
        state = taught.flow().begun()
    taught.flow().keep(replace(state, before=7.0))
    taught.serves, taught.rollouts.probation = str(state.trained["sha256"]), 3
    ends = taught.rollouts.is_on_probation

    def taken_back() -> bool:
        goes_on: bool = ends()
        taught.serves = taught.serves if goes_on else SHA
        return goes_on

    taught.rollouts.is_on_probation = taken_back
    with taught.runs() as teaching:
        teaching.activate(taught.in_force, "anna")
        eventually(lambda: not teaching.told()["runs"], "it rests", 60)
        assert "taken back" in str(teaching.told()["problem"])
    assert taught.threshold == 7.0


def test_an_agent_that_ends_on_probation_sets_the_threshold_when_somebody_asks_again(taught: Site) -> None:
    with taught.runs() as teaching:
        begin(teaching)
        rests(teaching)
        bundle = Path(str(taught.flow().begun().trained["bundle"]))
    taught.serves, taught.rollouts.probation = open_bundle(bundle).sha256, 3
    shutil.rmtree(bundle)  # it lies in the depot by now
    with taught.runs() as teaching:
        assert taught.set_to == []
        teaching.activate(taught.in_force, "anna")
        rests(teaching, "done")
    assert len(taught.set_to) == 1 and taught.rollouts.adopted == []


def test_settings_that_another_has_changed_are_not_activated_onto(taught: Site) -> None:
    with taught.runs() as teaching:
        begin(teaching)
        rests(teaching)
        looked_at, taught.in_force = taught.in_force, "ef" * 32
        teaching.activate(looked_at, "anna")
        eventually(lambda: not teaching.told()["runs"], "it rests", 60)
        assert "changed the settings meanwhile" in str(teaching.told()["problem"])
    assert taught.rollouts.adopted == [] and taught.set_to == []
