"""One run follows another: after damage, and after a reload; what is refused leaves in force what was."""

from __future__ import annotations

import gc
import json
import re
import weakref
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent.bundle.bundle import open_bundle
from agent.clock import ManualClock
from agent.crew import Crew
from agent.errors import PlumblineError
from agent.outbox.file import DamagedError
from agent.remote.settings.rollout import SettingsRollout
from agent.remote.settings.store import SettingsStore
from agent.remote.settings.target import Ways
from agent.running import App
from agent.service import MENDED_S, OPENING_S, Service, Wanted
from agent.settings.recipes import Recipe
from agent.settings.settings import Judge, Line, Logs, Outbox, Settings, SettingsError
from agent.systemd import Manager
from tests.agent.engines.small_bundle import write_small
from tests.agent.remote.settled import FakeRun

SAMPLE = Path(__file__).parents[2] / "models" / "bundles" / "elpv"
DAMAGE = DamagedError("damaged")


class Told(Manager):
    """A manager that remembers."""

    def __init__(self) -> None:
        super().__init__(address="nowhere", watchdog_s=30.0)
        object.__setattr__(self, "said", [])

    def tell(self, *assignments: str) -> None:
        self.said.append("\n".join(assignments))  # type: ignore[attr-defined]


class Fake:
    """Settings and an app that do what a script says: each run is a list of steps and an end."""

    def __init__(self, folder: Path, *runs: Iterable[Callable[[], None] | Exception]) -> None:
        self.clock = ManualClock()
        self.manager = Told()
        self.on_file: Settings | SettingsError = Settings(
            bundle=SAMPLE, outbox=Outbox(path=folder / "outbox.sqlite3")
        )
        self.built: list[Settings] = []
        self.crews: list[Crew] = []
        self.taken: list[Settings] = []
        self.keeps_cameras = True
        self.runs = iter(runs)
        self.settings_run = FakeRun()
        ways = Ways(file=self.load, settings=self.made, trust=lambda _: "nobody")
        self.wanted = SettingsRollout(SettingsStore(folder=folder / "settings"), ways, self.clock)
        self.service = Service(
            wanted=cast(Wanted, self.wanted), build=self.build, manager=self.manager, clock=self.clock
        )

    def load(self) -> dict[str, Any]:
        if isinstance(self.on_file, Exception):
            raise self.on_file
        return self.on_file.model_dump(mode="json")

    def made(self, data: Mapping[str, Any]) -> Settings:
        return Settings.model_validate_json(json.dumps(data))

    def build(self, wanted: Settings, crew: Crew, service: Service) -> App:
        self.built.append(wanted)
        self.crews.append(crew)
        if wanted.bundle.exists():
            self.bundle = open_bundle(wanted.bundle)
        self.steps = list(next(self.runs))
        if self.steps and isinstance(self.steps[0], ValueError):
            raise self.steps[0]  # it does not even open
        return cast(App, self)

    def run(self, attend: Callable[[App], bool]) -> None:
        """As `App.run`."""
        for step in self.steps:
            if self.crews[-1].stop.is_set():
                return
            if isinstance(step, Exception):
                raise step
            if not attend(cast(App, self)):
                return
            step()
        attend(cast(App, self))

    def can_take_over(self, wanted: Settings) -> bool:
        return self.keeps_cameras

    def take_over(self, wanted: Settings) -> None:
        self.taken.append(wanted)

    @property
    def said(self) -> list[str]:
        return self.manager.said  # type: ignore[attr-defined, no-any-return]


def change(fake: Fake, **update: object) -> Callable[[], None]:
    """Write other settings and ask for a reload."""

    def step() -> None:
        assert isinstance(fake.on_file, Settings)
        fake.on_file = fake.on_file.model_copy(update=update)
        fake.service.reload()

    return step


def test_a_start_asks_for_time_and_is_ready_once_everything_runs(tmp_path: Path) -> None:
    fake = Fake(tmp_path, [lambda: None])
    fake.service.run()
    opening = f"{round(OPENING_S * 1e6)}"
    assert fake.said == [
        "STATUS=Opening bundle, engine and outbox",
        f"EXTEND_TIMEOUT_USEC={opening}",
        f"WATCHDOG_USEC={opening}",
        "WATCHDOG_USEC=30000000",
        "READY=1",
    ]


def test_what_another_recipe_can_do_is_taken_over_in_the_same_run(tmp_path: Path) -> None:
    fake = Fake(tmp_path, [])
    fake.runs = iter([[change(fake, judge=Judge(threshold=0.5), revision=2), lambda: None]])
    assert fake.service.run().revision == 2
    assert [taken.judge.threshold for taken in fake.taken] == [0.5]
    assert len(fake.built) == 1
    assert fake.said[-2:] == ["RELOADING=1\nMONOTONIC_USEC=0", "READY=1"]


