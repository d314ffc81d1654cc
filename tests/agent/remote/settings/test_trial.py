"""Settings on probation: a broker and cameras that were changed have to be there again."""

from __future__ import annotations

from collections.abc import Collection
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent.clock import ManualClock
from agent.line.publish import Recorded
from agent.remote.rollout.baseline import Baseline
from agent.remote.settings.run import SettingsRun
from agent.remote.settings.target import Trial
from agent.remote.settings.trial import REACH_S, SettingsWitness
from agent.remote.turns import Turns
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
            turns=Turns(lambda: None),
            silent=self._silent,
            size_of=lambda camera: (300, 200),
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


def record(reason: str | None, sha256: str) -> Recorded:
    decided = "undecided" if reason else "pass"
    verdict = SimpleNamespace(
        verdict=decided,
        reason=reason,
        model=SimpleNamespace(sha256="model"),
        settings=SimpleNamespace(sha256=sha256),
        timing_ms=SimpleNamespace(infer=1.0, judge=0.0),
        score=None if reason else SimpleNamespace(normalized=50.0),
    )
    return cast(Recorded, SimpleNamespace(verdict=verdict))


@pytest.mark.parametrize("reason", ["unknown_product", "all_ignored", "part_missing"])
def test_a_line_that_decides_nothing_any_more_does_worse_than_before(reason: str) -> None:
    rig = Rig()
    after = made(revision=2)
    for _ in range(30):
        rig.clock.sleep(0.1)
        rig.run.witness.recorded(record(None, ""))
    trial = rig.run.trial(after, made(), rig.run.baseline())
    for _ in range(30):
        rig.clock.sleep(0.1)
        rig.run.witness.recorded(record(reason, after.digest()))
    standing = trial.look()
    assert standing.what == "breach" and standing.words == "errors in 30 of 30 verdicts, 0.0% before"


def test_one_that_decided_nothing_before_either_is_not_taken_back_for_it() -> None:
    rig = Rig()
    after = made(revision=2)
    for sha256 in ("", after.digest()):
        for _ in range(30):
            rig.clock.sleep(0.1)
            rig.run.witness.recorded(record("unknown_product", sha256))
    trial = rig.run.trial(after, made(), rig.run.baseline())
    assert trial.look().what == "goes_on"
    rig.clock.sleep(90)
    assert trial.stands_s() > 60
