"""What is in a bundle is bounded before it is read: no folder and no zip makes the agent read more."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.bundle import files as bundle_files
from agent.bundle.bundle import MANIFEST, BundleError, manifest_bytes, open_bundle
from agent.bundle.files import MAX_ENTRIES, left_by, open_files
from agent.foreign import shown
from tests.agent.engines.small_bundle import small_files, small_manifest, write_small

ZEROS = bytes(1_000_000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_small(tmp_path / "small")


def zipped(
    folder: Path, path: Path, change: Callable[[zipfile.ZipFile], object] = lambda archive: None
) -> Path:
    """The bundle as a zip, and whatever else `change` writes into it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
        change(archive)
    return path


def entry(name: str, *, mode: int = 0, method: int = zipfile.ZIP_DEFLATED) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    info.compress_type = method
    return info


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda zip_: zip_.writestr(MANIFEST, b"again"), r"manifest\.yaml: stands twice"),
        (lambda zip_: zip_.writestr("model.onnx", b"again"), r"model\.onnx: stands twice"),
        (
            lambda zip_: zip_.writestr("Model.ONNX", b"again"),
            r"Model\.ONNX: stands twice, perhaps in other case",
        ),
        (lambda zip_: zip_.writestr("../model.onnx", b""), "could lead out"),
        (lambda zip_: zip_.writestr("golden/../../x", b""), "could lead out"),
        (lambda zip_: zip_.writestr("/etc/passwd", b""), "could lead out"),
        (lambda zip_: zip_.writestr("golden\\x", b""), "could lead out"),
        (lambda zip_: zip_.writestr("C:/x", b""), "could lead out"),
        (lambda zip_: zip_.writestr("a//b", b""), "could lead out"),
        (lambda zip_: zip_.writestr("a/b/c/d/e", b""), "too deep"),
        (lambda zip_: zip_.writestr("a" * 500, b""), "too long"),
        (
            lambda zip_: zip_.writestr(entry("link", mode=stat.S_IFLNK | 0o777), b"/etc/passwd"),
            "link: a link",
        ),
        (lambda zip_: zip_.writestr(entry("pipe", mode=stat.S_IFIFO | 0o600), b""), "pipe: neither a file"),
        (lambda zip_: zip_.writestr(entry("x", method=zipfile.ZIP_LZMA), b"x"), "x: packed by method 14"),
        (lambda zip_: zip_.writestr("x", bytes(20_000_000)), "x: .* are to become 20000000"),
        (lambda zip_: [zip_.writestr(f"x{number}", b"") for number in range(300)], "more than 256 files"),
        (
            lambda zip_: zip_.writestr("notes.txt", b""),
            r"notes\.txt: not listed .* `zip -d x\.plumb 'notes\.txt'`",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_zip_with_what_no_bundle_has_is_refused(
    folder: Path, tmp_path: Path, change: Callable[[zipfile.ZipFile], object], words: str
) -> None:
    with pytest.raises(BundleError, match=words):
        open_bundle(zipped(folder, tmp_path / "x.plumb", change))


def test_an_encrypted_entry_is_refused(folder: Path, tmp_path: Path) -> None:
    plumb = zipped(folder, tmp_path / "x.plumb")
    data = bytearray(plumb.read_bytes())
    place = data.index(b"PK\x01\x02")
    data[place + 8] |= 1
    plumb.write_bytes(data)
    with pytest.raises(BundleError, match="encrypted; pack the bundle without a password"):
        open_bundle(plumb)


def test_files_that_are_too_large_together_are_refused_before_any_is_read(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add(archive: zipfile.ZipFile) -> None:
        for number in range(4):
            archive.writestr(entry(f"x{number}", method=zipfile.ZIP_STORED), ZEROS)

    monkeypatch.setattr(bundle_files, "MAX_TOTAL_BYTES", 3_000_000)
    plumb = zipped(folder, tmp_path / "x.plumb", add)
    with pytest.raises(BundleError, match="larger than 3000000 bytes together"):
        open_bundle(plumb)
    with zipfile.ZipFile(plumb) as archive:
        archive.extractall(tmp_path / "unpacked")
    with pytest.raises(BundleError, match="larger than 3000000 bytes together"):
        open_bundle(tmp_path / "unpacked")


def test_a_zip_whose_sizes_are_lies_is_refused(folder: Path, tmp_path: Path) -> None:
    plumb = zipped(folder, tmp_path / "x.plumb")
    whole = plumb.read_bytes()
    place = whole.index(b"PK\x01\x02")
    while place != -1:
        for size in (0, 1, 0xFFFF_FFFF):
            if int.from_bytes(whole[place + 24 : place + 28], "little") == size:
                continue
            data = bytearray(whole)
            data[place + 24 : place + 28] = size.to_bytes(4, "little")
            plumb.write_bytes(data)
            with pytest.raises(BundleError):
                open_bundle(plumb)
        place = whole.find(b"PK\x01\x02", place + 4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["unlisted", "directory", "sparse"])
def test_a_huge_bundle_is_refused_in_little_memory(folder: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.plumb"
    match kind:
        case "unlisted":

            def add(archive: zipfile.ZipFile) -> None:
                for number in range(6):
                    with archive.open(f"x{number}", "w", force_zip64=True) as file:
                        for _ in range(200):
                            file.write(ZEROS)

            zipped(folder, path, add)
        case "directory":
            with zipfile.ZipFile(path, "w") as archive:
                for number in range(100_000):
                    archive.writestr(f"{number:0>60}", b"")
        case _:
            path = folder
            with (folder / "golden" / "scores.npy").open("ab") as file:
                file.truncate(400 << 30)
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from agent.bundle.bundle import BundleError, open_bundle\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n open_bundle(Path(sys.argv[1]))\n"
        "except BundleError as error: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 30_000  # kB


@pytest.mark.parametrize("name", ["extra", "golden/extra", "model.onnx", "manifest.yaml", "signature"])
@pytest.mark.parametrize("kind", ["file link", "folder link", "loop", "outside", "pipe", "dangling"])
def test_a_folder_with_anything_but_files_and_folders_is_refused(folder: Path, name: str, kind: str) -> None:
    path = folder / name
    path.unlink(missing_ok=True)
    match kind:
        case "file link":
            path.symlink_to(folder / "golden" / "tiles.npy")
        case "folder link":
            path.symlink_to(folder / "golden")
        case "loop":
            path.symlink_to(path)
        case "outside":
            path.symlink_to("/etc/passwd")
        case "dangling":
            path.symlink_to("nowhere")
        case _:
            os.mkfifo(path)
    with pytest.raises(BundleError, match=f"{name}: (a link|neither a file nor a folder)"):
        open_bundle(folder)


def test_a_file_that_became_a_link_or_a_pipe_after_it_was_listed_is_not_followed(folder: Path) -> None:
    with open_files(folder) as there:
        for exchange in (lambda path: os.mkfifo(path), lambda path: path.symlink_to("/etc/passwd")):
            (folder / "model.onnx").unlink()
            exchange(folder / "model.onnx")
            with pytest.raises(BundleError, match=r"model\.onnx: (not a file any more|cannot be read)"):
                there.read("model.onnx")


def test_a_folder_with_too_many_files_is_refused(folder: Path) -> None:
    for number in range(MAX_ENTRIES):
        (folder / f"x{number}").touch()
    with pytest.raises(BundleError, match="more than 256 files"):
        open_bundle(folder)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "pipe", "a\0b", "x" * 5000])
def test_what_is_neither_folder_nor_file_is_no_bundle(tmp_path: Path, path: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BundleError, match="no such bundle"):
        open_bundle(tmp_path / path)


@pytest.mark.parametrize(
    ("name", "system"),
    [
        (".DS_Store", "macOS"),
        ("golden/.DS_Store", "macOS"),
        ("._model.onnx", "macOS"),
        ("__MACOSX/._model.onnx", "macOS"),
        ("Thumbs.db", "Windows"),
        ("golden/desktop.ini", "Windows"),
        ("DESKTOP.INI", "Windows"),
    ],
)
def test_what_a_file_manager_left_is_refused_with_its_origin_and_the_remedy(
    folder: Path, tmp_path: Path, name: str, system: str
) -> None:
    plumb = zipped(folder, tmp_path / "x.plumb", lambda archive: archive.writestr(name, b"left"))
    with pytest.raises(BundleError, match=f"{name}: .*{system} leaves such files.*`zip -d x.plumb '{name}'`"):
        open_bundle(plumb)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"left")
    with pytest.raises(BundleError, match=f"{name}: .*{system} leaves such files.*delete it"):
        open_bundle(folder)


def test_no_file_of_a_bundle_is_taken_for_what_a_file_manager_left() -> None:
    assert not [name for name in (*small_files(), MANIFEST, "signature", "thumbs") if left_by(name)]


@given(
    st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=40)
)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_stranger_s_name_is_refused_in_one_printable_line(folder: Path, name: str) -> None:
    if name in (".", "..", *(one.name for one in folder.iterdir())):
        return
    (folder / name).touch()
    try:
        with pytest.raises(BundleError) as caught:
            open_bundle(folder)
    finally:
        (folder / name).unlink()
    assert shown(str(caught.value)) == str(caught.value)


@given(st.text(max_size=30))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_listed_name_that_is_not_there_is_named_in_one_printable_line(tmp_path: Path, name: str) -> None:
    files = small_files()
    manifest = small_manifest({**files, name: b""})
    shutil.rmtree(tmp_path / "x", ignore_errors=True)
    write_small(tmp_path / "x")
    (tmp_path / "x" / MANIFEST).write_bytes(manifest_bytes(manifest))
    with pytest.raises(BundleError) as caught:
        open_bundle(tmp_path / "x")
    assert shown(str(caught.value)) == str(caught.value)
