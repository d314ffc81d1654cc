"""A run from archives to report: the same whoever judges, and one that was cut goes on where it was."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.dataset
import pytest

from agent.bundle.bundle import open_bundle
from agent.clock import ManualClock
from models.cli.main import app as lab
from models.rescoring import run as runs
from models.rescoring.archives import survey
from models.rescoring.faults import RescoreError
from models.rescoring.plan import SMALLEST, Part, Plan, made, read
from models.rescoring.report import Report
from models.rescoring.row import Row
from models.rescoring.run import Wanted, rescore
from models.rescoring.workers import Done, by_processes, in_turn
from models.stages import SILENT
from tests.agent.remote.proof.shadowed import write_grey
from tests.models.rescoring.plant import Plant, digest
from tests.models.workshop import run

STATIONS = ("press-1", "press-2", "press-3")
FRAMES = 40  # of each station: four parts, with what is no entry


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plant with every kind of bad input, and a new bundle."""
    root = tmp_path_factory.mktemp("plant")
    plant = Plant(folder=root / "plant")
    plant.many(STATIONS, FRAMES)
    torn = plant.keep("press-1", 200)
    torn.write_bytes(torn.read_bytes()[:-9])
    (torn.parent / "note.txt").write_text("mine")
    plant.keep("press-2", 200, shape=(40, 80, 1), mark="confirmed")
    copy = plant.keep("press-3", 20)
    (plant.archive("backup") / copy.parent.name).mkdir(parents=True)
    shutil.copy(copy, plant.archive("backup") / copy.parent.name / copy.name)
    write_grey(root / "new", threshold=0.6)
    write_grey(root / "other", threshold=0.3)
    return root


def wanted(root: Path, out: Path, *, workers: int = 1, bundle: str = "new") -> Wanted:
    return Wanted(bundle=root / bundle, frames=(root / "plant",), out=out, workers=workers)


def judged(asked: Wanted) -> Report:
    return rescore(asked, cores=2, clock=ManualClock(), stages=SILENT)


def rows(out: Path) -> list[dict[str, object]]:
    table = pyarrow.dataset.dataset(out / "rows", format="parquet").to_table()
    return table.to_pylist()


