"""The workshop at its smallest, by its commands: made once, then looked at from many sides."""

from __future__ import annotations

import fcntl
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner, Result

from models.cli.main import app as lab
from tests.models.tiny import write_tiny

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


WORSE_TOO = "--accept-worse"  # what is so small hardly ever ranks as well as the yardstick


@dataclass(frozen=True, kw_only=True)
class Workshop:
    data: Path
    teacher: Path
    student: Path
    bundle: Path
    private: Path
    public: Path
    root: Path


def run(app: object, *arguments: object) -> Result:
    """A command as a person would give it; problems that they would read are raised."""
    return CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)  # type: ignore[arg-type]


def run_lab(*arguments: object) -> str:
    result = run(lab, *arguments)
    assert result.exit_code == 0, result.output
    return result.output


def made_once(root: Path) -> Workshop:
    """By whoever comes first; others wait meanwhile."""
    whole = root / "whole"
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            folder = Path(tempfile.mkdtemp(dir=root))  # what one has left half made is nobody's start
            make(folder)
            whole.write_text(folder.name)
    return below(root / whole.read_text())


def below(root: Path) -> Workshop:
    return Workshop(
        data=root / "tiny",
        teacher=root / "teacher",
        student=root / "student",
        bundle=root / "bundle",
        private=root / "key.pem",
        public=root / "key.pub.pem",
        root=root,
    )


def make(root: Path) -> None:
    """Everything: data, teacher, student and a signed bundle, each by its command."""
    found = below(root)
    write_tiny(found.data)
    found.private.write_bytes(
        KEY.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    found.public.write_bytes(public_pem(KEY))
    run_lab(*train_command(found))
    run_lab(*distill_command(found))
    run_lab(*export_command(found, found.bundle), "--key", found.private)


def train_command(made: Workshop, *, seed: int = 0) -> list[object]:
    return [
        "train",
        "decodiff",
        "--data",
        made.data,
        "--preset",
        "nano",
        "--out",
        made.teacher,
        "--images",
        128,
        "--seed",
        seed,
    ]


def distill_command(made: Workshop, *, seed: int = 0) -> list[object]:
    return [
        "distill",
        made.teacher,
        "--data",
        made.data,
        "--out",
        made.student,
        "--images",
        960,
        "--seed",
        seed,
        WORSE_TOO,
    ]


def export_command(made: Workshop, out: Path) -> list[object]:
    return [
        "export",
        made.student,
        "--data",
        made.data,
        "--out",
        out,
        "--name",
        "tiny",
        "--licence",
        "CC0-1.0",
        "--target",
        0.3,
        WORSE_TOO,
    ]


def public_pem(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
