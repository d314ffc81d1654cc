"""deploy/install.sh: from a fresh machine to a running service, whatever is missing, failing or cut."""

from __future__ import annotations

import hashlib
import os
import pty
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from agent.settings import settings
from tests.deploy.machine import FLAGS, HERE, SCRIPT, Machine, mode

CLEAR = (*FLAGS, "--broker", "mqtt.example.com", "--yes")
OTHER = {"amd64": "arm64"}.get(HERE, "amd64")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """A certificate as a plant's CA would give it."""
    file = tmp_path / "plant-ca.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=plant -keyout"
    subprocess.run(
        ["openssl", *words.split(), tmp_path / "ca.key", "-out", file], check=True, capture_output=True
    )
    return file


def test_shellcheck_has_nothing_to_say() -> None:
    program = Path(sys.executable).with_name("shellcheck")  # of the extra dev, so that all see the same one
    assert subprocess.run([program, SCRIPT], capture_output=True, text=True, check=False).stdout == ""


def test_a_fresh_machine_becomes_a_running_service(machine: Machine) -> None:
    machine.say("how", "--files")
    done = machine.install(*CLEAR)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "good" in done.stderr, "the settings, and the files that they name, passed `plumbline validate`"
    wanted = settings.load(machine.settings, {})
    assert wanted.identity == settings.Identity(site="plant1", area="press", line="l2", station="cell3-cam1")
    assert (wanted.mqtt.host, wanted.mqtt.port, wanted.mqtt.tls) == ("mqtt.example.com", 1883, False)
    assert mode(machine.settings) == 0o640
    calls = machine.calls()
    assert f"chown root:plumbline {machine.settings}.new" in calls
    assert calls[-1] == f"plumbline doctor -c {machine.settings}"
    assert "systemctl enable plumbline.service" in calls
    assert "http://127.0.0.1:8080/" in done.stdout
    assert "IN CLEAR" in done.stdout
    assert f"{machine.secrets}/mqtt.csr" in done.stdout


def test_key_and_request_are_the_stations_and_the_roots(machine: Machine) -> None:
    machine.say("quick", "yes")
    machine.install(*CLEAR)
    key = load_pem_private_key((machine.secrets / "mqtt-key.pem").read_bytes(), None)
    request = x509.load_pem_x509_csr((machine.secrets / "mqtt.csr").read_bytes())
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(key.curve, ec.SECP256R1)
    assert request.public_key() == key.public_key()
    assert request.is_signature_valid
    assert request.subject.rfc4514_string() == "CN=cell3-cam1"
    assert mode(machine.secrets) == 0o700
    assert mode(machine.secrets / "mqtt-key.pem") == 0o600
    assert f"chown root:root {machine.secrets}" in machine.calls()


def test_with_a_ca_the_link_is_encrypted_and_the_certificate_is_taken_when_it_comes(
    machine: Machine, authority: Path
) -> None:
    flags = (*FLAGS, "--broker", "mqtt.example.com", "--ca", str(authority), "--yes")
    first = machine.install(*flags)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "IN CLEAR" not in first.stdout
    mqtt = settings.load(machine.settings, {}).mqtt
    assert (mqtt.port, mqtt.tls, str(mqtt.key_file)) == (8883, True, "%d/mqtt-key.pem")
    drop_in = machine.root / "etc/systemd/system/plumbline.service.d/credentials.conf"
    assert handed_over(drop_in) == ["mqtt-ca.pem", "mqtt-key.pem"]

    machine.calls()
    (machine.secrets / "mqtt-cert.pem").write_bytes(authority.read_bytes())
    second = machine.install("--yes")
    assert second.returncode == 0, second.stdout + second.stderr
    assert handed_over(drop_in) == ["mqtt-ca.pem", "mqtt-cert.pem", "mqtt-key.pem"]
    assert "systemctl restart plumbline.service" in machine.calls()
    assert mode(machine.secrets / "mqtt-cert.pem") == 0o600
    assert "mqtt.csr signed" not in second.stdout


def handed_over(drop_in: Path) -> list[str]:
    return re.findall(r"^LoadCredential=(.*):/etc/plumbline/secrets/\1$", drop_in.read_text(), re.MULTILINE)


def test_the_same_command_again_changes_nothing(machine: Machine, authority: Path) -> None:
    flags = (*CLEAR, "--ca", str(authority))
    machine.install(*flags)
    before = machine.tree()
    machine.calls()
    again = machine.install(*flags)
    assert again.returncode == 0, again.stdout + again.stderr
    assert machine.tree() == before
    told = " ".join(machine.calls())
    assert not re.search("systemctl (re)?start|dpkg -i|apt-get|systemctl enable|validate|genpkey", told)
    assert "not what these flags" not in again.stdout


def test_settings_changed_by_hand_are_in_force_when_it_was_run_again(machine: Machine) -> None:
    machine.say("quick", "yes")
    machine.install(*CLEAR)
    machine.calls()
    assert machine.install("--yes").returncode == 0
    assert "systemctl reload plumbline.service" in " ".join(machine.calls())


def test_a_renewed_certificate_is_handed_over(machine: Machine, authority: Path) -> None:
    machine.install(*CLEAR, "--ca", str(authority))
    handed = machine.root / "run/credentials/plumbline.service"
    handed.mkdir(parents=True)
    for name, text in (("mqtt-ca.pem", authority.read_text()), ("mqtt-cert.pem", "the old one")):
        (handed / name).write_text(text)
    (machine.secrets / "mqtt-cert.pem").write_text("the new one")
    machine.install("--yes")
    (handed / "mqtt-cert.pem").write_text("the old one")
    machine.calls()
    assert machine.install("--yes").returncode == 0
    assert "systemctl restart plumbline.service" in " ".join(machine.calls())


def test_settings_that_are_there_stay_and_answer_for_the_station(machine: Machine) -> None:
    machine.say("quick", "yes")
    machine.install(*CLEAR)
    machine.forget("quick")
    machine.settings.write_text(machine.settings.read_text() + "revision: 7\n")
    before = machine.settings.read_bytes()
    done = machine.install(*FLAGS, "--broker", "elsewhere.example.com", "--yes")
    assert done.returncode == 0
    assert "change it by hand" in done.stdout
    assert machine.settings.read_bytes() == before
    other = machine.install("--station", "other", "--yes")
    assert other.returncode == 1
    assert "is for the station cell3-cam1, not other" in other.stderr


def test_a_key_and_a_request_that_are_there_are_never_made_anew(machine: Machine) -> None:
    machine.say("quick", "yes")
    machine.install(*CLEAR)
    key, csr = machine.secrets / "mqtt-key.pem", machine.secrets / "mqtt.csr"
    before = key.read_bytes(), csr.read_bytes()
    csr.unlink()
    machine.settings.unlink()
    assert machine.install(*CLEAR).returncode == 0
    assert key.read_bytes() == before[0]
    csr.write_bytes(before[1])
    machine.settings.unlink()
    other = machine.install(*[word.replace("cell3-cam1", "other") for word in CLEAR])
    assert other.returncode == 1
    assert "is for the station cell3-cam1, not other" in other.stderr
    assert csr.read_bytes() == before[1]
    key.write_text("torn")
    broken = machine.install(*CLEAR)
    assert broken.returncode == 1
    assert "no private key: move it away" in broken.stderr
    assert key.read_text() == "torn"


HOSTILE = ["two words", "../up", "a/b", "Ä", "it's", 'a"b', "a\nb", "$(id)", "`id`", "a;b", "x" * 65, "UPPER"]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_name_that_is_none_is_refused_before_anything_is_written(machine: Machine, value: str) -> None:
    before = machine.tree()
    done = machine.install(*CLEAR, "--station", value)
    assert done.returncode == 2
    assert "is no name" in done.stderr
    assert "\n" not in done.stderr.strip()
    assert machine.tree() == before


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--broker", "mqtt://host"], "is no broker"),
        (["--broker", "host:70000"], "is no port"),
        (["--broker", "host:0"], "is no port"),
        (["--broker", "me:secret@host"], "is no broker"),
        (["--broker", "::1"], "is no broker"),
        (["--broker", 'h"\n  tls: true'], "is no broker"),
        (["--camera", 'rtsp://a", x: "'], "write it plainly"),
        (["--camera", "/srv/../root"], "write it plainly"),
        (["--camera", "/root/pictures"], "hidden from the service"),
        (["--camera", "/srv/nothing"], "make it first"),
        (["--camera", "nothing"], "is no camera"),
        (["--ca", "/etc/hostname"], "no certificate in PEM"),
        (["--ca", "/nowhere"], "no certificate in PEM"),
        (["--site"], "needs a value"),
        (["--site", ""], "needs a value"),
        (["--station=x"], "is no option"),
        (["--from", "http://example.com/p"], "come by https:// or from a folder"),
        (["--from", "/nowhere"], "no such folder"),
    ],
)
def test_an_argument_that_is_wrong_is_refused_before_anything_is_written(
    machine: Machine, flags: list[str], words: str
) -> None:
    before = machine.tree()
    done = machine.install(*CLEAR, *flags)
    assert done.returncode == 2
    assert words in done.stderr
    assert machine.tree() == before


