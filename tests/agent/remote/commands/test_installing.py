"""The verbs that change the bundle, at a whole station that runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.contract.arguments import Cancel, Install, Rollback
from agent.contract.commands import NotDoneError, Progress
from agent.remote.commands import installing
from agent.remote.commands.asked import Call, Steps
from agent.remote.commands.station import Station as Parts
from tests.agent.remote.fakes import station_of
from tests.agent.remote.rollouts import desired, digest, installed, signed
from tests.agent.remote.test_rollouts import Station, genuine, running

CALL = Call(arrived_ns=0, id="c-1")


def followed(station: Station, steps: Steps) -> tuple[list[Progress], dict[str, Any]]:
    """What a command said while it was done, and its answer."""
    said: list[Progress] = []
    answer: dict[str, Any] = {}

    def is_over() -> bool:
        try:
            one = next(steps)
        except StopIteration as ended:
            answer.update(ended.value)
            return True
        if one is not None and one not in said[-1:]:
            said.append(one)
        return False

    station.until(is_over)
    return said, answer


def of(station: Station) -> Parts:
    return station_of(rollouts=station.app.parts.rollouts)


def refused(station: Station, steps: Steps) -> str:
    with pytest.raises(NotDoneError) as error:
        followed(station, steps)
    return error.value.kind


@pytest.mark.slow
def test_a_bundle_is_installed_by_command_followed_to_its_end_and_taken_back(tmp_path: Path) -> None:
    there = genuine(tmp_path, 1, 2, 3)
    installed(tmp_path / "bundles", there[1])
    document = signed(desired(there[2], 5)).decode()
    with running(tmp_path) as station:
        parts = of(station)
        said, answer = followed(station, installing.install(parts, Install(document=document), CALL))
        assert answer["state"] == "applied" and station.app.bundle.sha256 == digest(there[2])
        assert all(one.is_kept for one in said) and {one.data["transaction"] for one in said} == {
            answer["transaction"]
        }
        states = [one.data["state"] for one in said]
        assert "probation" in states and states[-1] in ("probation", "applied")
        _, again = followed(station, installing.install(parts, Install(document=document), CALL))
        assert again["state"] == "unchanged"
        older = signed(desired(there[3], 4)).decode()
        assert refused(station, installing.install(parts, Install(document=older), CALL)) == "impossible"
        assert refused(station, installing.install(parts, Install(document="{}"), CALL)) == "not_json"
        assert refused(station, installing.cancel(parts, Cancel(), CALL)) == "not_found"
        _, back = followed(station, installing.rollback(parts, Rollback(reason="worse"), CALL))
        assert back["state"] == "applied" and station.app.bundle.sha256 == digest(there[1])
