"""A bundle opens only as it was written; whatever else is wrong gives one error that names the file."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.bundle.bundle import (
    BUNDLE_TYPE,
    GOLDEN_SCORES,
    GOLDEN_TILES,
    MANIFEST,
    MODEL,
    SIGNATURE,
    BundleError,
    manifest_bytes,
    open_bundle,
    parse_manifest,
    write_bundle,
)
from agent.trust.envelope import SignatureError, verify
from tests.agent.engines.small_bundle import (
    scores_of,
    small_files,
    small_manifest,
    small_model,
    small_tiles,
    write_small,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_small(tmp_path / "small")


@pytest.fixture(scope="module")
def plumb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("zip")
    return zipped(write_small(root / "small"), root / "small.plumb")


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path


def change_manifest(folder: Path, change: Callable[[dict[str, object]], None]) -> None:
    content = yaml.safe_load((folder / MANIFEST).read_text())
    change(content)
    (folder / MANIFEST).write_text(yaml.safe_dump(content))


def test_what_was_written_is_what_opens(folder: Path) -> None:
    bundle = open_bundle(folder)
    files = small_files()
    assert bundle.manifest == small_manifest(files)
    assert bundle.model == small_model()
    tiles, scores = bundle.golden()
    assert np.array_equal(tiles, small_tiles())
    assert np.array_equal(scores, scores_of(tiles))
    assert bundle.sha256 == hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def test_a_plumb_file_opens_like_its_folder(folder: Path, plumb: Path) -> None:
    one, other = open_bundle(folder), open_bundle(plumb)
    assert (one.sha256, one.manifest, one.files) == (other.sha256, other.manifest, other.files)


def test_a_manifest_survives_being_written_and_read() -> None:
    manifest = small_manifest(small_files())
    assert parse_manifest(manifest_bytes(manifest), name="manifest.yaml") == manifest


@pytest.mark.parametrize("name", [MODEL, GOLDEN_TILES, GOLDEN_SCORES])
@pytest.mark.parametrize("position", [0, 100, -1])
def test_a_changed_byte_is_refused_by_file_name(folder: Path, name: str, position: int) -> None:
    data = bytearray((folder / name).read_bytes())
    data[position] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(BundleError, match=f"{name}: digest .* differs"):
        open_bundle(folder)


@pytest.mark.parametrize("name", [MODEL, GOLDEN_TILES, GOLDEN_SCORES])
def test_a_missing_file_is_refused_by_name(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BundleError, match=f"{name}: missing"):
        open_bundle(folder)


@pytest.mark.parametrize("name", [MODEL, GOLDEN_TILES, GOLDEN_SCORES])
def test_a_manifest_that_does_not_list_a_needed_file_is_refused(tmp_path: Path, name: str) -> None:
    files = small_files()
    del files[name]
    write_bundle(tmp_path / "poor", small_manifest(files), files, None)
    with pytest.raises(BundleError, match=f"no {name}"):
        open_bundle(tmp_path / "poor")


@pytest.mark.parametrize("name", ["notes.txt", "golden/more.npy", ".hidden"])
def test_an_unlisted_file_is_refused_by_name(folder: Path, name: str) -> None:
    (folder / name).write_text("extra")
    with pytest.raises(BundleError, match=f"{name}: not listed"):
        open_bundle(folder)


def test_a_folder_without_manifest_is_no_bundle(folder: Path) -> None:
    (folder / MANIFEST).unlink()
    with pytest.raises(BundleError, match=r"no manifest\.yaml"):
        open_bundle(folder)


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="absent: no such bundle"):
        open_bundle(tmp_path / "absent")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "Upper Case"),
        ("counter", 0),
        ("counter", "1"),
        ("format", "plumbline.bundle/2"),
        ("colour", "red"),
        ("threshold", {"raw": 0.5}),
    ],
)
def test_a_manifest_with_a_bad_value_is_refused_by_key(folder: Path, key: str, value: object) -> None:
    change_manifest(folder, lambda content: content.update({key: value}))
    with pytest.raises(BundleError, match=f"{MANIFEST}: {key}"):
        open_bundle(folder)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("threshold", "raw", float("inf")),
        ("threshold", "raw", float("nan")),
        ("threshold", "raw", 0.0),
        ("golden", "tolerance_f32", float("inf")),
        ("input", "scale", float("nan")),
        ("input", "channels", 2),
        ("input", "tile_px", 16),
    ],
)
def test_a_number_that_would_switch_a_check_off_is_refused(
    folder: Path, section: str, key: str, value: object
) -> None:
    change_manifest(folder, lambda content: content[section].update({key: value}))  # type: ignore[attr-defined]
    with pytest.raises(BundleError, match=rf"{section}\.{key}"):
        open_bundle(folder)


def test_tiles_that_overlap_wholly_are_refused(folder: Path) -> None:
    change_manifest(folder, lambda content: content["input"].update(overlap_px=32))  # type: ignore[attr-defined]
    with pytest.raises(BundleError, match="overlap_px"):
        open_bundle(folder)


@pytest.mark.parametrize(
    "data", [b"", b"5", b"a: &x 1\nb: *x", b"a: 1\na: 2", b"\xff", b"{", b"!!python/name:os"]
)
def test_a_manifest_that_is_no_plain_yaml_is_refused(folder: Path, data: bytes) -> None:
    (folder / MANIFEST).write_bytes(data)
    with pytest.raises(BundleError, match=MANIFEST):
        open_bundle(folder)


def test_a_bundle_is_never_written_over(folder: Path) -> None:
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    files = small_files()
    with pytest.raises(BundleError, match="is there already"):
        write_bundle(folder, small_manifest(files), files, None)
    assert before == {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_the_signature_is_over_the_manifest_and_so_over_every_file(tmp_path: Path) -> None:
    bundle = open_bundle(write_small(tmp_path / "signed", key=KEY))
    verify(bundle.files[SIGNATURE], bundle.files[MANIFEST], BUNDLE_TYPE, KEY.public_key())
    other = Ed25519PrivateKey.generate().public_key()
    with pytest.raises(SignatureError):
        verify(bundle.files[SIGNATURE], bundle.files[MANIFEST], BUNDLE_TYPE, other)


def test_a_signature_moved_to_another_bundle_does_not_verify(tmp_path: Path) -> None:
    signed = write_small(tmp_path / "signed", key=KEY)
    plain = write_small(tmp_path / "plain", scores=scores_of(small_tiles()) * 2)
    shutil.copy(signed / SIGNATURE, plain / SIGNATURE)
    bundle = open_bundle(plain)
    with pytest.raises(SignatureError, match="another file"):
        verify(bundle.files[SIGNATURE], bundle.files[MANIFEST], BUNDLE_TYPE, KEY.public_key())


def test_a_file_that_is_no_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.plumb").write_bytes(b"not a zip")
    with pytest.raises(BundleError, match=r"x\.plumb: neither"):
        open_bundle(tmp_path / "x.plumb")


@given(position=st.integers(0, 1_000_000), bit=st.integers(0, 7))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_plumb_file_with_a_flipped_bit_is_refused_or_means_the_same(
    plumb: Path, tmp_path: Path, position: int, bit: int
) -> None:
    data = bytearray(plumb.read_bytes())
    data[position % len(data)] ^= 1 << bit
    damaged = tmp_path / "damaged.plumb"
    damaged.write_bytes(data)
    try:
        found = open_bundle(damaged)
    except BundleError:
        return
    assert found.sha256 == open_bundle(plumb).sha256


@given(length=st.integers(0, 1_000_000))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_plumb_file_that_was_cut_is_refused(plumb: Path, tmp_path: Path, length: int) -> None:
    data = plumb.read_bytes()
    damaged = tmp_path / "damaged.plumb"
    damaged.write_bytes(data[: length % len(data)])
    with pytest.raises(BundleError):
        open_bundle(damaged)


def test_a_bundle_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    bundle = open_bundle(write_small(tmp_path / "first"))
    files = {name: data for name, data in bundle.files.items() if name in bundle.manifest.files}
    with pytest.raises(TypeError):
        write_bundle(tmp_path / "second", bundle.manifest, {**files, "broken": None}, None)  # type: ignore[dict-item]
    assert not (tmp_path / "second").exists()
    write_bundle(tmp_path / "second", bundle.manifest, files, None)
    assert open_bundle(tmp_path / "second").sha256 == bundle.sha256