def test_a_password_in_a_cameras_address_is_never_shown(machine: Machine) -> None:
    for camera in ("rtsp://me:hush@cam/1", "rtsp://me:hush@cam/ 1"):
        done = machine.install(*CLEAR, "--camera", camera, "--dry-run")
        assert "hush" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("camera", "source"),
    [
        ("rtsp://me:hush@cam.example.com/1", {"kind": "video", "url": "rtsp://me:hush@cam.example.com/1"}),
        ("/dev/video0", {"kind": "video", "url": "/dev/video0"}),
        ("192.0.2.20", {"kind": "genicam", "address": "192.0.2.20"}),
        ("Maker Inc.-Model 5-0815", {"kind": "genicam", "address": "Maker Inc.-Model 5-0815"}),
    ],
)
def test_each_kind_of_camera_becomes_its_source(
    machine: Machine, camera: str, source: dict[str, str]
) -> None:
    machine.say("quick", "yes")
    done = machine.install(*CLEAR, "--camera", camera)
    assert done.returncode == 0, done.stdout + done.stderr
    found = settings.load(machine.settings, {}).cameras[0].source.model_dump(mode="json")
    assert found | source == found
    assert ("libaravis-0.8-0 is missing" in done.stdout) == (source["kind"] == "genicam")


@pytest.mark.parametrize(
    ("broker", "place"),
    [("10.0.0.5", ("10.0.0.5", 1883)), ("b:08884", ("b", 8884)), ("[fe80::1]", ("fe80::1", 1883)),
     ("[::1]:1884", ("::1", 1884))],
)  # fmt: skip
def test_a_broker_is_a_host_with_or_without_a_port(
    machine: Machine, broker: str, place: tuple[str, int]
) -> None:
    machine.say("quick", "yes")
    assert machine.install(*CLEAR, "--broker", broker).returncode == 0
    mqtt = settings.load(machine.settings, {}).mqtt
    assert (mqtt.host, mqtt.port) == place


@pytest.mark.parametrize(("broker", "is_warned"), [("localhost", False), ("[::1]:1884", False), ("b", True)])
def test_a_link_in_clear_is_told_as_loudly_as_it_reaches(
    machine: Machine, broker: str, is_warned: bool
) -> None:
    told = machine.install(*CLEAR, "--broker", broker).stdout
    assert ("IN CLEAR" in told) == is_warned
    assert "in clear" in told.lower()


def test_what_is_not_given_is_asked_for_until_the_answer_is_right(machine: Machine) -> None:
    machine.say("quick", "yes")
    told, code = at_terminal(
        machine,
        ["--line", "l2"],
        ["plant1", "Press Shop", "press", "cell3-cam1", "", "", "y"],
    )
    assert code == 0, told
    assert "'Press Shop' is no name" in told
    wanted = settings.load(machine.settings, {})
    assert wanted.identity.area == "press"
    assert wanted.identity.line == "l2"
    assert wanted.mqtt.host == "127.0.0.1"


def test_a_no_at_the_end_of_the_questions_changes_nothing(machine: Machine) -> None:
    before = machine.tree()
    told, code = at_terminal(machine, ["--broker", "b"], ["s", "a", "l", "st", "", "n"])
    assert code == 2, told
    assert "nothing was done" in told
    assert machine.tree() == before