@pytest.fixture(scope="module")
def whole(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that was never cut, in one process."""
    out = tmp_path_factory.mktemp("whole") / "out"
    judged(wanted(root, out))
    return out


def test_each_file_is_a_row_and_the_report_says_what_would_change(root: Path, whole: Path) -> None:
    found = Report.model_validate_json((whole / "report.json").read_bytes())
    assert dict(found.files) == {"double": 1, "foreign": 1, "judged": len(STATIONS) * FRAMES + 2, "torn": 1}
    assert len(rows(whole)) == len(list((root / "plant").rglob("*.*g"))) + 1  # the note
    assert found.all.flips.to_pass == 15 and found.all.flips.to_fail == 0  # 140 of 255 is below 0.6
    assert found.all.marks.kept_right == 1 and found.odd_frames == 1
    assert {one.name for one in found.groups if one.by == "station"} == set(STATIONS)
    left = [json.loads(line) for line in (whole / "left_out.jsonl").read_text().splitlines()]
    assert sorted(one["status"] for one in left) == ["double", "foreign", "torn"]
    assert "| press-1 |" in (whole / "report.md").read_text()


@pytest.mark.slow
def test_processes_give_the_rows_of_one_whatever_the_order_in_which_they_end(
    root: Path, whole: Path, tmp_path: Path
) -> None:
    judged(wanted(root, tmp_path / "two", workers=2))
    assert rows(tmp_path / "two") == rows(whole)
    assert (tmp_path / "two" / "report.json").read_bytes() == (whole / "report.json").read_bytes()


class Ended(Exception):
    """The process ends here."""


def cut_after(parts: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have the next run end when so many parts were judged; the numbers of those that it judges."""
    seen: list[int] = []

    def cut(left: list[Part], *rest: object, **more: object) -> Iterator[Done]:
        for done in in_turn(left, *rest, **more):  # type: ignore[arg-type]
            if len(seen) == parts:
                raise Ended
            seen.append(done[0])
            yield done

    monkeypatch.setattr(runs, "in_turn", cut)
    return seen


def test_a_run_that_was_cut_goes_on_and_makes_no_finished_part_again(
    root: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    first = cut_after(2, monkeypatch)
    with pytest.raises(Ended):
        judged(wanted(root, out))
    made_first = {path.name: digest(path) for path in (out / "rows").iterdir()}
    assert first == [0, 1] and len(made_first) == 2 and not (out / "report.json").exists()
    (out / "rows" / ".part-00002.parquet.part").write_bytes(b"half")
    (out / "rows" / "part-00003.parquet").write_bytes(b"PAR1, cut")
    second = cut_after(99, monkeypatch)
    judged(wanted(root, out))
    assert second == [2, 3] and rows(out) == rows(whole)
    assert made_first.items() <= {path.name: digest(path) for path in (out / "rows").iterdir()}.items()
    assert not list((out / "rows").glob(".*"))


def test_a_part_of_another_run_is_not_taken(root: Path, whole: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    judged(wanted(root, other, bundle="other"))
    shutil.copytree(whole, out)
    shutil.copy(other / "rows" / "part-00001.parquet", out / "rows")
    shutil.copy(out / "rows" / "part-00000.parquet", out / "rows" / "part-00002.parquet")
    judged(wanted(root, out))
    assert rows(out) == rows(whole)


def test_a_damaged_part_is_named_with_the_remedy(root: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    part = out / "rows" / "part-00001.parquet"
    data = bytearray(part.read_bytes())
    data[100:140] = bytes(40)
    part.write_bytes(bytes(data))
    with pytest.raises(RescoreError, match=r"part-00001\.parquet: is damaged .* delete it and run the same"):
        judged(wanted(root, out))
    part.unlink()
    judged(wanted(root, out))
    assert rows(out) == rows(whole)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda out: (out / "mine.txt").touch(), r"holds mine\.txt, which is of no run"),
        (lambda out: (out / "plan.parquet").write_bytes(b"x"), r"plan\.parquet: it is no plan.* new folder"),
    ],
    ids=["foreign", "damaged"],
)
def test_a_folder_that_is_no_run_is_left_alone(root: Path, tmp_path: Path, spoil: object, words: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    spoil(out)  # type: ignore[operator]
    with pytest.raises(RescoreError, match=words):
        judged(wanted(root, out))


def test_a_run_is_gone_on_with_by_its_own_bundle_and_archives_alone(root: Path, whole: Path) -> None:
    with pytest.raises(RescoreError, match=r"was begun with bundle small .*; give a new folder"):
        judged(wanted(root, whole, bundle="other"))
    with pytest.raises(RescoreError, match=r"was begun with --frames .*plant; give these"):
        judged(Wanted(bundle=root / "new", frames=(root / "plant" / "press-1",), out=whole, workers=1))


def test_a_run_writes_nothing_among_what_it_reads(root: Path) -> None:
    with pytest.raises(RescoreError, match="which is only read"):
        judged(wanted(root, root / "plant" / "out"))
    assert not (root / "plant" / "out").exists()


def test_two_runs_at_once_in_one_folder_are_one_too_many(root: Path, whole: Path) -> None:
    from models.rescoring.store import taken

    with taken(whole), pytest.raises(RescoreError, match="another run is at it"):
        judged(wanted(root, whole))


def a_plan(root: Path) -> Plan:
    return read(made(survey([root / "plant"]), bundle="small", bundle_sha256="ab", named=()))


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_run_in_words(root: Path) -> None:
    plan = a_plan(root)
    with stuck(root, plan):
        done = by_processes(plan.parts(), plan.folders, open_bundle(root / "new"), workers=2)
        numbers = {next(done)[0] for _ in range(3)}
        for pid in children(os.getpid()):
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(RescoreError, match=r"was killed, mostly for want of memory; finished parts stay"):
            next(done)
    assert numbers == {0, 1, 3}


@contextmanager
def stuck(root: Path, plan: Plan) -> Iterator[Path]:
    """Whoever judges part 2 waits there as long as this lasts: an entry is a pipe that nobody writes to."""
    file = list(plan.parts())[2].files.to_pylist()[5]
    path = Path(plan.folders[file["folder"]]) / file["name"]
    aside = path.rename(root / "aside.png")
    os.mkfifo(path)
    try:
        yield path
    finally:
        aside.replace(path)


def children(parent: int) -> Iterator[int]:
    """Processes of a pool."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                above = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
                if above == parent and b"spawn_main" in (folder / "cmdline").read_bytes():
                    yield int(folder.name)
            except (OSError, IndexError):
                continue


@pytest.mark.slow
def test_a_command_that_is_killed_leaves_whole_parts_and_the_same_command_ends_it(
    root: Path, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "models", "rescore", "--workers", "2", "--bundle", str(root / "new")]
    command += ["--frames", str(root / "plant"), "--out", str(out)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while not list(out.glob("rows/part-*.parquet")) and process.poll() is None:
            time.sleep(0.005)
        judging = set(children(process.pid))
        process.kill()
    while any((Path("/proc") / str(pid)).exists() for pid in judging):  # each ends with the command
        time.sleep(0.01)
    first = {path: digest(path) for path in out.glob("rows/part-*.parquet")}
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr  # a torn entry, and a note
    assert rows(out) == rows(whole)
    assert first and first == {path: digest(path) for path in first}
    assert "1 torn: cut short" in done.stdout and "by week" in done.stdout


def test_the_command_says_what_is_wrong_before_it_begins(root: Path, tmp_path: Path) -> None:
    from agent.errors import PlumblineError

    told = ["rescore", "--bundle", root / "new", "--out", tmp_path / "out", "--frames"]
    with pytest.raises(
        PlumblineError, match=r"--frames .*nowhere: no such file or folder; give archive\.folder"
    ):
        run(lab, *told, root / "nowhere")
    with pytest.raises(PlumblineError, match=r"--frames .*manifest\.yaml: is no folder"):
        run(lab, *told, root / "new" / "manifest.yaml")
    assert not (tmp_path / "out").exists()


def test_without_what_it_needs_it_says_what_to_install(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent.errors import PlumblineError
    from models.cli import rescore as command

    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "ray" else object())
    with pytest.raises(
        PlumblineError, match=r"ray is not installed here; `pip install 'plumbline\[lab,ray\]'`"
    ):
        run(lab, "rescore", "--bundle", root / "new", "--frames", root / "plant", "--out", tmp_path, "--ray")
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    with pytest.raises(PlumblineError, match=r"plumbline\[lab,rescore\]"):
        run(lab, "rescore", "--bundle", root / "new", "--frames", root / "plant", "--out", tmp_path)


def test_rows_of_a_part_that_a_full_disk_refuses_are_made_again(
    root: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.rescoring import store

    out, real, count = tmp_path / "out", store.replace_file, 0

    def full(path: Path, pieces: object) -> None:
        nonlocal count
        count += 1
        if count == 3:  # plan, a part
            raise OSError(28, "No space left on device")
        real(path, pieces)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "replace_file", full)
    with pytest.raises(RescoreError, match="No space left on device; check permissions and space"):
        judged(wanted(root, out))
    assert len(list((out / "rows").iterdir())) == 1
    judged(wanted(root, out))
    assert rows(out) == rows(whole)


def test_this_plant_has_several_parts(root: Path) -> None:
    assert len(list(a_plan(root).parts())) == -(-(len(STATIONS) * FRAMES + 5) // SMALLEST) == 4
    assert Row(status="gone", file="").why is None
