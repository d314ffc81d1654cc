"""`make lock`: the wheels of each package by version and hash, for both architectures.

uv resolves, because pip judges a requirement's conditions by its own Python and not by the target's.
Needs the registry, and Python 3.11 for tomllib.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomllib

from targets import ARCHES, GLIBC, LOCKS, MACHINES, PYTHONS, Arch, Python, Target
from tools import ROOT, TOOLS_LOCK, run, tools

EXTRAS = ("gateways", "gpio", "tensorrt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """One file of one release."""

    name: str
    version: str
    file: str
    sha256: str


def main() -> None:
    uv = tools().with_name("uv")
    # fmt: off
    run(uv, "pip", "compile", "--quiet", "--no-config", "--universal", "--generate-hashes", "--upgrade",
        "--only-binary=:all:", "--python-version=3.10", "--no-header", LOCKS / "tools.in", "-o", TOOLS_LOCK)
    # fmt: on
    for python in PYTHONS:
        wheels = {arch: resolve(uv, Target(python=python, arch=arch)) for arch in ARCHES}
        lock = LOCKS / f"py{python}.txt"
        lock.write_text(lock_text(python, wheels))
        print(f"{lock.relative_to(ROOT)}: {len(wheels['amd64'])} packages")


def resolve(uv: Path, target: Target) -> list[Wheel]:
    """The newest releases that go together, one wheel of each, by name."""
    text = run(uv, "pip", "compile", "--quiet", "--no-config", "--only-binary=:all:", "--format=pylock.toml",
               f"--python-version={target.dotted}",
               f"--python-platform={MACHINES[target.arch]}-manylinux_2_{GLIBC}",
               "-c", LOCKS / "constraints.txt", *(f"--extra={extra}" for extra in EXTRAS),
               "pyproject.toml")  # fmt: skip
    return [wheel_of(package) for package in tomllib.loads(text)["packages"]]


def wheel_of(package: dict[str, Any]) -> Wheel:
    """The wheel that pip would choose, for the newest glibc. Raises SystemExit where there is none."""
    wheels = package.get("wheels", [])
    if not wheels:
        raise SystemExit(f"{package['name']} {package['version']}: no wheel fits")
    best = max(wheels, key=lambda wheel: (newest_glibc(wheel["url"]), wheel["url"]))
    return Wheel(
        name=package["name"],
        version=package["version"],
        file=best["url"].rsplit("/", 1)[-1],
        sha256=best["hashes"]["sha256"],
    )


def newest_glibc(file: str) -> int:
    """The newest 2.x that a wheel's name asks for; 17 for manylinux2014, 0 where it asks for none."""
    asked = [int(minor) for minor in re.findall(r"manylinux_2_(\d+)_", file)]
    return max([*asked, 17 if "manylinux2014" in file else 0])


def lock_text(python: Python, wheels: dict[Arch, list[Wheel]]) -> str:
    """One lock for both architectures. Raises SystemExit where they would get different releases."""
    releases = {arch: {(wheel.name, wheel.version) for wheel in found} for arch, found in wheels.items()}
    differing = sorted(releases["amd64"] ^ releases["arm64"])
    if differing:
        raise SystemExit(f"py{python}: the architectures differ in {differing}; pin them in constraints.txt")
    lines = [
        f"# Python {python[0]}.{python[1:]}, x86-64 and arm64, glibc 2.{GLIBC} and newer; made by make lock."
    ]
    by_name = [{wheel.name: wheel for wheel in wheels[arch]} for arch in ARCHES]
    for name in sorted(by_name[0]):
        files = {wheels_of[name].file: wheels_of[name].sha256 for wheels_of in by_name}
        lines += ["", *(f"# {file}" for file in files), f"{name}=={by_name[0][name].version} \\"]
        lines += [" \\\n".join(f"    --hash=sha256:{sha256}" for sha256 in files.values())]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
