"""The units as systemd itself judges them: sound, closed, and with a reason for what cannot be closed."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[2] / "deploy" / "systemd"
UNITS = ("plumbline.service", "plumbline@.service")
DROP_INS = sorted(path.name for path in (SYSTEMD / "drop-ins").glob("*.conf"))
HIGHEST_EXPOSURE = 2.0
LATER = {"notify-reload.conf": 253}  # systemd's version that knows it

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")


def installed(folder: Path, unit: str, *drop_ins: str) -> Path:
    """The unit as it would lie on a machine, with a program that is there."""
    text = (SYSTEMD / unit).read_text().replace("/usr/bin/plumbline", "/bin/true")
    file = folder / unit.replace("@.", "@press.")
    file.write_text(re.sub("^Documentation=.*\n", "", text, flags=re.MULTILINE))
    folder_of_drop_ins = folder / f"{file.name}.d"
    for name in drop_ins:
        folder_of_drop_ins.mkdir(exist_ok=True)
        shutil.copy(SYSTEMD / "drop-ins" / name, folder_of_drop_ins)
    return file


def analyze(*words: str | Path) -> str:
    done = subprocess.run(
        ["systemd-analyze", *map(str, words)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr + done.stdout


def systemd_version() -> int:
    return int(analyze("--version").split()[1])


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_finds_nothing_to_complain_of(unit: str, tmp_path: Path) -> None:
    assert analyze("verify", "--man=no", installed(tmp_path, unit)) == ""


@pytest.mark.parametrize("drop_in", DROP_INS)
def test_nor_in_the_drop_ins(drop_in: str, tmp_path: Path) -> None:
    if systemd_version() < LATER.get(drop_in, 0):
        pytest.skip(f"needs systemd {LATER[drop_in]}")
    assert analyze("verify", "--man=no", installed(tmp_path, "plumbline.service", drop_in)) == ""


def exposure(unit: Path) -> float:
    found = re.search(r"exposure level for .*: ([0-9.]+)", analyze("security", "--offline=true", unit))
    assert found is not None
    return float(found[1])


@pytest.mark.parametrize("unit", UNITS)
def test_it_is_as_closed_as_was_promised(unit: str, tmp_path: Path) -> None:
    assert exposure(installed(tmp_path, unit)) <= HIGHEST_EXPOSURE


def settings_of(unit: str) -> list[tuple[str, str]]:
    lines = (SYSTEMD / unit).read_text().splitlines()
    pairs = [line.partition("=") for line in lines if "=" in line and not line.startswith(("#", "["))]
    return [(key, value) for key, _, value in pairs]


def test_both_units_differ_in_nothing_but_the_station() -> None:
    one, many = (settings_of(unit) for unit in UNITS)
    differing = {key for key, value in set(one) ^ set(many)}
    assert differing == {
        *("Description", "RequiresMountsFor", "ExecStart"),
        *("StateDirectory", "CacheDirectory", "LogsDirectory"),
    }


def test_what_cannot_be_closed_has_its_reason_beside_it() -> None:
    """Every protection of systemd's that this unit leaves open stands in a comment."""
    text = (SYSTEMD / "plumbline.service").read_text()
    for name in (
        *("MemoryDenyWriteExecute", "PrivateDevices", "PrivateNetwork", "PrivateUsers", "ProcSubset"),
        "@resources",
    ):
        assert re.search(rf"^# ~?{name}(=\w+)? cannot be", text, flags=re.MULTILINE), name


def test_wrong_settings_are_not_tried_again_and_again() -> None:
    unit = dict(settings_of("plumbline.service"))
    assert unit["Restart"] == "on-failure"
    assert unit["RestartPreventExitStatus"] == "2"  # ExitCode.WRONG
    assert unit["StartLimitIntervalSec"] == "0"


def test_a_process_of_ours_that_runs_out_of_memory_does_not_take_the_line_with_it() -> None:
    """systemd's default ends the whole service; a proof is the first that the kernel ends."""
    assert dict(settings_of("plumbline.service"))["OOMPolicy"] == "continue"


@pytest.mark.parametrize("drop_in", DROP_INS)
def test_a_drop_in_says_why_and_how(drop_in: str) -> None:
    text = (SYSTEMD / "drop-ins" / drop_in).read_text()
    assert text.startswith("# ")
    assert "systemctl daemon-reload" in text
    parsed = configparser.ConfigParser(strict=False, interpolation=None)
    parsed.read_string(text)
    assert parsed.sections() == ["Service"]