def at_terminal(machine: Machine, flags: list[str], answers: list[str]) -> tuple[str, int]:
    """Everything that the terminal showed while a person gave these answers, and the exit code."""
    child, terminal = pty.fork()
    if child == 0:
        os.execve("/bin/bash", machine.command(*flags), machine.environment())
    told = ""
    asked = 0
    while True:
        try:
            told += os.read(terminal, 4096).decode()
        except OSError:
            break
        if len(re.findall(r": $", told.replace("\r", ""))) and asked < len(answers):
            os.write(terminal, answers[asked].encode() + b"\n")
            asked += 1
            time.sleep(0.05)
    os.close(terminal)
    return told, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_without_a_terminal_it_says_which_flags_are_missing(machine: Machine) -> None:
    before = machine.tree()
    for flags in (["--yes"], []):
        done = machine.install("--site", "plant1", *flags)
        assert done.returncode == 2
        assert "--area --line --station --broker" in done.stderr
    assert machine.tree() == before


def test_a_dry_run_says_what_would_be_done_and_does_nothing(machine: Machine) -> None:
    before = machine.tree()
    done = machine.install(*CLEAR, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert machine.tree() == before
    assert not (machine.root / "run/plumbline-install").exists()
    assert 'station: "cell3-cam1"' in done.stdout
    assert "would run: 'systemctl' 'restart' 'plumbline.service'" in done.stdout
    assert done.stdout.endswith("nothing was changed\n")


def test_the_newest_package_for_this_machine_is_taken(machine: Machine) -> None:
    machine.say("quick", "yes")
    for version, python, architecture in (
        ("0.9.0", "py311", HERE), ("0.10.0", "py311", HERE), ("0.10.0~rc1", "py311", HERE),
        ("0.11.0", "py312", HERE), ("0.11.0", "py311", OTHER),
    ):  # fmt: skip
        machine.package(version, python, architecture)
    done = machine.install(*CLEAR)
    assert "package: installing 0.10.0+py311" in done.stdout, done.stderr
    (machine.stick / f"plumbline_0.10.0+py311_{HERE}.deb").unlink()
    older = machine.install(*CLEAR)
    assert older.returncode == 0
    assert "package: 0.10.0+py311 is installed" in older.stdout
    machine.package("0.12.0")
    newer = machine.install(*CLEAR)
    assert "package: installing 0.12.0+py311" in newer.stdout


def test_a_machine_without_python_gets_the_package_of_its_distribution(machine: Machine) -> None:
    (machine.root / "etc/os-release").write_text('ID=ubuntu\nVERSION_ID="24.04"\n')
    machine.packages("openssl")
    wanted = machine.package(python="py312")
    done = machine.install(*CLEAR, "--dry-run")
    assert "it needs python3 python3-venv" in done.stdout, done.stderr
    assert wanted.name in done.stdout


def test_it_says_what_the_machine_is_where_no_package_fits(machine: Machine) -> None:
    machine.say("architecture", "riscv64")
    before = machine.tree()
    done = machine.install(*CLEAR)
    assert done.returncode == 1
    assert "plumbline_VERSION+py311_riscv64.deb" in done.stderr
    assert f"has plumbline_0.1.0+py311_{HERE}.deb" in done.stderr
    assert machine.tree() == before


def test_a_package_that_was_damaged_on_its_way_is_not_installed(machine: Machine) -> None:
    before = machine.tree()
    deb = next(machine.stick.glob("*.deb"))
    whole = deb.read_bytes()
    (machine.stick / "SHA256SUMS").write_text(f"{hashlib.sha256(whole).hexdigest()}  {deb.name}\n")
    deb.write_bytes(whole[:-100] + b"x" * 100)
    changed = machine.install(*CLEAR)
    assert changed.returncode == 1
    assert "copy it anew" in changed.stderr
    (machine.stick / "SHA256SUMS").unlink()
    deb.write_bytes(whole[:-3000])
    torn = machine.install(*CLEAR)
    assert torn.returncode == 1
    assert "is damaged" in torn.stderr
    assert machine.tree() == before


def test_packages_come_from_a_web_folder_with_their_digests(machine: Machine) -> None:
    machine.say("quick", "yes")
    deb = next(machine.stick.glob("*.deb"))
    digest = hashlib.sha256(deb.read_bytes()).hexdigest()
    (machine.stick / "SHA256SUMS").write_text(f"{digest}  {deb.name}\n")
    done = machine.install(*CLEAR, "--from", "https://packages.example.com/plumbline/")
    assert done.returncode == 0, done.stderr
    assert f"fetching {deb.name}" in done.stdout
    assert not list((machine.root / "var/tmp").iterdir())


def test_offline_it_goes_on_with_what_the_machine_has(machine: Machine) -> None:
    machine.say("quick", "yes")
    machine.say("cues", "apt-get")
    done = machine.install(*CLEAR)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "trying dpkg" in done.stdout


def test_offline_it_names_what_the_machine_lacks_and_leaves_nothing_half_done(machine: Machine) -> None:
    machine.packages("python3", "openssl")
    before = machine.tree()
    done = machine.install(*CLEAR)
    assert done.returncode == 1
    assert "python3-venv missing, and no repository answers" in done.stderr
    assert machine.tree() == before


def test_online_it_fetches_what_the_machine_lacks(machine: Machine) -> None:
    machine.say("quick", "yes")
    machine.say("online", "yes")
    machine.packages("python3")
    done = machine.install(*CLEAR)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("cues", "words"),
    [
        ("install --no\ndpkg -i", "could not be installed"),
        ("openssl genpkey", ""),
        ("openssl req -new", ""),
        ("systemctl restart", "the service did not start"),
        ("systemctl enable", ""),
        ("mv -f", ""),
    ],
)
def test_after_a_step_that_failed_the_same_command_ends_right(
    machine: Machine, cues: str, words: str
) -> None:
    machine.say("quick", "yes")
    machine.say("cues", cues)
    failed = machine.install(*CLEAR)
    assert failed.returncode == 1
    assert words in failed.stderr
    machine.say("cues", "")
    assert_ends_right(machine)


