"""Environments of their own, because their packages and torch's CPU build must not meet."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RTX = Path(os.environ.get("PLUMBLINE_RTX_ENV", ROOT / ".venv-rtx"))  # `make trt-check` makes it
DRYRUN = Path(os.environ.get("PLUMBLINE_DRYRUN_ENV", ROOT / ".venv-dryrun"))  # `make trt-dryrun`


def is_made(environment: Path) -> bool:
    return (environment / ".ready").is_file()


def answer(environment: Path, module: str, *arguments: str) -> dict[str, Any]:
    """The JSON that a module prints last in an environment. Raises CalledProcessError."""
    done = subprocess.run(
        [environment / "bin" / "python", "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found
