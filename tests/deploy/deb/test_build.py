"""The package: the same bytes from the same tree, and what lies where, whose, and how open."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from build import commit_time_s
from control import md5sums, version
from targets import ARCHES, PYTHONS, Arch, Python, Target
from tests.deploy.deb.tiny import EPOCH_S, HERE, tiny_package
from tree import UNITS
from wheels import glibc, requirements, room_bytes

pytestmark = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not here")


@pytest.fixture(scope="module")
def deb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_package(tmp_path_factory.mktemp("deb"))


def field(deb: Path, name: str) -> str:
    return told("--field", deb, name).strip()


def told(*arguments: str | Path) -> str:
    return subprocess.run(["dpkg-deb", *arguments], capture_output=True, text=True, check=True).stdout


def unpacked(deb: Path, folder: Path) -> Path:
    subprocess.run(["dpkg-deb", "--raw-extract", deb, folder], check=True)
    return folder


def test_two_builds_give_equal_bytes_whoever_makes_them_and_when(deb: Path, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        again = tiny_package(tmp_path)
    finally:
        os.umask(before)
    assert again.read_bytes() == deb.read_bytes()


def test_everything_belongs_to_root_and_is_open_to_read_and_nothing_else(deb: Path) -> None:
    for line in told("--contents", deb).splitlines():
        mode, owner, _, date, clock, _name = line.split(maxsplit=5)
        assert owner == "root/root", line
        assert mode in ("drwxr-xr-x", "-rw-r--r--", "lrwxrwxrwx"), line
        assert f"{date} {clock}" in ("2023-11-14 22:13",) or mode[0] == "l", line


def test_what_lies_where(deb: Path, tmp_path: Path) -> None:
    tree = unpacked(deb, tmp_path / "tree")
    for file in (
        "usr/lib/sysusers.d/plumbline.conf",
        "usr/lib/tmpfiles.d/plumbline.conf",
        "usr/lib/udev/rules.d/60-plumbline.rules",
        "usr/share/doc/plumbline/agent.yaml",
        "usr/share/doc/plumbline/copyright",
        "usr/share/man/man1/plumbline.1.gz",
        "usr/share/plumbline/requirements.txt",
        f"usr/share/plumbline/wheels/plumbline-{version()}-py3-none-any.whl",
        *(f"usr/lib/systemd/system/{unit.name}" for unit in UNITS.glob("*.service")),
        *(f"usr/share/doc/plumbline/drop-ins/{file.name}" for file in (UNITS / "drop-ins").iterdir()),
    ):
        assert (tree / file).is_file(), file
    assert (tree / "usr/bin/plumbline").readlink() == Path("/opt/plumbline/current/bin/plumbline")
    assert (tree / "usr/share/plumbline/bundles").readlink() == Path("/opt/plumbline/current/bundles")
    assert not (tree / "etc").exists()  # no file there is the package's: an upgrade asks nothing
    assert b"plumbline (" in gzip.decompress(
        (tree / "usr/share/doc/plumbline/changelog.Debian.gz").read_bytes()
    )


def test_checksums_cover_every_file_and_scripts_have_nothing_left_to_fill_in(
    deb: Path, tmp_path: Path
) -> None:
    tree = unpacked(deb, tmp_path / "tree")
    control = tree / "DEBIAN"
    sums = (control / "md5sums").read_text()
    scripts = [(control / name).read_text() for name in ("preinst", "postinst", "prerm", "postrm")]
    shutil.rmtree(control)
    assert sums == md5sums(tree)
    assert not any(
        "@" + mark in text for text in scripts for mark in ("PYTHON", "ARCH", "ENV", "ROOM", "RES", "UNP")
    )


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("arch", ARCHES)
def test_a_package_is_made_for_every_python_and_architecture(
    python: Python, arch: Arch, tmp_path: Path
) -> None:
    deb = tiny_package(tmp_path, target=Target(python=python, arch=arch))
    assert deb.name == f"plumbline_{version()}+py{python}_{arch}.deb"
    assert field(deb, "Architecture") == arch
    minor = int(python[1:])
    assert field(deb, "Pre-Depends") == f"python3 (>= 3.{minor}), python3 (<< 3.{minor + 1})"


def test_another_wheel_of_the_same_version_has_an_environment_of_its_own(deb: Path, tmp_path: Path) -> None:
    other = tiny_package(tmp_path, word="second")
    names = [
        next(line for line in told("--info", package, "postinst").splitlines() if line.startswith("name="))
        for package in (deb, other)
    ]
    assert names[0].startswith(f"name={version()}-")
    assert names[0] != names[1]


def test_requirements_allow_one_file_of_each_release(tmp_path: Path) -> None:
    wheel = tmp_path / "two_words-1.5-py3-none-any.whl"
    wheel.write_bytes(b"a")
    digest = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    assert requirements([wheel]) == f"two-words==1.5 --hash=sha256:{digest}\n"


def test_the_oldest_glibc_that_every_wheel_runs_on_is_asked_for() -> None:
    names = (
        "a-1-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.manylinux_2_28_x86_64",
        "b-1-py3-none-any",
    )
    assert glibc([Path(f"{name}.whl") for name in names]) == "2.17"
    assert glibc([Path(f"{name}.whl") for name in (*names, "c-1-cp311-abi3-manylinux_2_34_x86_64")]) == "2.34"


def test_room_counts_compiled_modules(tmp_path: Path) -> None:
    deb = tiny_package(tmp_path)
    wheel = next((deb.parents[1] / "wheel").iterdir())
    assert room_bytes([wheel]) - room_bytes([]) > 6 * 4096


def test_the_time_is_the_last_commits_unless_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(EPOCH_S))
    assert commit_time_s() == EPOCH_S


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: users and owners are made")
def test_user_and_folders_come_out_as_the_unit_wants_them(deb: Path, tmp_path: Path) -> None:
    tree = unpacked(deb, tmp_path / "tree")
    for program in ("systemd-sysusers", "systemd-tmpfiles"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not here")
    (tree / "etc").mkdir()
    subprocess.run(["systemd-sysusers", f"--root={tree}", "plumbline.conf"], check=True, capture_output=True)
    subprocess.run(["systemd-tmpfiles", f"--root={tree}", "--create", "plumbline.conf"], check=True)
    user = next(
        line for line in (tree / "etc/passwd").read_text().splitlines() if line.startswith("plumbline:")
    )
    _, _, uid, _gid, _, home, shell = user.split(":")
    assert (home, Path(shell).name) == ("/var/lib/plumbline", "nologin")
    groups = (tree / "etc/group").read_text().splitlines()
    assert {line.split(":")[0] for line in groups if line.endswith(":plumbline")} == {"video", "dialout"}
    for folder, mode, owner in (
        ("etc/plumbline", 0o755, 0),
        ("etc/plumbline/secrets", 0o700, 0),
        ("var/lib/plumbline", 0o750, int(uid)),
        ("var/cache/plumbline", 0o750, int(uid)),
        ("var/log/plumbline", 0o750, int(uid)),
    ):
        status = (tree / folder).stat()
        assert (status.st_mode & 0o777, status.st_uid) == (mode, owner), folder


def test_this_machine_has_a_target() -> None:
    assert HERE.lock.exists()
