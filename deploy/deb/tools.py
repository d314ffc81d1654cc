"""The environment that builds: hatchling, pip and uv at locked versions, and the device's own packages.

It lies in build/deb/tools and is made anew when a lock file changes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from targets import LOCKS, Target, arch_here, python_here

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "build" / "deb" / "tools"
TOOLS_LOCK = LOCKS / "tools.txt"


def tools() -> Path:
    """The building environment's Python; made where it is missing or its locks have changed."""
    locks = [TOOLS_LOCK, Target(python=python_here(), arch=arch_here()).lock]
    digest = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()
    python, mark = TOOLS / "bin" / "python", TOOLS / ".made-from"
    if mark.exists() and mark.read_text() == digest:
        return python
    shutil.rmtree(TOOLS, ignore_errors=True)
    run(sys.executable, "-m", "venv", TOOLS)
    for lock in locks:
        run(python, "-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary=:all:", "-r", lock)
    mark.write_text(digest)
    return python


def run(*command: str | Path, cwd: Path = ROOT, **variables: str) -> str:
    """Run a command and return what it printed. Raises SystemExit with its last words if it fails."""
    done = subprocess.run(  # noqa: S603
        [str(word) for word in command],
        cwd=cwd,
        env=os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"} | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        words = " ".join(str(word) for word in command)
        raise SystemExit(f"{words}\nended with {done.returncode}:\n{(done.stderr or done.stdout)[-2000:]}")
    return done.stdout
