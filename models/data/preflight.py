"""What can be known in the first second: asked before anything heavy is imported or computed."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from agent.bundle.bundle import MANIFEST, open_bundle
from agent.contract import strict_json
from agent.errors import PlumblineError
from agent.settings import bounded
from agent.trust.private_keys import load_private_key
from models.data.datasets import DataError, check_pictures, read_set, summary
from models.stages import SILENT, Stages
from models.store import Place

RUN = "run.yaml"
STUDENT = "student.yaml"  # beside it when the run is a student's
WEIGHTS = "weights.pt"
REPORTED = {"curves.png", "worst.png", "restored.png", "evidence.csv", "yardstick"}  # what a report is of
MAX_FIGURES_BYTES = 1_000_000


class PreflightError(PlumblineError):
    """An argument that the command would fail on later; names the option and the remedy."""


def need_run(folder: Place, *, student: bool) -> None:
    """Refuse what is no finished run of a teacher, or of a student. Raises StoreError, too."""
    if isinstance(folder, Path) and not folder.exists():
        raise PreflightError(f"{folder}: does not exist; check the argument RUN")
    if not (folder / WEIGHTS).is_file() or (folder / STUDENT).is_file() != student:
        kind, command = ("student", "distill") if student else ("teacher", "train")
        raise PreflightError(
            f"{folder}: no finished {kind}; run `plumbline-lab {command} ... --out {folder}` to its end"
        )


def need_model(path: Place) -> None:
    """Refuse what is neither a bundle nor a finished run. Raises BundleError for damage, StoreError."""
    if isinstance(path, Path):
        if not path.exists():
            raise PreflightError(f"{path}: does not exist; check the argument RUN|BUNDLE")
        if path.is_file() or (path / MANIFEST).is_file():
            open_bundle(path)
            return
    if not (path / WEIGHTS).is_file():
        where = "" if isinstance(path, Path) else "; a bundle is judged from this machine"
        raise PreflightError(f"{path}: holds neither a bundle nor a finished run{where}")


def need_bundle(path: Path) -> None:
    """Refuse what is no bundle, in words of this command. Raises BundleError for a damaged one."""
    if not path.exists():
        raise PreflightError(f"{path}: does not exist; check the argument BUNDLE")
    if path.is_dir() and not (path / MANIFEST).is_file():
        raise PreflightError(f"{path}: holds no bundle; check the argument BUNDLE")
    open_bundle(path)


def need_file(path: Path | None, option: str) -> None:
    """Refuse a file to read that is not there."""
    if path is not None and not path.is_file():
        raise PreflightError(f"{path}: no such file; check {option}")


def need_folder(path: Path | None, option: str) -> None:
    """Refuse a folder to read that is not there."""
    if path is not None and not path.is_dir():
        raise PreflightError(f"{path}: no such folder; check {option}")


def need_key(path: Path | None) -> None:
    """Refuse what cannot sign: a bundle is signed at its very end. Raises KeyFileError, too."""
    need_file(path, "--key")
    if path is not None:
        load_private_key(path)


def need_no_other(out: Place, *, student: bool) -> None:
    """Refuse a place that holds a run of the other kind. Raises StoreError where a store does not say."""
    if (out / RUN).is_file() and (out / STUDENT).is_file() != student:
        kind = "teacher" if student else "student"
        raise PreflightError(f"{out}: holds a {kind}; choose another --out")


def is_begun(out: Place) -> bool:
    """True where a run was begun, which the same command goes on with."""
    return (out / RUN).is_file()


def need_product(model: Place, name: str | None) -> None:
    """Refuse a product for what is no teacher, and one that it does not know."""
    if name is None:
        return
    if not (model / RUN).is_file() or (model / STUDENT).is_file():
        raise PreflightError(f"{model}: only a teacher's run can be told the product; leave --product out")
    known = yaml.safe_load((model / RUN).read_text(encoding="utf-8"))["data"]
    if name not in known:
        raise PreflightError(f"{model}: knows {', '.join(known)}, not {name!r}; give one of these")


def need_writable_folder(path: Place | None, option: str) -> None:
    """Refuse a folder that cannot be made or written to; a store says so when the run is claimed."""
    if not isinstance(path, Path):
        return
    there = next(one for one in (path.absolute(), *path.absolute().parents) if one.exists())
    if not there.is_dir():
        raise PreflightError(f"{there}: is a file; give a folder as {option}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PreflightError(f"{there}: cannot be written to; check its permissions or {option}")


def need_writable_file(path: Path | None, option: str) -> None:
    """Refuse a file whose folder is not there, or that is a folder."""
    if path is None:
        return
    if path.is_dir():
        raise PreflightError(f"{path}: is a folder; give a file as {option}")
    if not path.absolute().parent.is_dir():
        raise PreflightError(f"{path.absolute().parent}: does not exist; make it, or check {option}")
    need_writable_folder(path.parent, option)


def need_own_figures(path: Path | None) -> None:
    """Refuse a file that holds anything but figures of an earlier evaluation."""
    if path is None or not os.path.lexists(path):
        return
    try:
        content = strict_json.parse(bounded.read(path, max_bytes=MAX_FIGURES_BYTES))
    except (bounded.UnreadableError, strict_json.StrictJsonError):
        content = None
    if not isinstance(content, dict) or not content.keys() >= {"images", "image_auroc"}:
        raise PreflightError(f"{path}: is there already and holds no figures; give another file as --json")


def need_own_report(folder: Path | None) -> None:
    """Refuse a folder that holds anything but an earlier report."""
    if folder is None or not folder.is_dir():
        return
    if foreign := sorted({one.name for one in folder.iterdir()} - REPORTED):
        raise PreflightError(
            f"{folder}: holds {foreign[0]}, which is of no report; give a new folder as --report"
        )


def preview_test_split(root: Path, stages: Stages = SILENT) -> list[str]:
    """What is read below `root`. Raises DataError when it cannot be judged."""
    found = read_set(root)
    kinds = {item.is_good for item in found.items if item.split == "test"}
    if len(kinds) < 2:
        raise DataError(
            f"{root}: the test split needs good and defective pictures, under test/good and test/<defect>; "
            "plumbline-lab teach judges a plain folder by its held-back good parts"
        )
    soft = check_pictures([item for item in found.items if item.split == "test"], stages)
    lines = summary(root, found)
    if soft:
        lines.append(f"{soft[0]} and {len(soft) - 1} masks more are lossy or blurred: cut in the middle")
    return lines
