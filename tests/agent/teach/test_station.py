"""One product at a time is taught at a station: gone on with, cancelled, killed, full, and by two people."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent import durable
from agent.bundle.bundle import open_bundle
from agent.clock import SystemClock
from agent.contract.commands import NotDoneError
from agent.line.way import RightOfWay
from agent.messages import Pixels
from agent.remote.changes import ChangeFile
from agent.settings.settings import Settings
from agent.teach import part_set, steps
from agent.teach.apart import teach_apart
from agent.teach.current import Current, Last
from agent.teach.flow import Flow, Means
from agent.teach.order import Order
from agent.teach.own import OwnBundles
from agent.teach.state import Told
from agent.teach.station import Teaching
from agent.teach.steps import Judges, Steps
from agent.teach.tap import Tap
from agent.teach.trained import to_train
from tests.agent.engines.small_bundle import write_small
from tests.agent.teach.good import plate, write
from tests.agent.teach.test_flow import contrast
from tests.agent.teach.test_tap import judged
from tests.agent.teach.workshops import FakeWorkshop
from tests.brokers import eventually

SHA = "ab" * 32
PARTS = 20
ANY: Any = None


@dataclass
class Site:
    """A station whose line gives what it is told to, as fast as somebody collects."""

    folder: Path
    tap: Tap = field(default_factory=Tap)
    picture: Callable[[int], Pixels] = plate
    set_to: list[tuple[float | None, str, str]] = field(default_factory=list)
    refuses: NotDoneError | None = None
    in_force: str = "cd" * 32
    number: int = 0
    serves: str = SHA
    threshold: float | None = None  # of the settings
    settles_in: int = 0  # looks, once they are changed
    unsettled: int = 0
    trust: dict[str, Any] = field(default_factory=dict)
    rollouts: Any = field(default_factory=lambda: SimpleNamespace(why_closed=None))

    @cached_property
    def workshop(self) -> FakeWorkshop:
        return FakeWorkshop(self.folder / "lab")

    def settings(self) -> Settings:
        camera = {"name": "top", "source": {"kind": "folder", "path": str(self.folder)}}
        content = {"cameras": [camera], "trust": self.trust, "judge": {"threshold": self.threshold}}
        return Settings.model_validate(content)

    def made(self) -> Teaching:
        own = OwnBundles(
            rollouts=lambda: self.rollouts,
            settings=self.settings,
            settings_sha256=lambda: self.in_force,
            settling=self.settling,
            serves=lambda: self.serves,
            set_threshold=self.activate,
            way=RightOfWay(),
            find=self.workshop.find,
            run=self.workshop.run,
        )
        return Teaching(
            self.folder / "teach",
            steps=Steps(
                tap=self.tap,
                settings=self.settings,
                judges=lambda: Judges(bundle_sha256=self.serves, engine="openvino-f32"),
                activate=self.activate,
                own=own,
                way=RightOfWay(),
                clock=SystemClock(),
            ),
            own=own,
            settings=self.settings,
            changes=ChangeFile(self.folder / "changes.jsonl", SystemClock()),
        )

    def activate(self, threshold: float | None, onto: str, who: str) -> dict[str, Any]:
        if onto != self.in_force:
            raise NotDoneError("impossible", "somebody has changed the settings meanwhile")
        if self.refuses is not None:
            raise self.refuses
        if self.unsettled:
            raise NotDoneError("occupied", "settings are on probation")
        self.set_to.append((threshold, onto, who))
        self.threshold, self.unsettled = threshold, self.settles_in
        return {"threshold": threshold}

    def settling(self) -> str | None:
        self.unsettled = max(0, self.unsettled - 1)
        return "probation" if self.unsettled else None

    def flow(self, product: str = "plate") -> Flow:
        return Flow(self.folder / "teach" / product)

    @contextmanager
    def runs(self, *, line: bool = True) -> Iterator[Teaching]:
        """The agent, until it is ended in order; a kill leaves no more behind."""
        teaching, stop = self.made(), threading.Event()
        threads = [threading.Thread(target=teaching.run, args=(stop,))]
        if line:
            threads.append(threading.Thread(target=self.give, args=(stop,)))
        for thread in threads:
            thread.start()
        try:
            yield teaching
        finally:
            stop.set()
            for thread in threads:
                thread.join(30)
                assert not thread.is_alive()

    def give(self, stop: threading.Event) -> None:
        """A minute of parts is one part, so that none has too many."""
        while not stop.wait(0.002):
            if self.tap._wish is not None and self.tap._parts.empty():
                told = judged(60 * self.number)
                object.__setattr__(told, "picture", self.picture(self.number))
                self.tap.recorded(told)
                self.number += 1


def judged_here(order: Order, *, way: RightOfWay) -> Iterator[Told]:
    """In place of a process of its own."""
    flow = Flow(Path(order.folder))
    means = Means(collect=ANY, judge=contrast, bundle_sha256=order.bundle_sha256, activate=ANY)
    while (state := flow.state()) is not None and state.step not in ("activate", "done"):
        if to_train(flow, state):
            return
        yield from flow.do(means)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Judged in this process; one test below has the real one."""
    monkeypatch.setattr(steps, "teach_apart", judged_here)
    return Site(tmp_path)


