"""Every check is done, whatever one of them does; what is said holds no secret."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from agent.doctor import doctor
from agent.doctor.check import Check
from agent.doctor.checks.table import CHECKS, FAMILIES
from agent.doctor.finding import Said, failed, finding, note, ok, skipped
from agent.doctor.machine import Machine
from agent.doctor.site import Site, site_of
from agent.errors import PlumblineError
from tests.agent.doctor.sites import machine, program, site, write


def check(name: str, look: object, within_s: float = 5.0) -> Check:
    return Check(family="family", name=name, look=look, within_s=within_s)  # type: ignore[arg-type]


def test_a_check_that_raises_or_hangs_is_a_finding_and_the_next_is_done(tmp_path: Path) -> None:
    never = threading.Event()

    def hangs(_: Site) -> Iterator[Said]:
        yield ok("so far")
        never.wait()

    def raises(_: Site) -> Iterator[Said]:
        yield ok("first")
        raise RuntimeError("broken")

    def refuses(_: Site) -> Iterator[Said]:
        raise PlumblineError("there: it is not; put it there")

    checks = (
        check("hangs", hangs, 0.05),
        check("raises", raises),
        check("refuses", refuses),
        check("good", lambda _: [ok("good")]),
    )
    found = [*doctor.look(site(tmp_path), checks)]
    never.set()
    assert [(one.check, one.state, one.words) for one in found] == [
        ("hangs", "ok", "so far"),
        ("hangs", "wrong", "did not end within 0.05 s"),
        ("raises", "ok", "first"),
        ("raises", "wrong", "the check itself failed: RuntimeError: broken"),
        ("refuses", "wrong", "there: it is not"),
        ("good", "ok", "good"),
    ]
    assert found[4].remedy == "put it there"


def test_what_is_said_is_one_printable_line_without_logins() -> None:
    said = note("rtsp://user:word@host/x:\x1b[31m\nred", "try http://user:word@other/")
    one = finding("family", "check", said)
    assert one.words.isprintable() and one.remedy.isprintable()
    assert "word" not in one.words + one.remedy


def test_without_settings_the_machine_alone_is_looked_at(tmp_path: Path) -> None:
    found = [*doctor.look(Site(machine=machine(tmp_path)), CHECKS)]
    assert {"computer", "gpu", "disk", "clock", "service"} <= {one.family for one in found}
    assert not {"bundle", "outbox", "broker"} & {one.family for one in found}
    assert [one.words for one in found if "itself failed" in one.words] == []


def test_with_settings_that_cannot_be_used_that_is_wrong_and_what_needs_them_is_skipped(
    tmp_path: Path,
) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text("revision: 1\nmqtt: {port: 0}\n")
    found = [*doctor.look(site_of(file, machine(tmp_path)), CHECKS)]
    wrong = [one for one in found if one.state == "wrong"]
    assert [(one.family, one.check) for one in wrong] == [("settings", "file")]
    assert "agent.yaml:2: mqtt.port" in wrong[0].words
    assert {one.state for one in found if one.family in ("bundle", "outbox", "broker")} == {"skipped"}


def test_all_of_a_station_is_found_on_this_very_machine(tmp_path: Path) -> None:
    settings = site(tmp_path, mqtt={"port": 1}, bundle="none").settings
    found = doctor.findings(settings, Machine())
    assert [one for one in found if "itself failed" in one.words or "did not end" in one.words] == []
    assert {one.family for one in found} == set(FAMILIES)
    wrong = {(one.family, one.check) for one in found if one.state == "wrong"}
    assert {("bundle", "digests"), ("broker", "reach"), ("settings", "files named")} <= wrong


def test_there_are_at_least_twenty_checks_and_no_two_of_one_name() -> None:
    names = [(one.family, one.name) for one in CHECKS]
    assert len(names) >= 20 and len(set(names)) == len(names)


def test_an_error_without_a_remedy_of_its_own_gets_one() -> None:
    assert failed(PlumblineError("a: b"), "do it").remedy == "do it"
    assert skipped("why").remedy == ""


def test_a_machine_says_none_for_what_is_not_there(tmp_path: Path) -> None:
    one = machine(tmp_path)
    write(tmp_path, "proc/word", "word")
    assert one.text("proc/none") is None and one.number("proc/word") is None
    assert one.ran("no-such-program") is None and one.named("none/*") == []
    program(tmp_path, "speaks", "A=1", "B=x=y")
    ran = one.ran("speaks")
    assert ran is not None and ran.values() == {"A": "1", "B": "x=y"}
