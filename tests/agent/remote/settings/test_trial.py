"""Settings on probation: a broker and cameras that were changed have to be there again."""

from __future__ import annotations

from collections.abc import Collection
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent.clock import ManualClock
from agent.remote.rollout.baseline import Baseline
from agent.remote.settings.run import SettingsRun
from agent.remote.settings.target import Trial
from agent.remote.settings.trial import REACH_S, SettingsWitness
from agent.settings.settings import Settings

CAMERAS = [{"name": "top"}, {"name": "side"}]
HEALTH = Baseline(
    settings="", verdicts=100, error_share=0, reject_share=0, latency_p99_ms=1, score_mean=50, heard=("top",)
)


def made(**content: Any) -> Settings:
    return Settings.model_validate({"remote": {"probation": {"seconds": 1}}, "cameras": CAMERAS, **content})


class Rig:
    def __init__(self) -> None:
        self.clock, self.silent, self.link = ManualClock(), {"side"}, SimpleNamespace(connects=0)
        self.run = SettingsRun(
            reporter=cast(Any, None),
            publisher=cast(Any, SimpleNamespace(state=self.link)),
            cameras=("top", "side"),
            witness=SettingsWitness(self.clock),
            recipe=cast(Any, None),
            look=lambda *_: (),
            clock=self.clock,
            in_force=lambda: "",
            silent=self._silent,
        )

    def trial(self, **after: Any) -> Trial:
        return self.run.trial(made(**after), made(), HEALTH)

    def _silent(self) -> Collection[str]:
        return self.silent


def changed(name: str) -> list[dict[str, Any]]:
    return [{**one, "silence_timeout_s": 3} if one["name"] == name else one for one in CAMERAS]


def test_a_camera_that_gave_frames_before_has_to_give_them_again() -> None:
    rig = Rig()
    rig.silent.add("top")
    trial = rig.trial(cameras=changed("top"))
    assert trial.look().words == "camera top gave no frame yet"
    rig.clock.sleep(REACH_S + 1)
    standing = trial.look()
    assert (standing.what, standing.words) == ("breach", "camera top gave no frame within 10 s")


def test_it_is_enough_that_it_gave_one() -> None:
    rig = Rig()
    trial = rig.trial(cameras=changed("top"))
    trial.look()
    rig.silent.add("top")
    rig.clock.sleep(REACH_S + 1)
    assert trial.look().what == "goes_on"


@pytest.mark.parametrize(
    "after", [{"cameras": changed("side")}, {"judge": {"min_area_px": 3}}, {"revision": 2}]
)
def test_a_camera_that_was_silent_before_or_is_as_it_was_is_not_waited_for(after: dict[str, Any]) -> None:
    rig = Rig()
    if "cameras" not in after:
        rig.silent.add("top")
    trial = rig.trial(**after)
    rig.clock.sleep(REACH_S + 1)
    assert trial.look().what == "goes_on"


def test_a_broker_that_was_changed_has_to_be_reached_first() -> None:
    rig = Rig()
    trial = rig.trial(mqtt={"port": 1884})
    assert trial.look().words == "the new broker was not reached yet"
    rig.link.connects = 1
    rig.clock.sleep(REACH_S + 1)
    assert trial.look().what == "goes_on"