def test_settings_that_validate_refuses_are_not_put_in_place(machine: Machine) -> None:
    machine.say("how", "--files")
    bundle = machine.root / "usr/share/plumbline/bundles/elpv"
    bundle.unlink()
    done = machine.install(*CLEAR)
    assert done.returncode == 1
    assert "bundle" in done.stderr
    assert "rename it to agent.yaml" in done.stderr
    assert not machine.settings.exists()
    assert "systemctl restart plumbline.service" not in machine.calls()


def test_what_doctor_finds_is_told_by_the_exit_code(machine: Machine) -> None:
    machine.say("quick", "yes")
    machine.say("doctor_finds", "yes")
    done = machine.install(*CLEAR)
    assert done.returncode == 1
    assert "doctor has found something" in done.stderr
    assert "http://127.0.0.1:8080/" in done.stdout


def test_without_a_running_systemd_all_is_laid_out_and_said(machine: Machine) -> None:
    machine.say("quick", "yes")
    (machine.root / "run/systemd/system").rmdir()
    done = machine.install(*CLEAR)
    assert done.returncode == 1
    assert "no systemd runs here" in done.stderr
    assert machine.settings.exists()
    assert "systemctl enable plumbline.service" in machine.calls()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_wherever_it_is_cut_the_same_command_ends_right(tmp_path: Path) -> None:
    whole = Machine(tmp_path / "whole")
    whole.say("quick", "yes")
    assert whole.install(*CLEAR).returncode == 0
    steps = len(whole.calls())
    assert steps > 30
    for step in range(1, steps + 1):
        machine = Machine(tmp_path / str(step))
        machine.say("quick", "yes")
        machine.say("cut_at", str(step))
        assert machine.install(*CLEAR).returncode < 0, f"it was to be cut at step {step}"
        key = machine.secrets / "mqtt-key.pem"
        before = key.read_bytes() if key.exists() else None
        machine.forget("cut_at")
        assert_ends_right(machine)
        assert before in (None, key.read_bytes())
        shutil.rmtree(machine.folder)


def assert_ends_right(machine: Machine) -> None:
    """The same command does the rest, and a third time nothing."""
    done = machine.install(*CLEAR)
    assert done.returncode == 0, done.stdout + done.stderr
    assert settings.load(machine.settings, {}).identity.station == "cell3-cam1"
    request = x509.load_pem_x509_csr((machine.secrets / "mqtt.csr").read_bytes())
    key = load_pem_private_key((machine.secrets / "mqtt-key.pem").read_bytes(), None)
    assert request.public_key() == key.public_key()
    assert (machine.folder / "active").exists()
    assert (machine.folder / "enabled").exists()
    assert not (machine.root / "run/plumbline-restart").exists()
    assert not list((machine.root / "etc").rglob("*.new*"))
    status = (machine.root / "var/lib/dpkg/status").read_text()
    assert "Package: plumbline\nStatus: install ok installed" in status
