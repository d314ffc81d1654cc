"""A station runs what one of its trusted keys signed and what is new enough, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import settings as drawing
from hypothesis import strategies as st
from structlog.typing import EventDict
from typer.testing import CliRunner

from agent import app
from agent.bundle.bundle import (
    BUNDLE_TYPE,
    MANIFEST,
    SIGNATURE,
    Bundle,
    manifest_bytes,
    open_bundle,
    write_bundle,
)
from agent.bundle.trust import NotTrusted, require_trusted
from agent.cli.main import app as commands
from agent.clock import SystemClock
from agent.crew import Crew
from agent.settings import settings
from agent.trust.trust_set import TRUST_TYPE
from models.signing import sign
from tests.agent.engines.small_bundle import small_files, small_manifest, write_small
from tests.agent.trust.pem import public_pem

KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in range(4)]


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    with structlog.testing.capture_logs() as found:
        yield found


def key_files(folder: Path, *numbers: int) -> tuple[Path, ...]:
    for number in numbers:
        (folder / f"{number}.pub").write_bytes(public_pem(KEYS[number]))
    return tuple(folder / f"{number}.pub" for number in numbers)


def made(path: Path, *, counter: int = 1, key: Ed25519PrivateKey | None = None) -> Path:
    files = small_files()
    manifest = small_manifest(files).model_copy(update={"counter": counter})
    write_bundle(
        path, manifest, files, None if key is None else sign(manifest_bytes(manifest), BUNDLE_TYPE, key)
    )
    return path


def test_any_bundle_runs_without_trusted_keys_and_the_log_says_so(
    tmp_path: Path, logged: list[EventDict]
) -> None:
    require_trusted(open_bundle(made(tmp_path / "x")), settings.Trust())
    (said,) = logged
    assert said["event"] == "bundle_not_authenticated" and "trust.keys" in said["remedy"]


@pytest.mark.parametrize("signer", range(4))
@pytest.mark.parametrize("trusted", [(0,), (1, 0), (2, 1), (3, 2, 1)])
def test_a_bundle_runs_exactly_when_a_trusted_key_signed_it(
    tmp_path: Path, signer: int, trusted: tuple[int, ...]
) -> None:
    trust = settings.Trust(keys=key_files(tmp_path, *trusted))
    bundle = open_bundle(made(tmp_path / "x", key=KEYS[signer]))
    if signer in trusted:
        require_trusted(bundle, trust)
    else:
        with pytest.raises(NotTrusted, match=r"x/signature: signed by .* not by .* trust\.keys"):
            require_trusted(bundle, trust)


def test_an_unsigned_bundle_and_a_moved_signature_are_refused(tmp_path: Path) -> None:
    trust = settings.Trust(keys=key_files(tmp_path, 0))
    plain = made(tmp_path / "plain", counter=2)
    with pytest.raises(NotTrusted, match=r"plain: not signed, .* trust\.keys"):
        require_trusted(open_bundle(plain), trust)
    signed = made(tmp_path / "signed", key=KEYS[0])
    (plain / SIGNATURE).write_bytes((signed / SIGNATURE).read_bytes())
    with pytest.raises(NotTrusted, match="belongs to another file"):
        require_trusted(open_bundle(plain), trust)
    (plain / SIGNATURE).write_bytes(sign((plain / MANIFEST).read_bytes(), "application/other", KEYS[0]))
    with pytest.raises(NotTrusted, match="another kind"):
        require_trusted(open_bundle(plain), trust)


def trust_file(folder: Path, threshold: int, *keys: tuple[int, list[str]]) -> settings.Trust:
    """Its path in the settings, where each key has these roles; key 0 has the role trust, too."""
    content = {
        "schema": "plumbline.trust/1",
        "number": 1,
        "epoch": 1,
        "threshold": threshold,
        "keys": [
            {"public": KEYS[key].public_key().public_bytes_raw().hex(), "roles": roles} for key, roles in keys
        ],
    }
    signers = [KEYS[key] for key, roles in keys if "trust" in roles]
    (folder / "trust.json").write_bytes(sign(json.dumps(content).encode(), TRUST_TYPE, *signers))
    return settings.Trust(file=folder / "trust.json")


def signed(path: Path, *numbers: int) -> Bundle:
    files = small_files()
    manifest = small_manifest(files)
    signature = sign(manifest_bytes(manifest), BUNDLE_TYPE, *(KEYS[number] for number in numbers))
    write_bundle(path, manifest, files, signature)
    return open_bundle(path)


@pytest.mark.parametrize("signers", [(), (0,), (1,), (2,), (3,), (1, 3), (0, 2), (1, 2), (1, 2, 3)], ids=str)
@pytest.mark.parametrize("threshold", [1, 2])
def test_with_a_trust_file_as_many_keys_with_the_role_bundle_sign_as_it_says(
    tmp_path: Path, signers: tuple[int, ...], threshold: int
) -> None:
    everything = ["trust", "bundle"]
    trust = trust_file(
        tmp_path, threshold, (0, ["trust"]), (1, everything), (2, everything), (3, ["command"])
    )
    if threshold == 2:  # of the role command there is one key only
        trust = trust_file(tmp_path, threshold, (0, ["trust"]), (1, everything), (2, everything))
    bundle = signed(tmp_path / "x", *signers)
    if len({1, 2} & set(signers)) >= threshold:
        require_trusted(bundle, trust)
    else:
        with pytest.raises(NotTrusted, match=r"x/signature: signed by .* the role bundle in trust\.file"):
            require_trusted(bundle, trust)


def test_an_unsigned_bundle_and_one_of_a_role_that_nobody_has_are_refused(tmp_path: Path) -> None:
    trust = trust_file(tmp_path, 1, (0, ["trust", "settings"]))
    with pytest.raises(NotTrusted, match=r"x: not signed, and trust\.file wants 1 of 0 keys"):
        require_trusted(open_bundle(made(tmp_path / "x")), trust)
    with pytest.raises(NotTrusted, match=r"signed by .*, not by one of the trusted keys \(there is none\)"):
        require_trusted(signed(tmp_path / "y", 0), trust)


def test_a_trust_file_that_cannot_be_used_is_named_by_its_setting(tmp_path: Path) -> None:
    bundle = signed(tmp_path / "x", 0)
    trust = trust_file(tmp_path, 1, (0, ["trust", "bundle"]))
    require_trusted(bundle, trust)
    (tmp_path / "trust.json").write_bytes((tmp_path / "trust.json").read_bytes()[:-9])
    for path in (trust.file, tmp_path / "absent.json"):
        with pytest.raises(NotTrusted, match=rf"^trust\.file: .*{path.name}: "):
            require_trusted(bundle, settings.Trust(file=path))


def test_an_older_bundle_is_refused_with_a_trust_file_too(tmp_path: Path) -> None:
    trust = trust_file(tmp_path, 1, (0, ["trust", "bundle"])).model_copy(update={"lowest_counter": 2})
    with pytest.raises(NotTrusted, match=r"trust\.lowest_counter is 2"):
        require_trusted(signed(tmp_path / "x", 0), trust)


def test_file_and_keys_are_not_both_asked(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("trust:\n  file: trust.json\n  keys: [a.pem]\n")
    with pytest.raises(settings.SettingsError, match="trust: file and keys both say who may sign bundles"):
        settings.load(tmp_path / "s.yaml", {})


@given(st.integers(1, 50), st.integers(1, 50), st.booleans())
@drawing(max_examples=30, deadline=None)
def test_an_older_bundle_is_refused_whoever_signed_it(
    tmp_path_factory: pytest.TempPathFactory, counter: int, lowest: int, signed: bool
) -> None:
    folder = tmp_path_factory.mktemp("counters")
    trust = settings.Trust(keys=key_files(folder, 0) if signed else (), lowest_counter=lowest)
    bundle = open_bundle(made(folder / "x", counter=counter, key=KEYS[0] if signed else None))
    if counter >= lowest:
        require_trusted(bundle, trust)
    else:
        words = rf"x: its counter is {counter}, and trust\.lowest_counter is {lowest}"
        with pytest.raises(NotTrusted, match=words):
            require_trusted(bundle, trust)


@pytest.mark.parametrize("content", [None, b"", b"ssh-ed25519 AAAA", b"-----BEGIN PUBLIC KEY-----\n"])
def test_a_key_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "key.pub").write_bytes(content)
    trust = settings.Trust(keys=(tmp_path / "key.pub",))
    with pytest.raises(NotTrusted, match=r"trust\.keys: .*key\.pub"):
        require_trusted(open_bundle(made(tmp_path / "x", key=KEYS[0])), trust)


def test_the_agent_does_not_start_with_a_bundle_it_does_not_trust(tmp_path: Path) -> None:
    wanted = settings.Settings(
        bundle=made(tmp_path / "x", key=KEYS[1]),
        trust=settings.Trust(keys=key_files(tmp_path, 0)),
        outbox=settings.Outbox(path=tmp_path / "outbox.sqlite3"),
    )
    with pytest.raises(NotTrusted):
        app.build(wanted, SystemClock(), Crew())
    assert not (tmp_path / "outbox.sqlite3").exists()


def test_no_engine_is_compiled_of_a_bundle_that_is_not_trusted(tmp_path: Path) -> None:
    made(tmp_path / "x")
    key_files(tmp_path, 0)
    (tmp_path / "s.yaml").write_text("bundle: x\ntrust:\n  keys: [0.pub]\n")
    done = CliRunner().invoke(commands, ["engines", "build", "-c", str(tmp_path / "s.yaml")])
    assert isinstance(done.exception, NotTrusted)


@given(st.text(max_size=80))
@drawing(max_examples=8, deadline=None)
def test_a_key_id_of_a_stranger_is_shown_on_one_line_without_effect(
    tmp_path_factory: pytest.TempPathFactory, keyid: str
) -> None:
    folder = write_small(tmp_path_factory.mktemp("ids") / "x", key=KEYS[0])
    envelope = json.loads((folder / SIGNATURE).read_text())
    envelope["signatures"][0]["keyid"] = f"\x1b[2K\r[green]{keyid}"
    (folder / SIGNATURE).write_text(json.dumps(envelope))
    done = CliRunner().invoke(commands, ["bundle", "verify", str(folder)])
    lines = done.output.splitlines()
    assert lines[1].startswith(r"signature: claims key '\x1b[2K\r[green]") and "\x1b" not in done.output
    assert lines[1].endswith("; not checked, give --key")
    with pytest.raises(NotTrusted) as caught:
        require_trusted(open_bundle(folder), settings.Trust(keys=key_files(folder.parent, 1)))
    assert "\x1b" not in str(caught.value) and len(str(caught.value).splitlines()) == 1