def begin(teaching: Teaching, *, target: float = 0.05, parts: int = PARTS, product: str = "plate") -> None:
    teaching.begin(product, "camera", "top", parts, target, "anna")


def rests(teaching: Teaching, step: str = "activate", timeout_s: float = 60) -> None:
    def is_there() -> bool:
        told = teaching.told()
        return not told["runs"] and told["step"] == step

    try:
        eventually(is_there, f"it rests at {step}", timeout_s)
    except AssertionError as error:
        raise AssertionError(teaching.told()) from error


def test_five_steps_from_a_running_line_to_a_threshold_in_force(site: Site) -> None:
    with site.runs() as teaching:
        begin(teaching)
        rests(teaching)
        assert site.set_to == [], "nothing comes into force by itself"
        data = teaching.data()
        state: Any = data["state"]
        assert (data["parts"], data["minutes"], data["needed"]) == (PARTS, PARTS, 19)
        assert sum(state["promised"]["histogram"]["counts"]) == PARTS
        name = data["latest"][0]  # type: ignore[index]
        assert teaching.picture("plate", str(name)) is not None
        assert teaching.picture("plate", "../set.json") is None and teaching.picture("..", str(name)) is None
        teaching.activate(site.in_force, "bert")
        rests(teaching, "done")
        assert site.set_to == [(state["promised"]["threshold"], site.in_force, "bert")]
        assert site.flow().state().activated == {"threshold": state["promised"]["threshold"]}  # type: ignore[union-attr]
    record = ChangeFile(site.folder / "changes.jsonl", SystemClock()).last(10)
    assert [(one.who, one.what) for one in record] == [("anna", "teach_begin")]  # the threshold: by the desk


def test_defects_among_the_good_are_shown_and_decided_by_a_person(site: Site) -> None:
    def with_defect(number: int) -> Pixels:
        picture = plate(number)
        if number in (7, 15):
            picture[40:60, 40:80] = 5
        return picture

    site.picture = with_defect
    with site.runs() as teaching:
        begin(teaching)
        rests(teaching, "check")
        state: Any = teaching.data()["state"]
        names = [one["name"] for one in state["checked"]["findings"]]
        assert {one["kind"] for one in state["checked"]["findings"]} == {"defect"} and len(names) == 2
        with pytest.raises(NotDoneError, match="not to be looked at"):
            teaching.sort(["000001--other.png"], [], "anna")
        teaching.sort([names[0]], [], "anna")
        teaching.go_on("anna")
        rests(teaching, "check")
        teaching.sort([], [names[1]], "anna")
        teaching.go_on("anna")
        rests(teaching)
        assert teaching.data()["parts"] == PARTS - 1
        assert teaching.picture("plate", names[0]) is not None, "what was taken out stays to be seen"


