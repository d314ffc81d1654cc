"""The composition root: every number of the table has a source, and what is shown is what is in force."""

from __future__ import annotations

import socket
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from agent.app import build
from agent.archive.archive import REASONS as ARCHIVE_REASONS
from agent.cameras.life import OPEN_FAILURES
from agent.clock import ManualClock
from agent.contract.commands import CODES
from agent.contract.metrics import METRICS, SKIPPED
from agent.contract.verdict import REASONS
from agent.crew import Crew
from agent.line.publish import ListenerError
from agent.outbox.place import lock
from agent.page.server import PageError
from agent.remote.rollout.updater import Updater
from agent.running import App
from agent.settings import camera as camera_settings
from agent.settings import settings
from agent.status.board import Board
from agent.status.said import VERSION
from tests.agent.engines.small_bundle import write_small
from tests.fakes import fault


def made(folder: Path, *, page_port: int = 0, bundle: str = "small", state: str | None = None) -> App:
    """`state` is that of settings which are under way."""
    (folder / "pictures").mkdir()
    write_small(folder / "small")
    wanted = settings.Settings(
        bundle=folder / bundle,
        cameras=(
            camera_settings.Camera(name="top", source=camera_settings.FolderSource(path=folder / "pictures")),
        ),
        engine=settings.Engine(kind="openvino", threads=1, cache=folder / "engines"),
        outbox=settings.Outbox(path=folder / "outbox.sqlite3", min_free_bytes=0),
        mqtt=settings.Mqtt(port=1),
        page=settings.Page(port=page_port),
    )
    return build(wanted, ManualClock(), Crew(), settings_state=lambda: state)


def test_every_metric_without_labels_has_a_source_and_the_board_shows_the_recipe_in_force(
    tmp_path: Path,
) -> None:
    app = made(tmp_path)
    try:
        sampled = {sample.name for sample in app.watch.metrics.samples()}
        assert {metric.name for metric in METRICS if not metric.labels} <= sampled
        line = app.parts.lines["top"]
        before = app.parts.board.snapshot().serving
        assert before is not None
        rules = {"top": replace(line.recipe.rules_of("top"), threshold=0.75, calibrated={})}
        line.take_over(replace(line.recipe, rules=rules, bundle="another"))
        app.parts.captures["top"].close()
        line.step()
        after = app.parts.board.snapshot().serving
        assert after is not None
        assert (after.bundle, after.threshold) == ("another", 0.75)
        assert before.threshold != after.threshold
    finally:
        app.parts.recipes.bundles.close()
        app.parts.uplink.outbox.close()


def test_settings_and_bundles_of_a_station_wait_for_each_other(tmp_path: Path) -> None:
    (tmp_path / "bundles").mkdir()
    (tmp_path / "bundles" / "current").symlink_to(tmp_path / "small")
    app = made(tmp_path, bundle="bundles/current", state="probation")
    try:
        rollouts, turns = app.parts.rollouts, app.settings_run.turns
        assert isinstance(rollouts, Updater) and rollouts._means.turn is turns
        assert "settings are under way (probation)" in (turns.begin_bundle() or "")
        assert app.settings_run.begin(lambda: None) == "a bundle that waited for its turn comes first"
    finally:
        app.parts.recipes.bundles.close()
        app.parts.uplink.outbox.close()


def test_a_station_that_has_done_nothing_yet_has_a_series_at_zero_for_every_reason(tmp_path: Path) -> None:
    app = made(tmp_path)
    try:
        counts = app.watch.metrics.snapshot()
    finally:
        app.parts.recipes.bundles.close()
        app.parts.uplink.outbox.close()
    assert counts["state"] == {"starting": 1, "running": 0, "degraded": 0}
    assert counts["info"] == {VERSION: {app.parts.lines["top"].recipe.bundle: 1}}
    assert counts["engine_serving"]["openvino"] == 1
    assert counts["engine_failures"] == dict.fromkeys(counts["engine_serving"], 0)
    assert counts["skipped"] == counts["camera_faults"]["top"] == dict.fromkeys(SKIPPED, 0)
    assert counts["unjudged"] == {"top": dict.fromkeys(REASONS, 0)}
    assert counts["camera_open_failures"] == {"top": dict.fromkeys(OPEN_FAILURES, 0)}
    assert counts["archive_dropped"] == dict.fromkeys(ARCHIVE_REASONS, 0)
    assert counts["commands_refused"] == dict.fromkeys(CODES, 0)
    # Of drivers, gateways, outputs, part rules and what was learned of good parts: none.
    of_others = {"camera_driver", "gateway_failures", "outbox_reader_skipped", "drift_psi"}
    of_others |= {"parts", "parts_undecided", "part_seconds", "parts_open"}
    of_others |= {metric.name for metric in METRICS if metric.name.startswith("output_")}
    assert {name for name, found in counts.items() if found == {}} == of_others


def test_a_listener_that_raised_ends_the_agent_when_the_watch_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Board, told: object) -> None:
        raise ValueError("scripted")

    monkeypatch.setattr(Board, "recorded", broken)
    app = made(tmp_path)
    try:
        app.parts.captures["top"].put(fault(0))
        app.parts.lines["top"].step()
        app.parts.uplink.outbox.append([]).result()
        with pytest.raises(ListenerError, match="Board raised ValueError"):
            app.watch.run(threading.Event())
    finally:
        app.parts.recipes.bundles.close()
        app.parts.uplink.outbox.close()


def test_a_page_that_cannot_be_served_leaves_the_outbox_for_the_next_run(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        app = made(tmp_path, page_port=other.getsockname()[1])
        with pytest.raises(PageError):
            app.run()
    lock(app.parts.uplink.outbox.path).close()


def test_a_part_that_cannot_be_made_leaves_the_outbox_for_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("scripted")

    monkeypatch.setattr("agent.foundation.make_archive", broken)
    with pytest.raises(ValueError, match="scripted"):
        made(tmp_path)
    lock(tmp_path / "outbox.sqlite3").close()