class Held:
    """What a part of a run holds, in a cycle as parts of an app do."""

    def __init__(self) -> None:
        self.itself = self


def test_what_a_run_held_in_cycles_is_let_go_of_before_the_next_is_built(tmp_path: Path) -> None:
    fake = Fake(tmp_path, [])
    held: list[weakref.ref[Held]] = []
    seen: list[Held | None] = []
    leave = [lambda: held.append(weakref.ref(Held())), change(fake, line=Line(mode="live")), lambda: None]
    fake.runs = iter([leave, [lambda: seen.append(held[0]()), lambda: None]])
    gc.disable()  # chance would let go of it sooner or later
    try:
        fake.service.run()
    finally:
        gc.enable()
    assert len(fake.built) == 2 and seen == [None]


def test_other_settings_take_another_run_and_reload_ends_when_that_runs(tmp_path: Path) -> None:
    fake = Fake(tmp_path, [])
    fake.runs = iter([[change(fake, line=Line(mode="live")), lambda: None], [lambda: None]])
    fake.service.run()
    assert [one.line.mode for one in fake.built] == ["accountable", "live"]
    assert len({id(crew) for crew in fake.crews}) == 2
    after = fake.said[fake.said.index("RELOADING=1\nMONOTONIC_USEC=0") + 1 :]
    assert after.count("READY=1") == 1 and after[-1] == "READY=1"


def test_recipes_with_a_bundle_of_their_own_take_no_other_run(tmp_path: Path) -> None:
    fake = Fake(tmp_path, [])
    fake.runs = iter([[change(fake, recipes=(Recipe(name="one", bundle=SAMPLE),)), lambda: None]])
    fake.service.run()
    assert len(fake.built) == 1 and fake.taken[-1].recipes[0].name == "one"


def test_a_camera_of_another_kind_takes_another_run(tmp_path: Path) -> None:
    fake = Fake(tmp_path, [])
    fake.keeps_cameras = False
    fake.runs = iter([[change(fake, revision=9), lambda: None], [lambda: None]])
    fake.service.run()
    assert len(fake.built) == 2 and fake.taken == []


def test_settings_that_cannot_be_read_are_refused_and_said(tmp_path: Path) -> None:
    fake = Fake(tmp_path, [])

    def spoil() -> None:
        fake.on_file = SettingsError(["agent.yaml:3: mqtt.port: wrong (got 'x')", "agent.yaml:9: more"])
        fake.service.reload()

    fake.runs = iter([[spoil, lambda: None, lambda: None]])
    fake.service.run()
    assert len(fake.built) == 1 and not fake.taken
    (words,) = fake.service.words()
    assert re.search("refused, those before stay in force: agent.yaml:3: mqtt.port", words)
    assert fake.said[-2:] == [f"STATUS={words}", "READY=1"]


@pytest.mark.parametrize("wrong", ["bundle", "outbox"])
def test_settings_that_name_what_is_not_there_are_refused_before_the_run_ends(
    wrong: str, tmp_path: Path
) -> None:
    fake = Fake(tmp_path, [])
    gone = tmp_path / "gone" / "away"
    update: dict[str, object] = {"bundle": gone} if wrong == "bundle" else {"outbox": Outbox(path=gone)}
    fake.runs = iter([[change(fake, **update), lambda: None]])
    fake.service.run()
    assert len(fake.built) == 1
    assert str(gone) in fake.service.words()[0]


@pytest.mark.parametrize("error", [PlumblineError("port taken"), ValueError("of a driver")])
def test_settings_with_which_nothing_runs_give_way_to_those_before(error: Exception, tmp_path: Path) -> None:
    fake = Fake(tmp_path, [])
    fake.runs = iter([[change(fake, line=Line(mode="live")), lambda: None], [error], [lambda: None]])
    ended_with = fake.service.run()
    assert [one.line.mode for one in fake.built] == ["accountable", "live", "accountable"]
    assert ended_with.line.mode == "accountable"
    assert str(error) in fake.service.words()[0]
    assert fake.said[-1] == "READY=1"


def linked(fake: Fake, folder: Path) -> Path:
    """Have the settings name a link, and give the other bundle that it is to name."""
    assert isinstance(fake.on_file, Settings)
    current, other = folder / "current", write_small(folder / "other")
    current.symlink_to(SAMPLE)
    fake.on_file = fake.on_file.model_copy(update={"bundle": current})
    return other


def relink(fake: Fake, folder: Path, at: Path) -> Callable[[], None]:
    def step() -> None:
        (folder / "new").symlink_to(at)
        (folder / "new").replace(folder / "current")
        fake.service.reload()

    return step


