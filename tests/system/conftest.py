"""Boxes to test on; every test is left out, with the reason, where this machine cannot run one."""

from __future__ import annotations

import shutil
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.system.box import Box, copy_root, why_not
from tests.system.figures import Figures
from tests.system.packages import HERE, next_tree, package_of
from tests.system.root import root_path
from tests.system.station import UNIT, Station, make_station

JOURNAL_LINES = 60
FIGURES = pytest.StashKey[Figures]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = Figures()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash[FIGURES].table():
        terminalreporter.write_line(line)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure comes with the end of the journal of its box."""
    report = yield
    boxes = [one for one in item.funcargs.values() if isinstance(one, Box)]
    boxes += [one.box for one in item.funcargs.values() if isinstance(one, Station)]
    if report.failed and boxes:
        with suppress(AssertionError):  # it does not run
            journal = boxes[-1].run("journalctl", f"--lines={JOURNAL_LINES}", "--no-pager")
            report.sections.append(("journal of the box", journal.stdout))
    return report


@pytest.fixture(scope="session")
def figures(request: pytest.FixtureRequest) -> Figures:
    return request.config.stash[FIGURES]


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The disk of a fresh Debian that was seen to boot."""
    reason = why_not() or ("" if root_path().exists() else "no root: make test-system makes it")
    if reason:
        pytest.skip(reason)
    trial = Box(copy_root(root_path(), tmp_path_factory.mktemp("trial") / "root"))
    try:
        trial.boot()
        trial.poweroff()
    except AssertionError as error:
        pytest.skip(f"systemd-nspawn does not boot here: {error}")
    finally:
        trial.cut_power()
        shutil.rmtree(trial.root)
    return root_path()


@pytest.fixture
def box(root: Path, tmp_path: Path) -> Iterator[Box]:
    """A fresh machine, booted."""
    with booted(root, tmp_path) as one:
        yield one


@pytest.fixture(scope="session")
def package(root: Path, figures: Figures) -> Path:
    """Of this tree."""
    made = package_of(HERE)
    figures.note("size of the package", made.stat().st_size / 1e6, "MB")
    return made


@pytest.fixture(scope="session")
def next_package(package: Path) -> Path:
    """Of this tree, called the next version."""
    return package_of(next_tree())


@pytest.fixture(scope="session")
def installed_root(
    root: Path, package: Path, figures: Figures, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The disk of a machine on which the package was installed, as somebody would."""
    folder = tmp_path_factory.mktemp("installed")
    with booted(root, folder) as one:
        started = time.monotonic()
        one.install(package)
        figures.note("installation", time.monotonic() - started)
        one.poweroff()
        yield one.root


@contextmanager
def booted(disk: Path, folder: Path) -> Iterator[Box]:
    """A machine with a copy of this disk."""
    one = Box(copy_root(disk, folder / "root"))
    try:
        one.boot()
        yield one
    finally:
        one.cut_power()
        shutil.rmtree(one.root)


@contextmanager
def serving(box: Box, folder: Path) -> Iterator[Station]:
    """A station on it: its service runs, and a consumer has heard it from its first record on."""
    one = make_station(box, folder)
    one.settle()
    one.ledger.start(box)
    one.start()
    try:
        yield one
    finally:
        one.ledger.stop()


@pytest.fixture
def bare(installed_root: Path, tmp_path: Path) -> Iterator[Box]:
    """A machine with the package on it and no settings."""
    with booted(installed_root, tmp_path) as one:
        yield one


@pytest.fixture
def fresh(installed_root: Path, tmp_path: Path) -> Iterator[Station]:
    """A station of the test's own, to be upgraded, filled up and removed."""
    with booted(installed_root, tmp_path) as box, serving(box, tmp_path) as one:
        one.ledger.grows()
        yield one


@pytest.fixture(scope="module")
def started(installed_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """A station that the tests of a file share."""
    folder = tmp_path_factory.mktemp("station")
    with booted(installed_root, folder) as box, serving(box, folder) as one:
        yield one


@pytest.fixture
def station(started: Station) -> Iterator[Station]:
    """It runs before and after, and what came is whole."""
    assert started.box.systemctl("is-active", UNIT) == "active"
    started.ledger.grows()
    yield started
    assert started.box.systemctl("is-active", UNIT) == "active"
    started.ledger.grows()
    started.ledger.check()
