"""The package's scripts: whatever happens to an upgrade, the version before goes on."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.deb.box import CUT, NEW, OLD, Box


def test_a_first_install_without_settings_starts_nothing_and_is_no_error(box: Box) -> None:
    box.installed(NEW)
    assert box.current() == NEW
    assert box.said("invoked") == box.said("doctors") == []


def test_a_first_install_whose_doctor_fails_starts_nothing_and_has_the_commands_that_help(box: Box) -> None:
    box.settings()
    box.cue("fails", "doctor")
    done = box.run("postinst", "configure")
    assert done.returncode == 1
    assert "agent.yaml, says its doctor above; mend that. Then: dpkg --configure plumbline" in done.stderr
    assert box.current() == NEW
    assert box.said("invoked") == []


def test_an_upgrade_tries_the_new_environment_and_keeps_the_old_one_until_the_next(box: Box) -> None:
    settings = box.settings()
    box.installed("0.0.8-99999999")
    box.installed(OLD)
    box.run("prerm", "upgrade", "0.1.0", environment=OLD)
    box.installed(NEW)
    assert box.current() == NEW
    assert box.environments() == [OLD, NEW]
    assert box.said("doctors")[-1] == (
        "doctor doctor --family settings --family bundle --family engine --family outbox "
        f"-c {settings} in {box.root}/var/lib/plumbline"
    )
    assert box.said("invoked")[-1] == f"restart plumbline.service with {NEW}"


def test_before_an_upgrade_nothing_is_stopped(box: Box) -> None:
    box.settings()
    box.installed(OLD)
    before = box.said("invoked")
    assert box.run("prerm", "upgrade", "0.1.0", environment=OLD).returncode == 0
    assert box.run("postrm", "upgrade", "0.1.0", environment=OLD).returncode == 0
    assert box.said("invoked") == before
    assert box.current() == OLD


def test_every_station_that_is_enabled_and_has_settings_is_tried_and_restarted(box: Box) -> None:
    box.settings("press.yaml")
    wants = box.root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    for instance in ("press", "gone"):
        (wants / f"plumbline@{instance}.service").symlink_to("/usr/lib/systemd/system/plumbline@.service")
    box.installed(NEW)
    (doctor,) = box.said("doctors")
    assert doctor.endswith(f"-c {box.root}/etc/plumbline/press.yaml in {box.root}/var/lib/plumbline/press")
    assert box.said("invoked") == [f"restart plumbline@press.service with {NEW}"]


@pytest.mark.slow
@pytest.mark.parametrize("before", [OLD, None], ids=["upgrade", "first install"])
def test_a_power_cut_before_any_command_leaves_a_whole_environment_and_is_made_good(
    box: Box, before: str | None, tmp_path: Path
) -> None:
    box.settings()
    if before:
        box.installed(before)
    kept = tmp_path / "kept"
    shutil.copytree(box.root, kept, symlinks=True)
    box.run("postinst", "configure")
    commands = box.commands()
    assert commands > 20
    for cut_at in range(1, commands + 1):
        shutil.rmtree(box.root)
        shutil.copytree(kept, box.root, symlinks=True)
        assert box.run("postinst", "configure", cut_at=cut_at).returncode == CUT
        assert (box.opt / "current").is_symlink() or before is None
        if (box.opt / "current").is_symlink():
            assert box.current() in (before, NEW)
        done = box.run("postinst", "configure")
        assert done.returncode == 0, (cut_at, done.stderr)
        assert box.current() == NEW
        assert box.environments() == sorted({before or NEW, NEW})
        assert box.said("invoked")[-1] == f"restart plumbline.service with {NEW}"


@pytest.mark.parametrize("step", ["python3.11", "pip", "half", "sync", "doctor"])
def test_a_step_that_fails_leaves_the_old_version_running_with_one_clear_message(box: Box, step: str) -> None:
    box.settings()
    box.installed(OLD)
    before = box.said("invoked")
    box.cue("fails", step)
    done = box.run("postinst", "configure", "0.0.9")
    assert done.returncode == 1
    (message,) = [line for line in done.stderr.splitlines() if line.startswith("plumbline: ")]
    assert message.endswith(f"{OLD} stays in use. Then: dpkg --configure plumbline")
    assert box.current() == OLD
    assert box.said("invoked") == before
    assert not (box.opt / NEW).exists() or step == "doctor"  # a full disk is not left full

    box.cue("fails", "")
    assert box.run("postinst", "configure", "0.0.9").returncode == 0
    assert box.current() == NEW


def test_what_the_doctor_found_is_shown(box: Box) -> None:
    box.settings()
    box.installed(OLD)
    box.cue("fails", "doctor")
    done = box.run("postinst", "configure", "0.0.9")
    assert "doctor: made to fail" in done.stderr
    assert f"{box.opt}/{NEW} is not fit for {box.root}/etc/plumbline/agent.yaml" in done.stderr


def test_a_new_version_whose_service_does_not_start_gives_way_to_the_old_one(box: Box) -> None:
    box.settings()
    box.installed(OLD)
    invoke = box.folder / "bin/deb-systemd-invoke"
    invoke.write_text(invoke.read_text() + f'\n! tail -n 1 "$BOX/invoked" | grep -q "with {NEW}"\n')
    done = box.run("postinst", "configure", "0.0.9")
    assert done.returncode == 1
    assert "the service did not start" in done.stderr
    assert box.current() == OLD
    assert box.said("invoked")[-2:] == [
        f"restart plumbline.service with {NEW}",
        f"restart plumbline.service with {OLD}",
    ]


def test_an_environment_that_is_complete_is_not_made_again(box: Box) -> None:
    box.installed(NEW)
    box.cue("fails", "pip")
    assert box.run("postinst", "configure", "0.1.0").returncode == 0


def test_an_environment_that_was_damaged_is_made_again(box: Box) -> None:
    box.installed(NEW)
    (box.opt / NEW / "bin/plumbline").unlink()
    assert box.run("postinst", "configure", "0.1.0").returncode == 0
    assert box.current() == NEW


def test_an_upgrade_that_dpkg_gave_up_restarts_nothing(box: Box) -> None:
    box.settings()
    box.installed(OLD)
    for name, argument, environment in (
        ("preinst", "upgrade", NEW),
        ("postrm", "abort-upgrade", NEW),
        ("preinst", "abort-upgrade", OLD),
        ("postinst", "abort-upgrade", OLD),
    ):
        assert box.run(name, argument, "0.0.9", environment=environment).returncode == 0
    assert box.current() == OLD
    assert box.said("invoked")[-1] == f"start plumbline.service with {OLD}"


def test_a_version_that_was_never_finished_is_not_called_installed_by_a_later_one_that_is_given_up(
    box: Box,
) -> None:
    box.settings()
    box.installed(OLD)
    assert box.run("postinst", "abort-upgrade", "0.2.0", environment=NEW).returncode == 1
    assert box.current() == OLD
    assert box.said("invoked")[-1] == f"start plumbline.service with {OLD}"


def test_tensorrt_of_the_system_is_seen_and_nothing_else_of_its_python(box: Box) -> None:
    theirs = box.root / "usr/lib/python3.11/dist-packages/tensorrt"
    theirs.mkdir(parents=True)
    (theirs.parent / "numpy").mkdir()
    box.installed(NEW)
    assert [path.readlink() for path in (box.opt / NEW / "lib/python3.11/site-packages").iterdir()] == [
        theirs
    ]


def test_a_package_for_another_machine_is_refused_before_anything_changes(box: Box) -> None:
    box.installed(OLD)
    box.cue("machine", "arm64")
    done = box.run("preinst", "upgrade", "0.0.9")
    assert done.returncode == 1
    assert done.stderr == (
        "plumbline: this package is for amd64 and this machine is arm64; take plumbline_..._arm64.deb; "
        "nothing was changed\n"
    )


def test_a_package_for_another_python_is_refused_and_names_the_one_that_is_here(box: Box) -> None:
    (box.root / "usr/bin/python3.11").unlink()
    done = box.run("preinst", "install")
    assert done.returncode == 1
    assert "for Python 3.11, which is not here" in done.stderr
    assert "package of this machine's Python 3.12.3; nothing was changed" in done.stderr


def test_a_disk_without_room_is_refused_with_what_is_needed(box: Box) -> None:
    box.installed(OLD)
    box.cue("free_kb", "800000")
    done = box.run("preinst", "upgrade", "0.0.9")
    assert done.returncode == 1
    assert done.stderr.endswith("has 781 MB free and 878 MB are needed; nothing was changed\n")
    box.cue("free_kb", "900000")
    assert box.run("preinst", "upgrade", "0.0.9").returncode == 0


def test_an_upgrade_makes_room_by_the_environment_that_was_kept_and_by_unfinished_ones(box: Box) -> None:
    box.installed(OLD)
    for name in ("0.0.8-99999999", "0.1.0-unfinished"):
        (box.opt / name).mkdir()
    assert box.run("preinst", "upgrade", "0.0.9").returncode == 0
    assert box.environments() == [OLD]


def test_removing_stops_the_service_and_says_how_many_records_were_never_delivered(box: Box) -> None:
    box.settings()
    box.installed(NEW)
    done = box.run("prerm", "remove")
    assert done.returncode == 0
    assert box.said("invoked")[-1] == f"stop plumbline.service plumbline@*.service with {NEW}"
    assert done.stderr == (
        "plumbline: plumbline.service: 7 records were never delivered; purging the package deletes them\n"
    )


def test_an_outbox_that_cannot_be_read_does_not_keep_the_package_from_going(box: Box) -> None:
    box.settings()
    box.installed(NEW)
    box.cue("outbox.json", '{"error": "outbox.db: no such file", "exit_code": 2}')
    done = box.run("prerm", "remove")
    assert done.returncode == 0
    assert "nobody can say how many records were never delivered: " in done.stderr
    assert "outbox.db: no such file" in done.stderr


def test_remove_keeps_state_and_settings_and_purge_deletes_them(box: Box) -> None:
    settings = box.settings()
    box.installed(NEW)
    kept = [settings, *(box.root / f"var/{name}/plumbline/file" for name in ("lib", "cache", "log"))]
    for file in kept[1:]:
        file.parent.mkdir(parents=True)
        file.touch()
    assert box.run("postrm", "remove").returncode == 0
    assert not box.opt.exists()
    assert all(file.exists() for file in kept)

    box.installed(NEW)
    assert box.current() == NEW

    for argument in ("remove", "purge"):
        assert box.run("postrm", argument).returncode == 0
    assert not any(file.parent.exists() for file in kept)
    assert not box.opt.exists()


@pytest.mark.parametrize("name", ["preinst", "postinst", "prerm", "postrm"])
def test_scripts_are_sound_posix_shell(box: Box, name: str) -> None:
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed: apt-get install shellcheck")
    box.run(name, "nothing")
    told = subprocess.run(
        [shellcheck, "-s", "sh", box.folder / name], capture_output=True, text=True, check=False
    )
    assert told.stdout == ""


def test_an_environment_in_use_that_seems_broken_stays_where_no_better_one_can_be_made(box: Box) -> None:
    box.settings()
    box.installed(NEW)
    program = box.opt / NEW / "bin/plumbline"
    program.write_text("#!/bin/sh\nexit 1\n")
    box.cue("fails", "pip")
    assert box.run("postinst", "configure", "0.1.0").returncode == 1
    assert box.current() == NEW and program.read_text() == "#!/bin/sh\nexit 1\n"
    assert [one.name for one in box.opt.iterdir() if "before" in one.name] == []
