"""The real package, with the wheels that make deb keeps in build/wheels."""

from __future__ import annotations

from pathlib import Path

import pytest

from build import package
from targets import Target
from tests.deploy.deb.tiny import EPOCH_S, HERE
from wheels import WHEELS, fetched, glibc, own, requirements

LIMIT_MB = 250


@pytest.fixture(scope="module")
def wheels() -> list[Path]:
    if not (WHEELS / f"py{HERE.python}-{HERE.arch}").exists():
        pytest.skip("no wheels in build/wheels: make deb downloads 160 MB of them")
    return [own(EPOCH_S), *fetched(HERE)]


@pytest.mark.slow
def test_two_builds_of_everything_give_equal_bytes_and_stay_below_250_mb(
    wheels: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = []
    for name in ("one", "two"):
        (tmp_path / name / "manual").mkdir(parents=True)
        ours = [own(EPOCH_S), *wheels[1:]]
        made.append(
            package(
                HERE, ours, manual=tmp_path / name / "manual", epoch_s=EPOCH_S, dist=tmp_path / name / "dist"
            )
        )
    size_mb = made[0].stat().st_size / 1e6
    with capsys.disabled():
        print(f"\n{made[0].name}: {size_mb:.1f} MB")
    assert made[0].read_bytes() == made[1].read_bytes()
    assert size_mb < LIMIT_MB


@pytest.mark.slow
def test_wheels_are_the_locked_ones_and_our_own(wheels: list[Path]) -> None:
    assert sum(wheel.name.startswith("plumbline-") for wheel in wheels) == 1
    assert len(requirements(wheels).splitlines()) == len(wheels)
    assert float(glibc(wheels)) <= 2.35


def test_a_wheelhouse_that_is_not_what_the_lock_says_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wheels

    (tmp_path / "py310-arm64").mkdir()
    (tmp_path / "py310-arm64" / "numpy-1.0-py3-none-any.whl").touch()
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(wheels, "WHEELS", tmp_path)
    monkeypatch.setattr(wheels, "tools", lambda: "python")
    monkeypatch.setattr(wheels, "run", lambda *command: asked.append(command))
    assert fetched(Target(python="310", arch="arm64")) == []
    (command,) = asked
    assert {"--require-hashes", "--python-version=3.10", "--platform=manylinux_2_35_aarch64"} <= set(command)
