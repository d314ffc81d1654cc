"""A package of a few kilobytes: our own name and version with a program that fits in a page."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

from build import package
from control import version
from targets import Target, arch_here, python_here

HERE = Target(python=python_here(), arch=arch_here())
EPOCH_S = 1_700_000_000
PROGRAM = """\
import json, os, sys
def main():
    if sys.argv[1] == "outbox":
        print(json.dumps({"rows": 3}))
    if sys.argv[1] == "doctor" and os.path.exists(os.environ["CONFIGURATION_DIRECTORY"] + "/ill-WORD"):
        sys.exit("settings: the new version refuses them")
"""


def tiny_wheel(folder: Path, word: str = "first") -> Path:
    """Our own wheel in small; another word makes another wheel of the same version."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"plumbline-{version()}.dist-info"
    files = {
        "tiny.py": PROGRAM.replace("WORD", word),
        "models/bundles/elpv/manifest.yaml": f"name: {word}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: plumbline\nVersion: {version()}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tiny\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\nplumbline = tiny:main\n",
    }
    record = ""
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
        record += f"{name},sha256={digest},{len(text)}\n"
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    wheel = folder / f"plumbline-{version()}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return wheel


def tiny_package(folder: Path, *, word: str = "first", target: Target = HERE) -> Path:
    """Its package, in a folder of its own."""
    manual = folder / "manual"
    page = manual / "usr/share/man/man1/plumbline.1"
    page.parent.mkdir(parents=True)
    page.write_text(".TH PLUMBLINE 1\n")
    return package(
        target, [tiny_wheel(folder / "wheel", word)], manual=manual, epoch_s=EPOCH_S, dist=folder / "dist"
    )
