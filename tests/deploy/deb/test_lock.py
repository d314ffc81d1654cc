"""Locks: what a package installs, by version and hash, for each Python on both architectures."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from targets import ARCHES, LOCKS, PYTHONS, Arch, Python, Target
from tools import ROOT, TOOLS_LOCK, run
from wheels import locked

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--retries=1", "--timeout=20")
needs_tomllib = pytest.mark.skipif(sys.version_info < (3, 11), reason="make lock needs Python 3.11's tomllib")


def releases(python: Python) -> dict[str, str]:
    return dict(release.split("==") for release in locked(LOCKS / f"py{python}.txt"))


def wanted() -> list[Requirement]:
    """The device's own dependencies and those of the extras that the package has."""
    text = (ROOT / "pyproject.toml").read_text()
    plain = text.split("\ndependencies = [\n")[1].split("\n]\n")[0]
    extras = re.findall(r"^(?:gateways|tensorrt) = \[(.+?)\]", text, re.MULTILINE)
    return [Requirement(found) for found in re.findall(r'"([^"]+)"', "\n".join([plain, *extras]))]


@pytest.mark.parametrize("python", PYTHONS)
def test_every_dependency_is_locked_within_its_range(python: Python) -> None:
    found = releases(python)
    asked = wanted()
    assert len(asked) > 15
    for requirement in asked:
        assert requirement.specifier.contains(found[requirement.name]), requirement


@pytest.mark.parametrize("python", PYTHONS)
def test_a_release_has_one_wheel_for_all_or_one_for_each_architecture(python: Python) -> None:
    for block in (LOCKS / f"py{python}.txt").read_text().split("\n\n")[1:]:
        files = re.findall(r"^# (\S+\.whl)$", block, re.MULTILINE)
        hashes = re.findall(r"sha256:[0-9a-f]{64}", block)
        assert len(files) == len(set(hashes)) == len(hashes), block
        if len(files) == 1:
            assert files[0].endswith("-none-any.whl")
        else:
            assert ["x86_64" in file for file in files] == [True, False], block
            assert "aarch64" in files[1]


def test_calls_of_cuda_are_those_of_jetpack_6() -> None:
    assert all(releases(python)["cuda-bindings"].startswith("12.") for python in PYTHONS)


@needs_tomllib
def test_the_wheel_for_the_newest_glibc_is_locked() -> None:
    from lock import wheel_of

    names = ("manylinux2014_x86_64.manylinux_2_17_x86_64", "manylinux_2_34_x86_64", "manylinux_2_28_x86_64")
    wheels = [{"url": f"https://x/a-1-cp39-abi3-{name}.whl", "hashes": {"sha256": name}} for name in names]
    assert wheel_of({"name": "a", "version": "1", "wheels": wheels}).sha256 == "manylinux_2_34_x86_64"
    with pytest.raises(SystemExit, match="a 1: no wheel fits"):
        wheel_of({"name": "a", "version": "1"})


@needs_tomllib
def test_architectures_that_would_get_different_releases_are_refused() -> None:
    from lock import Wheel, lock_text

    one = Wheel(name="a", version="1", file="a-1-py3-none-any.whl", sha256="0" * 64)
    two = Wheel(name="a", version="2", file="a-2-py3-none-any.whl", sha256="1" * 64)
    with pytest.raises(SystemExit, match=r"differ in \[\('a', '1'\), \('a', '2'\)\]; pin them"):
        lock_text("311", {"amd64": [one], "arm64": [two]})


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips where no registry answers."""
    folder = tmp_path_factory.mktemp("registry")
    told = subprocess.run(
        [*PIP, "download", "--no-deps", "--quiet", "--no-cache-dir", "-d", folder, "mdurl"],
        capture_output=True,
        text=True,
        check=False,
    )
    if told.returncode:
        pytest.skip(f"no registry answers: {told.stderr.splitlines()[-1]}")


@pytest.fixture(scope="module")
def seen() -> set[tuple[Python, str]]:
    """Of a Python, what the registry has as one wheel for every machine: the other needs no second look."""
    return set()


@pytest.fixture(scope="module")
def uv(registry: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The locked one, without the device's packages that lie beside it where packages are built."""
    folder = tmp_path_factory.mktemp("uv")
    run(
        *PIP, "install", "--quiet", "--no-deps", "--no-compile", "--only-binary=:all:", "--require-hashes",
        "--target", folder, "-r", TOOLS_LOCK,
    )  # fmt: skip
    return folder / "bin" / "uv"


@pytest.mark.slow
@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("python", PYTHONS)
def test_the_registry_still_has_every_locked_wheel(
    python: Python, arch: Arch, tmp_path: Path, seen: set[tuple[Python, str]]
) -> None:
    target = Target(python=python, arch=arch)
    blocks = [block for block in target.lock.read_text().split("\n\n")[1:] if (python, block) not in seen]
    lock = tmp_path / "lock.txt"
    lock.write_text("\n\n".join(blocks))
    told = subprocess.run(
        [*PIP, "install", "--dry-run", "--ignore-installed", "--quiet", "--target", tmp_path / "to",
         "--report", "-", "--no-deps", "--require-hashes", *target.pip_flags(), "-r", lock],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    items = json.loads(told.stdout)["install"]
    found = {item["download_info"]["archive_info"]["hashes"]["sha256"] for item in items}
    assert all(len(hashes & found) == 1 for hashes in locked(lock).values())
    seen |= {(python, block) for block in blocks if block.count("--hash=") == 1}


@pytest.mark.slow
@needs_tomllib
@pytest.mark.parametrize("python", PYTHONS)
def test_todays_releases_still_go_together_on_both_architectures(python: Python, uv: Path) -> None:
    """Fails when the last release with wheels for a Python leaves the ranges of pyproject.toml."""
    from lock import lock_text, resolve

    wheels = {arch: resolve(uv, Target(python=python, arch=arch)) for arch in ARCHES}
    assert lock_text(python, wheels)
