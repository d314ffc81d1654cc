"""On Ray Data the rows are those of one process, also where workers are killed meanwhile."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from agent.bundle.bundle import open_bundle
from agent.clock import ManualClock
from models.rescoring.archives import survey
from models.rescoring.plan import made
from models.rescoring.run import Wanted, rescore
from models.rescoring.store import taken
from models.stages import SILENT
from tests.agent.remote.proof.shadowed import write_grey
from tests.models.rescoring.plant import Plant
from tests.models.rescoring.test_run import rows, stuck

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: make test-ray"),
]
FRAMES = 64  # of each of two stations, and one more: five parts


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("plant")
    plant = Plant(folder=root / "plant")
    plant.many(("press-1", "press-2"), FRAMES)
    torn = plant.keep("press-1", 200)
    torn.write_bytes(torn.read_bytes()[:-9])
    write_grey(root / "new", threshold=0.6)
    return root


@contextmanager
def two_nodes() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A cluster, and its address; it ends with its standard input."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.models.rescoring.two_nodes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(120)


def actors(cluster: int) -> list[int]:
    """Of this cluster, that judge now."""
    above = {}
    for folder in Path("/proc").iterdir():
        try:
            above[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError, IndexError):
            continue
    return [pid for pid in above if _is_below(pid, cluster, above) and "JudgeOnRay" in _name(pid)]


def _is_below(pid: int, top: int, above: dict[int, int]) -> bool:
    while pid in above and pid != top:
        pid = above[pid]
    return pid == top


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""


def command(root: Path, out: Path, *more: str) -> list[str]:
    told = [sys.executable, "-m", "models", "rescore", "--bundle", str(root / "new")]
    return [*told, "--frames", str(root / "plant"), "--out", str(out), *more]


def wait_for_parts(out: Path, count: int, process: subprocess.Popen[str]) -> None:
    while len(list(out.glob("rows/part-*.parquet"))) < count and process.poll() is None:
        time.sleep(0.01)


def test_two_nodes_whose_workers_are_killed_in_the_midst_give_the_rows_of_one_process(
    root: Path, tmp_path: Path
) -> None:
    plain, out = tmp_path / "plain", tmp_path / "out"
    rescore(
        Wanted(bundle=root / "new", frames=(root / "plant",), out=plain, workers=1),
        cores=1,
        clock=ManualClock(),
        stages=SILENT,
    )
    with taken(out) as store:  # planned before the pipe is there, which is no entry
        bundle = open_bundle(root / "new")
        plan = store.begin(
            made(
                survey([root / "plant"]),
                bundle=bundle.manifest.name,
                bundle_sha256=bundle.sha256,
                named=[str(root / "plant")],
            )
        )
    with two_nodes() as (cluster, address), stuck(root, plan) as pipe:
        with subprocess.Popen(
            command(root, out, "--ray-address", address),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            wait_for_parts(out, 1, process)  # the one that the pipe holds up is not done
            judging = actors(cluster.pid)
            pipe.unlink()
            shutil.copy(root / "aside.png", pipe)
            for pid in judging:
                os.kill(pid, signal.SIGKILL)
            said, _ = process.communicate()
        assert process.returncode == 1, said  # one entry is torn
        assert judging
    assert rows(out) == rows(plain)
    assert (out / "report.md").read_text().split("\n", 3)[3] == (plain / "report.md").read_text().split(
        "\n", 3
    )[3]


def test_a_cluster_that_is_not_there_is_told_in_words(root: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        command(root, tmp_path / "out", "--ray-address", "127.0.0.1:1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "no Ray cluster at 127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr
