"""The office is killed at each step of a rollout, one after the other, and goes on from its folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent import durable
from agent.contract.desired import read_bundle
from models.fleet import ledger as ledger_module
from models.fleet.plan import Record
from tests.fleet.office import Desk, terms
from tests.fleet.station import Cues
from tests.fleet.world import NEW, NEWER, Death, World, decoded, world

STEPS_AT_LEAST = 20


class Reaper:
    """Counts every durable write and every publish, and is a SIGKILL before the one that is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, plant: World) -> None:
        self.steps = 0
        self.dies_at: int | None = None
        for module, name in (
            (durable, "write_file"),
            (durable, "sync_folder"),
            (ledger_module, "sync_folder"),
        ):
            monkeypatch.setattr(module, name, self._before(getattr(module, name)))
        plant.before_publish = self.step

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.dies_at:
            raise Death

    def _before(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            self.step()
            return function(*arguments, **named)

        return counted


def good(count: int = 7) -> World:
    return world(count)


def bad() -> World:
    return world(7, cues={n: Cues(fails={NEWER.sha256: "probation"}) for n in (2, 3)})


def as_before(plant: World, tmp_path: Path) -> Desk:
    """All run NEW, by a rollout of ours, so that it is known what was before."""
    desk = Desk(plant, tmp_path)
    assert desk.bundle(NEW).state == "finished"
    return desk


def carried_on(desk: Desk) -> Record:
    """What a person does who finds that the tool has gone: first what was there, and else again."""
    latest = desk.ledger.latest()
    if latest is None or latest.content != desk.ledger.put(NEWER.content()):
        return desk.bundle(NEWER, terms=terms("2", "rest", max_failed_share=0.0))
    if latest.state == "running":
        return desk.resume()
    return desk.follow()


def counters_are_of_one_content(plant: World) -> bool:
    """No counter was ever published to an address with two contents."""
    seen: dict[tuple[str, int], bytes] = {}
    for topic, payload in plant.published:
        if payload and (document := decoded(payload)):
            key = (topic, read_bundle(document).counter)
            if seen.setdefault(key, payload) != payload:
                return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("is_good", [True, False], ids=["a good rollout", "a rollout that stops"])
def test_a_death_at_any_step_ends_as_if_there_had_been_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_good: bool
) -> None:
    make = good if is_good else bad
    step = total = 0
    while step <= total:
        plant, folder = make(), tmp_path / str(step)
        desk = as_before(plant, folder)
        with monkeypatch.context() as patch:
            reaper = Reaper(patch, plant)
            reaper.dies_at = step or None
            try:
                carried_on(desk)
            except Death:
                plant.before_publish = lambda: None
        if not step:
            total = reaper.steps
            assert total > STEPS_AT_LEAST
        record = carried_on(Desk(plant, folder))
        for _ in range(20):
            plant.turn(0.1)
        assert counters_are_of_one_content(plant)
        if is_good:
            assert record.state == "finished", step
            assert {one.bundle.id for one in plant.stations} == {"newer"}, step
        else:
            assert record.state == "stopped", step
            stopped_on_no_topic(plant, step)
        step += 1


def stopped_on_no_topic(plant: World, step: int) -> None:
    """Whoever runs it keeps it; nobody who comes back or is new finds it."""
    for one in plant.stations:
        document = decoded(plant.retained.get(one.topics.desired("bundle"), b""))
        assert not document or read_bundle(document).target.sha256 == NEW.sha256, step
        if not one.installs or one.installs[-1] == NEW.sha256:
            assert one.bundle == NEW, step


@pytest.mark.slow
def test_a_way_back_that_was_killed_at_any_step_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = total = 0
    while step <= total:
        plant, folder = good(3), tmp_path / str(step)
        desk = as_before(plant, folder)
        desk.bundle(NEWER)
        with monkeypatch.context() as patch:
            reaper = Reaper(patch, plant)
            reaper.dies_at = step or None
            try:
                desk.back()
            except Death:
                plant.before_publish = lambda: None
        total = total or reaper.steps
        again = Desk(plant, folder)
        record = again.follow() if again.record().state == "taken_back" else again.back()
        assert record.state == "taken_back"
        for _ in range(20):
            plant.turn(0.1)
        assert {one.bundle.id for one in plant.stations} == {"new"}, step
        step += 1
    assert total > 5