def test_another_bundle_under_the_same_link_takes_another_run(tmp_path: Path) -> None:
    fake = Fake(tmp_path, [])
    other = linked(fake, tmp_path)
    fake.runs = iter([[relink(fake, tmp_path, other)], [lambda: None]])
    fake.service.run()
    assert [one.bundle for one in fake.built] == [tmp_path / "current"] * 2
    assert fake.bundle.manifest.name == "small"


def test_a_linked_bundle_with_which_nothing_runs_gives_way_to_the_one_that_ran(tmp_path: Path) -> None:
    fake = Fake(tmp_path, [])
    other = linked(fake, tmp_path)
    fake.runs = iter([[relink(fake, tmp_path, other)], [ValueError("no engine")], [lambda: None]])
    fake.service.run()
    assert [one.bundle for one in fake.built] == [tmp_path / "current", tmp_path / "current", SAMPLE]
    assert "no engine" in fake.service.words()[0]


def test_good_settings_end_the_word_of_refused_ones(tmp_path: Path) -> None:
    fake = Fake(tmp_path, [])
    good = fake.on_file

    def spoil() -> None:
        fake.on_file = SettingsError(["bad"])
        fake.service.reload()

    def mend() -> None:
        assert fake.service.words()
        fake.on_file = good
        fake.service.reload()

    fake.runs = iter([[spoil, mend, lambda: None]])
    fake.service.run()
    assert fake.service.words() == ()


def test_logs_change_at_once(tmp_path: Path) -> None:
    fake = Fake(tmp_path, [])
    fake.runs = iter([[change(fake, logs=Logs(level="error")), lambda: None]])
    assert fake.service.run().logs.level == "error"
    assert len(fake.built) == 1


def test_each_run_after_damage_has_a_crew_of_its_own(tmp_path: Path) -> None:
    fake = Fake(tmp_path, [])
    fake.runs = iter([[DAMAGE], [lambda: fake.clock.advance(MENDED_S + 1), DAMAGE], [lambda: None]])
    fake.service.run()
    assert len({id(crew) for crew in fake.crews}) == 3


def test_damage_that_comes_again_at_once_is_for_people(tmp_path: Path) -> None:
    fake = Fake(tmp_path, [DAMAGE], [DAMAGE], [lambda: None])
    with pytest.raises(DamagedError):
        fake.service.run()
    assert len(fake.built) == 2


def test_other_failures_end_it(tmp_path: Path) -> None:
    with pytest.raises(PlumblineError, match="camera"):
        Fake(tmp_path, [lambda: None, PlumblineError("camera")]).service.run()


def test_who_asks_for_the_end_gets_it_and_the_manager_hears_of_it_first(tmp_path: Path) -> None:
    fake = Fake(tmp_path, [])
    fake.runs = iter([[lambda: fake.service.stop(), lambda: None]])
    fake.service.run()
    assert fake.said[-1] == "STOPPING=1"
    assert fake.crews[0].stop.is_set()


def test_an_end_asked_for_while_it_mends_is_an_end(tmp_path: Path) -> None:
    fake = Fake(tmp_path, [])
    fake.runs = iter([[lambda: fake.service.stop(), DAMAGE]])
    fake.service.run()
    assert len(fake.built) == 1


def test_the_first_settings_must_be_good(tmp_path: Path) -> None:
    fake = Fake(tmp_path)
    fake.on_file = SettingsError(["bad"])
    with pytest.raises(SettingsError):
        fake.service.run()


def test_an_outbox_in_which_rows_wait_is_not_left_at_a_reload(tmp_path: Path) -> None:
    fake = Fake(tmp_path, [])
    rows = SimpleNamespace(path=tmp_path / "outbox.sqlite3", depth=lambda: SimpleNamespace(rows=22))
    fake.parts = SimpleNamespace(uplink=SimpleNamespace(outbox=rows))  # type: ignore[attr-defined]
    fake.runs = iter([[change(fake, outbox=Outbox(path=tmp_path / "other.sqlite3")), lambda: None]])
    fake.service.run()
    assert len(fake.built) == 1
    assert "22 rows wait in it" in fake.service.words()[0]


def test_time_to_stop_and_open_is_asked_for_before_anything_is_stopped(tmp_path: Path) -> None:
    fake = Fake(tmp_path, [])
    fake.runs = iter([[change(fake, line=Line(mode="live")), lambda: None], [lambda: None]])
    fake.service.run()
    reload = fake.said.index("RELOADING=1\nMONOTONIC_USEC=0")
    assert fake.said[reload + 1] == f"EXTEND_TIMEOUT_USEC={round(OPENING_S * 1e6)}"
