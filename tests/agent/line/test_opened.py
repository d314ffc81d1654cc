"""Bundles beside each other: opened whole or not at all, within a bound, closed when nobody needs them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from agent.bundle.bundle import BundleError, open_bundle
from agent.bundle.trust import NotTrusted
from agent.engines.choice import Machine
from agent.engines.engine import EngineError
from agent.engines.switch import NONE
from agent.errors import PlumblineError
from agent.line.capture import Capture
from agent.line.line import Line
from agent.line.opened import NoRoomError, NotOpenError, OpenedBundles, estimated_bytes
from agent.line.recipes import Recipes
from agent.settings.camera import Camera
from agent.settings.settings import Engine, Judge, Settings, Trust
from tests.agent.engines.small_bundle import small_tiles, write_small
from tests.agent.line.records import Desk, desk, verdicts
from tests.brokers import DEADLINE_S, eventually
from tests.fakes import frame, good_picture

MACHINE = Machine(gpu=None, gpu_problem=None, modules=frozenset({"openvino"}))
ENGINE = Engine(kind="openvino", precision="f32", threads=1)


@dataclass(slots=True)
class Named:
    """What recipes and lines need."""

    digests: set[str] = field(default_factory=set)

    def __call__(self) -> set[str]:
        return self.digests


def bundles(
    folder: Path,
    named: Callable[[], set[str] | frozenset[str]],
    *,
    engine: Engine = ENGINE,
) -> OpenedBundles:
    return OpenedBundles(trust=Trust(), engine=engine, cache=folder / "engines", machine=MACHINE, named=named)


@contextmanager
def running(opened: OpenedBundles) -> Iterator[None]:
    """As a member of the crew."""
    stop = threading.Event()
    thread = threading.Thread(target=opened.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(DEADLINE_S)
        opened.close()
    assert not thread.is_alive()


@pytest.fixture
def named() -> Named:
    return Named()


def sha256s(opened: OpenedBundles) -> set[str]:
    with opened.held() as there:
        return set(there)


def test_a_bundle_is_opened_beside_another_and_each_judges_by_its_own_engine(
    tmp_path: Path, named: Named
) -> None:
    one = bundles(tmp_path, named)
    with running(one):
        first = one.open(write_small(tmp_path / "first"))
        second = one.open(write_small(tmp_path / "second", name="other", raw=0.7))
        assert sha256s(one) == {first.sha256, second.sha256}
        assert first.engine is not second.engine
        for opened in (first, second):
            assert opened.engine.run(small_tiles(1)).engine == "openvino-f32"
            eventually(lambda opened=opened: opened.serving.is_settled, "its best engine serves")  # type: ignore[misc]
        assert one.failed == {}


def test_what_is_open_is_not_opened_again(tmp_path: Path, named: Named) -> None:
    one = bundles(tmp_path, named)
    with running(one):
        opened = one.open(write_small(tmp_path / "first"))
        assert one.open(write_small(tmp_path / "a copy of it")) is opened


def missing(path: Path) -> Path:
    return path.with_name("none")


def damaged(path: Path) -> Path:
    model = path / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"?")
    return path


def untouched(path: Path) -> Path:
    return path


@pytest.mark.parametrize(
    ("spoil", "trust", "engine", "raised", "words"),
    [
        (missing, Trust(), ENGINE, BundleError, "none"),
        (damaged, Trust(), ENGINE, BundleError, "model.onnx"),
        (untouched, Trust(lowest_counter=2), ENGINE, NotTrusted, "lowest_counter is 2"),
        (untouched, Trust(), Engine(kind="openvino", precision="int8"), EngineError, "precision"),
        (untouched, Trust(), ENGINE.model_copy(update={"open_bundles_max_bytes": 0}), NoRoomError, "first"),
    ],
)
def test_a_bundle_that_cannot_be_opened_says_why_and_what_is_open_stays(
    tmp_path: Path,
    named: Named,
    spoil: Callable[[Path], Path],
    trust: Trust,
    engine: Engine,
    raised: type[PlumblineError],
    words: str,
) -> None:
    one = bundles(tmp_path, named)
    with running(one):
        first = one.open(write_small(tmp_path / "first", name="first"))
        one._trust, one._engine = trust, engine
        with pytest.raises(raised, match=words):
            one.open(spoil(write_small(tmp_path / "second", raw=0.7)))
        assert sha256s(one) == {first.sha256}
        assert first.engine.run(small_tiles(1)).engine == "openvino-f32"


def test_the_bound_holds_for_all_together_and_one_is_always_opened(tmp_path: Path, named: Named) -> None:
    paths = [write_small(tmp_path / f"{raw}", raw=raw) for raw in (0.4, 0.5, 0.6)]
    size = estimated_bytes(open_bundle(paths[0]))
    one = bundles(tmp_path, named, engine=ENGINE.model_copy(update={"open_bundles_max_bytes": 2 * size + 99}))
    with running(one):
        first, second = one.open(paths[0]), one.open(paths[1])
        with pytest.raises(NoRoomError, match=f"small .{first.sha256[:12]}., small .{second.sha256[:12]}."):
            one.open(paths[2])
        one.drop(first.sha256)
        eventually(lambda: sha256s(one) == {second.sha256}, "the first one is closed")
        one.open(paths[2])
    tight = bundles(tmp_path, named, engine=ENGINE.model_copy(update={"open_bundles_max_bytes": 0}))
    with running(tight):
        tight.open(paths[0])


def test_a_bundle_stays_open_while_somebody_keeps_or_names_it_and_is_closed_after(
    tmp_path: Path, named: Named
) -> None:
    one = bundles(tmp_path, named)
    opened = one.open(write_small(tmp_path / "first"))
    with running(one):
        one.close_unused()
        named.digests = {opened.sha256}
        one.drop(opened.sha256)
        one.close_unused()
        assert sha256s(one) == {opened.sha256}
        named.digests = set()
        eventually(lambda: sha256s(one) == set(), "it is closed")
        eventually(lambda: opened.engine.describe() == NONE, "and so is its engine")
        assert not any(thread.name.startswith("engine-") for thread in threading.enumerate())


def test_nothing_is_opened_once_the_agent_has_stopped(tmp_path: Path, named: Named) -> None:
    one = bundles(tmp_path, named)
    with running(one):
        pass
    with pytest.raises(EngineError, match="stops"):
        one.open(write_small(tmp_path / "first"))
    assert sha256s(one) == set()


def test_what_ends_the_thread_of_an_engine_ends_the_crew(tmp_path: Path, named: Named) -> None:
    one = bundles(tmp_path, named)
    opened = one.open(write_small(tmp_path / "first"))

    def broken(stop: threading.Event) -> None:
        raise ValueError("scripted")

    opened.serving.run = broken  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="scripted"):
        one.run(threading.Event())
    one.close()


class Station:
    """A line that judges by the recipes of bundles that are open."""

    def __init__(self, folder: Path, at: Desk, wanted: Settings) -> None:
        self.desk = at
        self.bundles = bundles(folder, lambda: self.recipes.needed())
        self.recipes = Recipes(
            wanted, self.bundles, self.bundles.open(wanted.bundle), path=folder / "switched"
        )
        self.bundles.drop(self.recipes.in_force.bundle_sha256)
        self.capture = Capture("accountable", ring_frames=64)
        self.line = Line(
            camera="top",
            capture=self.capture,
            recipe=self.recipes.in_force,
            publisher=at.publisher,
            clock=at.clock,
        )
        self.recipes.serve({"top": self.line})
        self.frames = 0

    def judge(self, *, goes_on: bool = False) -> None:
        self.capture.put(replace(frame(self.frames, good_picture()), goes_on=goes_on))
        self.frames += 1
        self.line.step()


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path / "outbox.sqlite3") as made:
        yield made


def test_another_open_bundle_takes_over_between_frames_and_the_one_before_is_closed_behind_it(
    tmp_path: Path, at: Desk
) -> None:
    first, second = write_small(tmp_path / "first"), write_small(tmp_path / "second", name="other", raw=0.7)
    station = Station(tmp_path, at, Settings(bundle=first, cameras=(Camera(name="top"),)))
    with running(station.bundles):
        old = station.recipes.opened
        station.judge()
        new = station.bundles.open(second)
        station.recipes.take_over_bundle(new.sha256)
        station.bundles.drop(new.sha256)
        station.bundles.close_unused()
        assert station.recipes.in_force.bundle_sha256 == old.sha256  # until the line's next frame
        assert sha256s(station.bundles) == {old.sha256, new.sha256}
        station.judge()
        assert station.recipes.opened is new
        eventually(lambda: sha256s(station.bundles) == {new.sha256}, "the old one is closed")
        station.judge()
    at.settle()
    records = verdicts(tmp_path / "outbox.sqlite3")
    assert [one["sequence"] for one in records] == [1, 2, 3]
    assert [one["model"]["bundle"] for one in records] == ["small", "other", "other"]
    assert [one["score"]["threshold"] for one in records] == pytest.approx([0.5, 0.7, 0.7])


def test_a_bundle_that_is_kept_takes_back_over_at_once(tmp_path: Path, at: Desk) -> None:
    first, second = write_small(tmp_path / "first"), write_small(tmp_path / "second", raw=0.7)
    station = Station(tmp_path, at, Settings(bundle=first, cameras=(Camera(name="top"),)))
    with running(station.bundles):
        old, new = station.bundles.open(first), station.bundles.open(second)
        for one in (new, old):
            station.recipes.take_over_bundle(one.sha256)
            station.judge()
            station.bundles.close_unused()
            assert station.recipes.opened is one


def test_a_part_in_pieces_is_judged_to_its_end_by_the_bundle_it_began_with(tmp_path: Path, at: Desk) -> None:
    first, second = write_small(tmp_path / "first"), write_small(tmp_path / "second", name="other", raw=0.7)
    station = Station(tmp_path, at, Settings(bundle=first, cameras=(Camera(name="top"),)))
    with running(station.bundles):
        station.judge(goes_on=True)
        new = station.bundles.open(second)
        station.recipes.take_over_bundle(new.sha256)
        station.judge(goes_on=True)
        station.judge()
        station.judge()
    at.settle()
    found = [one["model"]["bundle"] for one in verdicts(tmp_path / "outbox.sqlite3")]
    assert found == ["small", "small", "small", "other"]


def test_a_bundle_that_is_not_open_does_not_take_over(tmp_path: Path, at: Desk) -> None:
    first = write_small(tmp_path / "first")
    station = Station(tmp_path, at, Settings(bundle=first, cameras=(Camera(name="top"),)))
    with running(station.bundles):
        with pytest.raises(NotOpenError, match="0c0c0c0c0c0c is not open"):
            station.recipes.take_over_bundle("0c" * 32)
        station.judge()
        assert station.recipes.in_force.bundle == "small"


def test_settings_that_take_over_hold_for_the_bundle_in_force(tmp_path: Path, at: Desk) -> None:
    first, second = write_small(tmp_path / "first"), write_small(tmp_path / "second", name="other", raw=0.7)
    wanted = Settings(bundle=first, cameras=(Camera(name="top"),))
    station = Station(tmp_path, at, wanted)
    with running(station.bundles):
        station.recipes.take_over_bundle(station.bundles.open(second).sha256)
        station.judge()
        station.recipes.take_over(wanted.model_copy(update={"judge": Judge(threshold=0.3), "revision": 5}))
        station.judge()
    recipe = station.recipes.in_force
    assert (recipe.bundle, recipe.settings.version, recipe.rules_of("top").threshold) == ("other", 5, 0.3)


def test_words_say_which_bundles_engine_they_mean_where_there_are_several(tmp_path: Path, at: Desk) -> None:
    first, second = write_small(tmp_path / "first"), write_small(tmp_path / "second", name="other", raw=0.7)
    station = Station(tmp_path, at, Settings(bundle=first, cameras=(Camera(name="top"),)))
    with running(station.bundles):
        assert list(station.recipes.words()) == []
        station.bundles.open(second).engine.close()
        assert list(station.recipes.words()) == []  # it judges nothing
        assert station.recipes.serves() == {"openvino": True}
