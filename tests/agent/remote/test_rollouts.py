"""A whole station takes a signed bundle while it runs, and begins without one where none is whole."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.app import build
from agent.bundle.bundle import BUNDLE_TYPE, MANIFEST, SIGNATURE, BundleError
from agent.clock import SystemClock
from agent.crew import Crew
from agent.outbox.file import read_depth
from agent.remote.rollout.orders import Said
from agent.remote.rollout.updater import Updater
from agent.running import App
from agent.settings import camera as camera_settings
from agent.settings import settings
from agent.settings.remote import Probation, Remote
from agent.trust.trust_set import TRUST_TYPE
from tests.agent.remote.depots import served
from tests.agent.remote.rollouts import desired, digest, installed, signed, sources, trust

SECONDS = 60.0


def wanted(folder: Path, **more: object) -> settings.Settings:
    (folder / "trust.json").write_bytes(signed(trust().payload(), 0, kind=TRUST_TYPE))
    (folder / "pictures").mkdir(exist_ok=True)
    return settings.Settings(
        bundle=folder / "bundles" / "current",
        identity=settings.Identity(site="site", area="area", line="line", station="station"),
        trust=settings.Trust(file=folder / "trust.json"),
        cameras=(
            camera_settings.Camera(
                name="top",
                source=camera_settings.FolderSource(path=folder / "pictures", watch=True),
            ),
        ),
        engine=settings.Engine(kind="onnxruntime", threads=1, cache=folder / "engines"),
        outbox=settings.Outbox(path=folder / "outbox.sqlite3", min_free_bytes=0),
        mqtt=settings.Mqtt(port=1),
        page=settings.Page(enabled=False),
        remote=Remote(probation=Probation(verdicts=5, seconds=1.0, max_latency_ratio=1000)),
    )


def genuine(folder: Path, *counters: int) -> dict[int, Path]:
    """Bundles that are signed."""
    there = sources(folder, *counters)
    for source in there.values():
        manifest = (source / MANIFEST).read_bytes()
        (source / SIGNATURE).write_bytes(signed(manifest, 0, kind=BUNDLE_TYPE))
    return there


class Station:
    """A running one, and its pictures."""

    def __init__(self, folder: Path, app: App) -> None:
        self.folder = folder
        self.app = app
        self._next = 0

    def show(self) -> None:
        """One more dark picture."""
        self._next += 1
        path = self.folder / "pictures" / f"{self._next:06}.png"
        cv2.imwrite(str(path.with_suffix(".part.png")), np.full((32, 32), 20, np.uint8))
        path.with_suffix(".part.png").rename(path)

    def until(self, condition: Callable[[], bool], *, shows: bool = True) -> None:
        ends = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < ends, (
                self.app.parts.rollouts.report(),
                self.app.parts.rollouts.words(),
            )
            if shows:
                self.show()
            time.sleep(0.1)


@contextmanager
def running(folder: Path) -> Iterator[Station]:
    crew = Crew()
    app = build(wanted(folder), SystemClock(), crew)
    thread = threading.Thread(target=app.run)
    thread.start()
    try:
        yield Station(folder, app)
    finally:
        crew.stop.set()
        thread.join(30)
    assert not thread.is_alive()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def state_of(station: Station) -> str | None:
    attempted = station.app.parts.rollouts.report().attempted
    return None if attempted is None or attempted.issuer == "hand" else attempted.state


@pytest.mark.slow
def test_a_running_station_takes_a_signed_bundle_and_serves_it_after_probation(folder: Path) -> None:
    there = genuine(folder, 1, 2)
    installed(folder / "bundles", there[1])
    answers: list[Said] = []
    with running(folder) as station:
        rollouts = station.app.parts.rollouts
        rollouts.take(signed(desired(there[2], 5)), answers.append)
        station.until(lambda: state_of(station) == "applied")
        active = rollouts.report().active
        assert active is not None and active.sha256 == digest(there[2])
        assert station.app.bundle.sha256 == digest(there[2])
        assert rollouts.ended()["applied"] == 1
        station.until(lambda: rollouts.standing(answers[0].transaction or "") is not None)
    assert [one.code for one in answers] == [202] and served(folder / "bundles") == (2, 1)


@pytest.mark.slow
def test_a_station_that_stops_on_probation_goes_on_with_it_at_the_next_start(folder: Path) -> None:
    there = genuine(folder, 1, 2)
    installed(folder / "bundles", there[1])
    with running(folder) as station:
        station.app.parts.rollouts.take(signed(desired(there[2], 5)))
        station.until(lambda: state_of(station) == "probation", shows=False)
    assert served(folder / "bundles") == (2, 1)
    with running(folder) as station:
        assert station.app.bundle.sha256 == digest(there[2])
        said = station.app.parts.rollouts.roll_back("quality", "scratches are missed")
        assert said.code == 202
        station.until(lambda: state_of(station) == "rolled_back")
        assert station.app.bundle.sha256 == digest(there[1])
    assert served(folder / "bundles") == (1, None)


@pytest.mark.slow
def test_a_station_without_a_whole_bundle_records_every_trigger_until_it_is_given_one(folder: Path) -> None:
    there = genuine(folder, 1, 2)
    installed(folder / "bundles", there[1])
    (folder / "bundles" / "current" / "model.onnx").write_bytes(b"bit rot")
    with running(folder) as station:
        board = station.app.parts.board
        station.until(lambda: board.snapshot().counts["undecided"] >= 2)
        reject = board.snapshot().cameras[0].strip[0].verdict
        assert (reject.verdict, reject.reason, reject.model.bundle) == ("undecided", "no_model", "none")
        assert board.snapshot().serving is None and station.app.parts.rollouts.report().active is None
        station.until(lambda: any("No model bundle" in one for one in board.snapshot().troubles))
        station.app.parts.rollouts.take(signed(desired(there[2], 5)))
        station.until(lambda: state_of(station) == "applied")
        station.until(lambda: board.snapshot().counts["pass"] >= 2)
    assert served(folder / "bundles") == (2, None)
    assert read_depth(folder / "outbox.sqlite3", clock=SystemClock()).rows > 0


def test_a_depot_in_which_nobody_installed_ends_the_start_as_any_bundle_that_is_missing(folder: Path) -> None:
    with pytest.raises(BundleError, match="no such bundle"):
        build(wanted(folder), SystemClock(), Crew())


def test_a_station_with_a_bundle_of_its_own_says_that_nothing_is_installed_there(folder: Path) -> None:
    there = genuine(folder, 1)
    app = build(wanted(folder).model_copy(update={"bundle": there[1]}), SystemClock(), Crew())
    try:
        said = app.parts.rollouts.install(b"{}")
        assert said.code == 422 and "set it to FOLDER/current" in said.message
        answers: list[Said] = []
        app.parts.rollouts.take(b"{}", answers.append)
        attempted = app.parts.rollouts.report().attempted
        assert attempted is not None and attempted.code == answers[0].code == 422
        assert app.parts.rollouts.report().active is not None
    finally:
        app.parts.recipes.bundles.close()
        app.parts.uplink.stop(b"{}")


def test_a_bundle_that_is_named_by_its_digest_is_opened_and_its_depot_known(folder: Path) -> None:
    there = genuine(folder, 1, 2)
    installed(folder / "bundles", there[1], there[2])
    before = wanted(folder).model_copy(update={"bundle": folder / "bundles" / digest(there[1])})
    app = build(before, SystemClock(), Crew())
    try:
        assert app.bundle.sha256 == digest(there[1])
        assert isinstance(app.parts.rollouts, Updater)
    finally:
        app.parts.recipes.bundles.close()
        app.parts.uplink.stop(b"{}")


def test_what_stands_in_the_place_of_a_link_is_told_before_anything_is_begun(folder: Path) -> None:
    there = genuine(folder, 1, 2)
    (folder / "bundles").mkdir()
    there[1].rename(folder / "bundles" / "current")
    with running(folder) as station:
        said = station.app.parts.rollouts.install(signed(desired(there[2], 5)))
        assert said.code == 507 and "current: is no link of ours; move it away" in said.message