@pytest.mark.parametrize("until", ["collect", "check", "teach", "threshold"])
def test_an_agent_that_ends_at_any_step_goes_on_by_itself(
    site: Site, until: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, real = threading.Event(), Teaching._tell

    def seen(self: Teaching, told: Told) -> None:
        real(self, told)
        if told.step == until and told.done > 0:
            reached.set()

    monkeypatch.setattr(Teaching, "_tell", seen)
    with site.runs() as teaching:
        begin(teaching)
        assert reached.wait(60)
    with site.runs() as teaching:
        rests(teaching)
        assert teaching.told()["who"] == "anna"
    assert site.set_to == []


def test_what_goes_on_by_itself_is_never_seen_at_rest_before(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks while the file is written that says so."""
    with site.runs(line=False) as teaching:
        begin(teaching)
    again, real = site.made(), Current.keep
    seen: list[tuple[object, object]] = []

    def kept(self: Current, last: Last) -> None:
        seen.append((again.told()["product"], again.told()["runs"]))
        real(self, last)

    monkeypatch.setattr(Current, "keep", kept)
    monkeypatch.setattr(site, "made", lambda: again)
    with site.runs(line=False):
        eventually(lambda: again.told()["runs"] is True, "it goes on")
    assert set(seen) <= {("", False), ("plate", True)} and seen


def test_what_would_change_the_station_does_not_go_on_by_itself(site: Site) -> None:
    with site.runs() as teaching:
        begin(teaching)
        rests(teaching)
    current = site.folder / "teach" / "current.json"
    current.write_text(current.read_text().replace("false", "true"))  # killed while it was being activated
    with site.runs() as teaching:
        assert teaching.told()["runs"] is False and site.set_to == []
        teaching.activate(site.in_force, "anna")
        rests(teaching, "done")


def test_it_is_cancelled_and_gone_on_with(site: Site) -> None:
    with site.runs(line=False) as teaching:
        begin(teaching)
        eventually(lambda: teaching.told()["of"] == PARTS, "it collects", 30)
        teaching.cancel("bert")
        rests(teaching, "collect")
        with pytest.raises(NotDoneError, match="nothing goes on"):
            teaching.cancel("bert")
    with site.runs() as teaching:
        assert not teaching.told()["runs"], "what was cancelled stays so"
        teaching.go_on("anna")
        rests(teaching)


def test_two_people_at_once_are_told(site: Site) -> None:
    with site.runs(line=False) as teaching:
        begin(teaching)
        with pytest.raises(NotDoneError, match="anna teaches plate now"):
            begin(teaching, product="other")
        with pytest.raises(NotDoneError, match="anna teaches plate now"):
            teaching.go_on("bert")
        teaching.cancel("anna")
        rests(teaching, "collect")
    with site.runs() as teaching:
        teaching.go_on("anna")
        rests(teaching)
        looked_at, site.in_force = site.in_force, "ef" * 32
        teaching.activate(looked_at, "anna")
        rests(teaching)
        assert "changed the settings meanwhile" in str(teaching.told()["problem"]) and site.set_to == []


def test_a_full_disk_is_told_at_any_step_and_nothing_is_lost(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with site.runs() as teaching:
        with monkeypatch.context() as full:
            full.setattr(part_set, "MIN_FREE_BYTES", 10**18)
            begin(teaching)
            rests(teaching, "collect")
            assert "make room and go on again: 0 parts are kept" in str(teaching.told()["problem"])
        real = durable.replace_file

        def no_state(path: Path, pieces: Any) -> None:
            if path.name == "measured.json":
                raise OSError(28, "No space left on device")
            real(path, pieces)

        with monkeypatch.context() as full:
            full.setattr(durable, "replace_file", no_state)
            teaching.go_on("anna")
            rests(teaching, "check")
            assert "make room, then go on again" in str(teaching.told()["problem"])
        with monkeypatch.context() as full:
            full.setattr(
                durable, "replace_file", lambda path, pieces: no_state(path / "measured.json", pieces)
            )
            with pytest.raises(NotDoneError, match=r"current\.json: not written .*make room"):
                teaching.go_on("anna")
        teaching.go_on("anna")
        rests(teaching)


@pytest.mark.parametrize(
    ("target", "product", "words"),
    [
        (0.0, "plate", "cannot be promised by any number of good parts"),
        (-1.0, "plate", "give one from 1e-06"),
        (0.9, "plate", "to 0.5"),
    ],
)
def test_what_cannot_be_promised_is_refused_before_anything_is_collected(
    site: Site, target: float, product: str, words: str
) -> None:
    teaching = site.made()
    with pytest.raises(NotDoneError, match=words):
        begin(teaching, target=target, product=product)
    assert teaching.data()["state"] is None


def test_one_part_promises_nothing_and_is_not_activated(site: Site) -> None:
    with site.runs() as teaching:
        begin(teaching, parts=1)
        rests(teaching)
        teaching.activate(site.in_force, "anna")
        rests(teaching)
        assert "from 1 parts, only 50.00%: collect 18 more" in str(teaching.told()["problem"])
        begin(teaching, parts=PARTS)
        rests(teaching)
        assert teaching.data()["parts"] == PARTS
    assert site.set_to == []


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (lambda number: plate(number, kind=number % 2), "are these two products?"),
        (lambda number: plate(number) * 0 + 120, "all pictures are blurred"),
    ],
)
def test_what_is_wrong_with_the_whole_set_is_said(
    site: Site, picture: Callable[[int], Pixels], words: str
) -> None:
    site.picture = picture
    with site.runs() as teaching:
        begin(teaching)
        eventually(lambda: not teaching.told()["runs"], "it rests", 60)
        state: Any = teaching.data()["state"]
    assert any(words in one for one in state["checked"]["words"])
    assert site.set_to == []


def test_a_folder_of_the_command_line_that_runs_is_left_alone(site: Site) -> None:
    with site.runs() as teaching:
        begin(teaching)
        rests(teaching)
        with site.flow().held(), pytest.raises(NotDoneError, match="somebody else is teaching it"):
            begin(teaching, target=0.1)
        with pytest.raises(NotDoneError, match="was begun for plate from camera"):
            teaching.begin("plate", "archive", "top", PARTS, 0.05, "anna")


def test_one_that_was_killed_lets_go_of_the_folder_a_moment_later_and_is_waited_for(site: Site) -> None:
    holds = site.flow().held()
    with site.runs() as teaching:
        begin(teaching)
        rests(teaching)
        holds.__enter__()
        later = threading.Timer(0.3, holds.__exit__, (None, None, None))
        later.start()
        with site.flow().held():
            later.join()


@pytest.mark.parametrize(
    "said",
    [b'{"product": 1', b'{"product": 1, "who": "anna", "runs": true}', b"[" * 20_000, None],
    ids=["cut off", "of another type", "deep", "a pipe"],
)
def test_a_file_that_says_nonsense_is_told_and_a_new_beginning_mends_it(
    site: Site, said: bytes | None
) -> None:
    path = site.folder / "teach" / "current.json"
    path.parent.mkdir()
    if said is None:
        os.mkfifo(path)
    else:
        path.write_bytes(said)
    with site.runs() as teaching:
        assert "cannot be read; begin again" in str(teaching.data()["why"])
        begin(teaching)
        rests(teaching)


@pytest.mark.slow
def test_the_process_judges_with_what_is_in_force_and_says_why_it_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without its low priority, by which it waits for as long as others compute.
    command = (sys.executable, "-c", "from agent.teach.work import main; main()")
    monkeypatch.setattr(steps, "teach_apart", partial(teach_apart, command=command))
    bundle = write_small(tmp_path / "small")
    site, sha256 = Site(tmp_path), [open_bundle(bundle).sha256]
    wanted = Settings.model_validate(
        {
            "bundle": str(bundle),
            "cameras": [{"name": "top", "source": {"kind": "folder", "path": str(tmp_path)}}],
            "engine": {"kind": "openvino", "cache": str(tmp_path / "engines")},
            "outbox": {"path": str(tmp_path / "outbox.sqlite3")},
        }
    )
    teaching = site.made()
    teaching._steps = replace(
        teaching._steps,
        settings=lambda: wanted,
        judges=lambda: Judges(bundle_sha256=sha256[0], engine="openvino-f32"),
    )
    for number in range(30):
        write(tmp_path / "good", f"{number:03}.png", plate(number)[:64, :64])
    stop = threading.Event()
    thread = threading.Thread(target=teaching.run, args=(stop,))
    thread.start()
    try:
        teaching.begin("plate", str(tmp_path / "good"), "", 30, 0.05, "anna")  # type: ignore[arg-type]
        eventually(lambda: not teaching.told()["runs"], "it rests", 280)
        state: Any = teaching.data()["state"]
        if state["step"] == "check":
            teaching.sort([], [one["name"] for one in state["checked"]["findings"]], "anna")
            teaching.go_on("anna")
        rests(teaching, timeout_s=280)
        sha256[0] = "00" * 32
        teaching.begin("plate", str(tmp_path / "good"), "", 30, 0.1, "anna")  # type: ignore[arg-type]
        eventually(lambda: not teaching.told()["runs"], "it rests", 280)
        assert "another bundle than its settings name" in str(teaching.told()["problem"])
    finally:
        stop.set()
        thread.join(30)
